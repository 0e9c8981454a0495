"""How far a loop is, on a terminal."""

from collections.abc import Iterable
from typing import TypeVar

import rich.progress
from rich.console import Console

Item = TypeVar("Item")


def track(items: Iterable[Item], what: str, total: int) -> Iterable[Item]:
    """The items one by one, with a bar on standard error while it is a terminal; nothing is shown elsewhere."""
    console = Console(stderr=True)
    hidden = not console.is_terminal
    return rich.progress.track(items, what, total, console=console, transient=True, disable=hidden)
