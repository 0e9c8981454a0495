"""Reading the small file formats that recordings are made of; every error names the file."""

from io import StringIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointata.errors import DataError


def numbered_files(folder: Path, pattern: str) -> list[Path]:
    """Files of a folder in the order of their names (which are zero-padded numbers); never an empty list."""
    files = sorted(folder.glob(pattern))
    if not files:
        raise DataError(f"{folder} holds no {pattern} file: the recording is empty or incomplete")
    return files


def file_numbers(files: list[Path], prefix: str, suffix: str) -> NDArray[np.int64]:
    """(K,) the number in each name, between prefix and suffix; strictly increasing."""
    try:
        numbers = np.array([int(file.name.removeprefix(prefix).removesuffix(suffix)) for file in files], dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{files[0].parent}: files must be named {prefix}<number>{suffix} ({error})") from error
    if (np.diff(numbers) <= 0).any():
        raise DataError(f"{files[0].parent}: the numbers in the names must have equally many digits, each number once")
    return numbers


def read_velodyne(path: Path) -> NDArray[np.float32]:
    """KITTI's .bin sweep: (N, 4) float32 of x, y, z in metres (forward, left, up) and reflectance 0 to 1."""
    size = path.stat().st_size
    if size == 0 or size % 16:
        raise DataError(f"{path} has {size} bytes, not 16 a point (x, y, z, reflectance): truncated; copy it again")
    return np.fromfile(path, dtype="<f4").astype(np.float32, copy=False).reshape(-1, 4)


def read_text(path: Path) -> str:
    """A whole text file."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as text ({error}); copy it again") from error


def read_matrix(path: Path, shape: tuple[int, int]) -> NDArray[np.float64]:
    """A text file of numbers as a matrix of the expected shape; -1 rows for any number of them."""
    text = read_text(path)
    if not text.strip():
        raise DataError(f"{path} is empty, it must hold rows of {shape[1]} numbers; copy it again")
    try:
        matrix = np.loadtxt(StringIO(text), dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise DataError(f"{path} cannot be read as numbers ({error})") from error
    if matrix.shape[1] != shape[1] or shape[0] not in (-1, len(matrix)) or not np.isfinite(matrix).all():
        wanted = f"{'any number of' if shape[0] < 0 else shape[0]} rows of {shape[1]} finite numbers"
        raise DataError(f"{path} must hold {wanted}, it holds {matrix.shape[0]} rows of {matrix.shape[1]}")
    return matrix


def read_calibration(path: Path) -> dict[str, NDArray[np.float64]]:
    """KITTI's `key: numbers` lines; lines whose value is not a list of numbers are left out."""
    result = {}
    for line in read_text(path).splitlines():
        key, colon, value = line.partition(":")
        try:
            result[key.strip()] = np.array([float(word) for word in value.split()] if colon else [])
        except ValueError:
            continue
    return result


def strictly_increasing(stamps_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Recorded stamps with every one that does not follow its predecessor moved to 1 ns after it."""
    steps = np.arange(len(stamps_ns))
    return np.maximum.accumulate(stamps_ns - steps) + steps
