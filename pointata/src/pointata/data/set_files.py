"""Finding the files of a data set: what is missing or misnamed is refused when the set is opened, not in training."""

import re
from pathlib import Path

from pointata.errors import DataError


def data_folder(root: Path | str) -> Path:
    """The folder of a data set as an absolute path, so that sampled copies are found again from anywhere."""
    folder = Path(root).expanduser().resolve()
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the one that holds the data set")
    return folder


def named_files(folder: Path, suffix: str, pattern: str, example: str) -> list[tuple[Path, tuple[int, ...]]]:
    """All files with a suffix, here or below, and the numbers in their names.

    Args:
        folder: where to look.
        suffix: ".bin", ".npz", ...
        pattern: regular expression of the whole name without suffix; its groups are the numbers.
        example: a right name, for messages.

    Returns:
        (file, numbers), in the order of the names.

    Raises:
        DataError: no such file, one with another name, or two with the same numbers.
    """
    files = sorted(folder.rglob(f"*{suffix}"), key=lambda file: file.name)
    if not files:
        raise DataError(f"{folder} holds no {suffix} file; they must be named like {example}")
    seen: dict[tuple[int, ...], Path] = {}
    for file in files:
        match = re.fullmatch(pattern, file.stem)
        if match is None:
            raise DataError(f"{file} must be named like {example}; rename it or move it away")
        numbers = tuple(map(int, match.groups()))
        if numbers in seen:
            raise DataError(f"{file} and {seen[numbers]} are the same video; give the folder of one copy")
        seen[numbers] = file
    return [(file, numbers) for numbers, file in seen.items()]
