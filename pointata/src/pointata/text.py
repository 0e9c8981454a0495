"""Text that comes from elsewhere, made fit for a sentence."""

#: Characters of a foreign name that a sentence holds at most.
LONGEST = 80


def cut(text: str, limit: int = LONGEST) -> str:
    """`text`, with an ellipsis and its length where it is longer than `limit` characters."""
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
