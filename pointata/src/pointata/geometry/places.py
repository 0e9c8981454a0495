"""Points of a cloud that lie on one place: trees, and farthest point sampling, are given every place once."""

import numpy as np
from numpy.typing import NDArray

# Nearer to zero a coordinate counts as zero, metres: far below what any sensor tells apart. Two coordinates that differ
# then do so by 2**-63 or more, whose square is a normal float32: different places have a distance above zero.
_TINY = np.float32(2.0**-40)
# Of `first_of_same`: the largest table (some ten places for every occupied voxel), and how a key gets its place.
_TABLE_BITS = 21
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
# Of `distinct`: factors of a sum that hardly any two points share.
_MIX = (_GOLDEN, np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))


def distinct(points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    """Which points lie on one place, as far as squared distances in float32 can tell.

    Args:
        points: (N, 3) finite.

    Returns:
        points: (N, 3) float32, contiguous; as given, but for tiny coordinates and -0.0, which are 0.
        owner: (N,) int64, for every point the first one on its place; None where no two share a place.
    """
    tiny = np.abs(points) < _TINY
    settled = np.ascontiguousarray(np.where(tiny, np.float32(0), points) if tiny.any() else points, dtype=np.float32)
    bits = settled.view(np.uint32)
    sums = np.sort(bits[:, 0] * _MIX[0] + bits[:, 1] * _MIX[1] + bits[:, 2] * _MIX[2])
    if (sums[1:] != sums[:-1]).all():  # as with most sensors: different sums are of different points
        return settled, None
    owner = first_of_rows(settled)
    return settled, None if (owner == np.arange(len(owner))).all() else owner


def first_of_rows(rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """For every row (N, 3), contiguous and without -0.0, the first index at which the same row stands; (N,) int64."""
    x, y, z = (column.astype(np.int64) for column in rows.view(np.uint32).T)
    return first_of_same(first_of_same(x << 32 | y) << 32 | z)


def first_of_same(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """For every key, the first index at which the same value stands: what `np.unique` finds by sorting, by hashing.

    Each round writes indices into a table in which the lowest one wins; keys that lost their place to another value
    come again, hashed otherwise. Three rounds look at 63 of the 64 bits, so that hardly any two values, whoever chose
    them, still share a place; more rounds are for more values than the table has places.

    Args:
        keys: (N,) int64.

    Returns:
        (N,) int64.
    """
    owner = np.empty(len(keys), dtype=np.int64)
    table_bits = min(_TABLE_BITS, len(keys).bit_length() + 4)
    table, shift = np.empty(1 << table_bits, dtype=np.int32), np.uint64(64 - table_bits)
    rest = np.arange(len(keys), dtype=np.int32)
    hashes = keys.view(np.uint64)
    while len(rest):
        hashes = hashes * _GOLDEN  # again in every round: other products, other places
        place = (hashes >> shift).astype(np.int64)
        table[place[::-1]] = rest[::-1]  # of several writes to one place, numpy keeps the last: the lowest index
        winner = table[place]
        owner[rest] = winner
        lost = keys[winner] != keys[rest]
        rest, hashes = rest[lost], hashes[lost]
    return owner


def representatives(owner: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The owners (V,) int64 among (N,) owners, ascending, and for everyone the place of its owner in that list."""
    first = np.flatnonzero(owner == np.arange(len(owner)))
    place = np.empty(len(owner), dtype=np.int32)
    place[first] = np.arange(len(first), dtype=np.int32)
    return first, place[owner]
