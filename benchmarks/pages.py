"""Tables and sections of the pages that commands write."""

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of Markdown; the first column is text, numbers stand as they come."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(str(cell) for cell in line)} |" for line in lines]


def replace_section(page: str, name: str, lines: Sequence[str]) -> str:
    """Put lines between the markers of a section."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, found, rest = page.partition(begin)
    if not found or end not in rest:
        raise SystemExit(f"the page lacks the markers {begin} and {end}")
    return before + begin + "\n" + "\n".join(lines) + "\n" + end + rest.partition(end)[2]
