"""Text that comes from elsewhere, made fit for a sentence."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

#: Characters of a foreign name that a sentence holds at most.
LONGEST = 80


def cut(text: str, limit: int = LONGEST) -> str:
    """`text`, with an ellipsis and its length where it is longer than `limit` characters."""
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def nearest_name(given: str, known: Iterable[str]) -> str:
    """The known name that is nearest to the given one; empty where none is near."""
    return next(iter(get_close_matches(given, list(known), 1)), "")


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """ "; did you mean NAME?" for the known name that is nearest to the given one; empty where none is near."""
    near = nearest_name(given, known)
    return f"; did you mean {near}?" if near else ""


def some(names: Sequence[str], most: int = 3) -> str:
    """The first of many names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
