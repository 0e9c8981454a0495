"""Libraries that an installation may lack: imported where they are needed, or named with what installs them."""

from importlib import import_module
from typing import Any

from pointata.errors import InstallationError

#: Distributions that are not called what they are imported as.
_DISTRIBUTIONS = {"PIL": "pillow", "ot": "pot", "yaml": "pyyaml"}


def import_optional(module: str, extra: str = "recordings", purpose: str = "reading this recording") -> Any:
    """Import a module whose libraries a plain `pip install pointata` does not install.

    Args:
        module: full name; a library's, or one of this package that imports libraries.
        extra: of `pointata` that installs them ("recordings" or "training"); "" where the plain installation does.
        purpose: what cannot be done without, for the message.

    Raises:
        InstallationError: a library is missing, or does not load.
        KeyboardInterrupt: Ctrl-C, even where it struck inside of a library that hides it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # in C++ of pybind11, which makes an ImportError of it
            raise KeyboardInterrupt from error
        library = (error.name or module).partition(".")[0]
        if library == "pointata" and "." in (error.name or ""):
            raise  # a fault of this package
        missing = isinstance(error, ModuleNotFoundError)
        problem = "which is not installed" if missing else f"which cannot be loaded here ({error})"
        name = _DISTRIBUTIONS.get(library, library)
        target = f"pointata[{extra}]" if extra else "pointata"
        raise InstallationError(
            f'{purpose} needs the Python module {library}, {problem}: pip install "{target}" '
            f'(in the checkout: pip install "./{target}"), or {name} alone'
        ) from error
