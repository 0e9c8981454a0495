"""Changes to bundle files that `pointata` itself would not write."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pointata

SHIPPED = Path(pointata.__file__).parent / "bundles" / "files"


def copied(name: str, folder: Path) -> Path:
    """A copy of a shipped bundle."""
    path = folder / f"{name}.safetensors"
    path.write_bytes((SHIPPED / path.name).read_bytes())
    return path


def parts(path: Path) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """The safetensors header without its metadata, the bundle's own header, and the bytes of the tensors."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    table = json.loads(content[8:start])
    return table, json.loads(table.pop("__metadata__")["pointata"]), content[start:]


def write_parts(path: Path, table: Mapping[str, Any], header: str, tensors: bytes) -> Path:
    """The inverse; the bundle's own header as text, whatever it says."""
    text = json.dumps({"__metadata__": {"pointata": header}, **table}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + tensors)
    return path


def change_header(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Change a bundle's metadata; its tensors stay as they are."""
    table, header, tensors = parts(path)
    change(header)
    return write_parts(path, table, json.dumps(header), tensors)


def put(header: dict[str, Any], field: str, value: Any) -> None:
    """Set a field given by its path, as "metadata.heads.action.0.id"."""
    *way, last = field.split(".")
    place: Any = header
    for step in way:
        place = place[int(step) if isinstance(place, list) else step]
    place[int(last) if isinstance(place, list) else last] = value
