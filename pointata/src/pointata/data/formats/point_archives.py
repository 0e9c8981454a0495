"""Point videos in .npz files, as 4D networks exchange them: one array of T frames, each (n_t, 3), n_t varying.

Frames of different size make numpy store an object array, which is a pickle, and a pickle may run any code. Therefore
`numpy.load(allow_pickle=True)` is not used. The pickle is read by an unpickler that knows four names, all of which
lead to the small stand-ins below; they copy plain numbers out of it and never reach numpy's own machinery.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointata.data.formats.npz_file import npy_header, open_archive, read_npy
from pointata.errors import DataError

#: Number types that points may have.
_NUMBERS = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"})


class _Type:
    """Stands in for numpy.dtype."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _Array:
    """Stands in for numpy.ndarray; `value` is a list for an object array of arrays, else an array of numbers."""

    value: list[Any] | NDArray[Any]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, column_major, content = state
        if kind.code.startswith("O") and len(shape) > 1:  # numpy takes arrays of equal length apart, number by number
            self.value = np.array(content, np.float64).reshape(shape)
        elif kind.code.startswith("O"):
            self.value = list(content)
        elif kind.code in _NUMBERS and kind.order in ("<", ">", "=", "|"):
            flat = np.frombuffer(content, np.dtype(kind.order + kind.code))
            self.value = flat.reshape(shape, order="F" if column_major else "C")
        else:
            raise pickle.UnpicklingError(f"arrays of type {kind.code} hold no points")


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":  # how pickle protocol 2 spells bytes
        raise pickle.UnpicklingError(f"text encoding {encoding}")
    return text.encode(encoding)


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,  # since numpy 2
    ("_codecs", "encode"): _encode,
}


class _PointsUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no point cloud needs")
        return _STAND_INS[module, name]


def read_point_archive(path: Path, key: str) -> list[NDArray[Any]]:
    """The frames of a point video.

    Args:
        path: an .npz file.
        key: name of the array in it: an object array of (n_t, 3) arrays, or one array (T, n, 3), of numbers or objects.

    Returns:
        T >= 1 arrays (n_t, 3) of the number type that the file has, in its units and axes.

    Raises:
        DataError: damaged, without the key, of another shape, or holding anything but numbers.
    """
    with open_archive(path) as (archive, entries):
        if key not in entries:
            raise DataError(f"{path} must hold an array '{key}', it holds {', '.join(entries) or 'none'}")
        try:
            frames = _read_frames(io.BytesIO(archive.read(entries[key])))
        except Exception as error:  # damaged bytes lead zip, header and pickle readers to errors of any kind
            raise DataError(f"{path}: '{key}' cannot be read as frames ({error}); copy or convert it again") from error
    for index, points in enumerate(frames):
        if not isinstance(points, np.ndarray) or points.ndim != 2 or points.shape[1] != 3:
            found = getattr(points, "shape", type(points).__name__)
            raise DataError(f"{path}: frame {index} of '{key}' must be (n, 3) points, it is {found}")
    if not frames:
        raise DataError(f"{path}: '{key}' has no frame; remove the file")
    return frames


def _read_frames(stream: io.BytesIO) -> list[Any]:
    """What a .npy stream holds, frame by frame."""
    _, dtype = npy_header(stream)
    if not dtype.hasobject:
        stream.seek(0)
        array = read_npy(stream, len(stream.getbuffer()))
        if f"{dtype.kind}{dtype.itemsize}" not in _NUMBERS:
            raise ValueError(f"arrays of type {dtype} hold no points")
        return list(array)
    content = _PointsUnpickler(stream).load().value
    return [item.value if isinstance(item, _Array) else item for item in content]
