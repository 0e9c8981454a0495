"""Whether results can be put into a folder, and whether what lies at a path has changed."""

import hashlib
import os
from pathlib import Path

from pointata.errors import ConfigError


def check_output_folder(folder: Path) -> None:
    """A ConfigError where a folder cannot be made or written to; nothing is made yet."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        problem = "may not be written to" if nearest.is_dir() else "is not a folder"
        raise ConfigError(f"{folder} cannot be a folder for results, as {nearest} {problem}: name another one")


def check_not_input(output: Path, given: Path) -> None:
    """A ConfigError where a result would replace the file that it is made from."""
    if output.exists() and output.samefile(given):
        raise ConfigError(f"{output} would be replaced, though the result is made from it: give another folder or name")


def fingerprint(path: Path) -> str:
    """Fingerprint of the names, sizes and times of all files at a path."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    facts = [(str(file.relative_to(path)), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
