"""Where bundles are: shipped ones by name, others by path."""

from pathlib import Path

from pointata.bundles.format import read_header
from pointata.bundles.schema import shown
from pointata.errors import BundleError

_SHIPPED = Path(__file__).parent / "files"


def shipped_bundles() -> list[str]:
    """Names of the networks that come with the package; backbones are parts of them."""
    return sorted(path.stem for path in _SHIPPED.glob("*.safetensors") if read_header(path)["kind"] != "backbone")


def resolve(name: str, beside: Path | None = None) -> Path:
    """The file of a bundle given by path or by the name of a shipped one.

    Args:
        name: a path, or a name without suffix.
        beside: another folder in which names are looked up first.

    Raises:
        BundleError: there is no such file.
    """
    candidates = [Path(name)]
    if Path(name).suffix != ".safetensors":
        candidates = [folder / f"{name}.safetensors" for folder in ([beside] if beside else []) + [_SHIPPED]]
    for path in candidates:
        if _is_file(path):
            return path
    raise BundleError(
        f"no bundle {shown(name, 250)}: give the path of a .safetensors file or one of "
        f"{', '.join(shipped_bundles()) or '(none)'}"
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, a folder that may not be entered
        return False
