"""Reading .npz and .npy files whoever wrote them: nothing is unpickled, and memory is taken up to a limit only."""

import math
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pointata.errors import DataError

#: Bytes that the arrays of one file may take in memory, all together. A file of zeros packs a thousand times smaller.
LARGEST_BYTES = 1_000_000_000

Reader = Callable[[str], NDArray[Any]]


@contextmanager
def open_archive(file: Path) -> Iterator[tuple[zipfile.ZipFile, Mapping[str, zipfile.ZipInfo]]]:
    """An .npz file, and the entry of each of its arrays.

    Raises:
        DataError: damaged, too large, or packed as numpy packs nothing.
    """
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:  # damaged bytes lead the zip reader to errors of any kind
        raise DataError(
            f"{file} cannot be read as .npz ({error}); copy it again, or write it with numpy.savez"
        ) from error
    with archive:
        entries = archive.infolist()
        size = sum(entry.file_size for entry in entries)
        if size > LARGEST_BYTES:
            raise DataError(
                f"{file} holds arrays of {size / 1e9:.1f} GB, of which at most {LARGEST_BYTES / 1e9:g} GB are read "
                "from one file: leave out arrays that are not needed, or write a folder with an .npz for each frame"
            )
        if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
            raise DataError(f"{file} is compressed in another way than numpy does; write it with numpy.savez")
        yield archive, {e.filename.removesuffix(".npy"): e for e in entries if e.filename.endswith(".npy")}


def open_npz(file: Path) -> tuple[Reader, Sequence[str]]:
    """A function that reads one array of a file, and the names of all."""

    def read(name: str) -> NDArray[Any]:
        with open_archive(file) as (archive, entries):
            if name not in entries:
                raise DataError(f"{file} has no array {name}")
            try:
                with archive.open(entries[name]) as stream:
                    return read_npy(stream, entries[name].file_size)
            except Exception as error:  # as above; header and array readers likewise
                problem = f"{file}: array {name} cannot be read ({error})"
                raise DataError(f"{problem}; write it again with numpy.savez") from error

    with open_archive(file) as (_, entries):
        return read, tuple(entries)


def npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of the array at the beginning of a .npy stream, which is left where the content begins."""
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    return shape, dtype


def read_npy(stream: IO[bytes], size: int) -> NDArray[Any]:
    """The array of a .npy stream of `size` bytes; whatever is wrong is an error of any kind.

    That the header asks for no more than there is, is checked before memory is taken for it.
    """
    shape, dtype = npy_header(stream)
    if dtype.hasobject:
        raise ValueError("it is a pickle of Python objects, which are not read")
    needed, held = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if needed != held or min(shape, default=0) < 0:
        raise ValueError(f"its header says {needed} bytes of {shape} {dtype}, it holds {held}")
    stream.seek(0)
    return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
