"""A self-contained HTML page: one file, no script, no external resource, readable in light and dark."""

from collections.abc import Sequence
from html import escape

_STYLE = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#171b22;--dim:#5b6472;--line:#e1e5ea;--accent:#2457d6;
--good:#147a4b;--bad:#b3261e;--track:#eceff3}
@media (prefers-color-scheme:dark){:root{--bg:#0f1216;--card:#171b21;--ink:#e8ebf0;--dim:#98a2b0;--line:#2a3039;
--accent:#7aa2ff;--good:#5ad19a;--bad:#ff8a80;--track:#222831}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1120px;margin:0 auto;padding:40px 20px 64px}
h1{font-size:30px;line-height:1.2;letter-spacing:-.02em;margin:0 0 6px}
h2{font-size:19px;letter-spacing:-.01em;margin:0 0 4px}
h3{font-size:14px;margin:22px 0 8px}
p{margin:0 0 12px}.dim,.note{color:var(--dim)}.note{font-size:13.5px;max-width:80ch;margin-bottom:14px}
section{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:22px 24px;margin-top:20px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(158px,1fr));gap:14px;margin-top:24px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:16px 18px}
.tile b{display:block;font-size:27px;line-height:1.2;letter-spacing:-.02em;font-weight:650}
.tile span{font-size:13px;color:var(--dim)}.tile .what{color:var(--ink);font-weight:550}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:13.5px}
th{font-weight:550;text-align:left;color:var(--dim)}
td,th{padding:5px 10px;border-bottom:1px solid var(--line);white-space:nowrap}
td.n,th.n{text-align:right}tr:last-child td,tr:last-child th{border-bottom:0}
table.wide{width:100%}table.wide td.grow{width:55%}td.wrap{white-space:normal;overflow-wrap:anywhere}
.bar{height:9px;border-radius:5px;background:var(--track);overflow:hidden}
.bar i{display:block;height:100%;border-radius:5px;background:var(--accent)}
.confusion td.cell{text-align:center;min-width:50px;padding:6px 4px;border:2px solid var(--card);border-radius:6px;
background:color-mix(in srgb,var(--accent) calc(var(--p)*88%),var(--track))}
.confusion td.strong{color:var(--card);font-weight:600}
.confusion td.none{color:var(--dim)}
.confusion th{border:0;padding:4px 8px;color:var(--ink);font-weight:500}.confusion thead th{text-align:center}
.confusion thead th:not(:first-child){max-width:90px;white-space:normal;line-height:1.2;vertical-align:bottom}
.legend{display:flex;flex-wrap:wrap;gap:6px 16px;font-size:13px;margin:4px 0 14px}
.legend i,.swatch{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px;vertical-align:-1px;
box-shadow:inset 0 0 0 1px rgba(127,127,127,.35)}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(430px,1fr));gap:18px 16px}
figure{margin:0}figure img{width:100%;display:block;border-radius:10px}figcaption{font-size:13px;color:var(--dim);
margin-top:6px}
svg{display:block;width:100%;height:auto}svg text{fill:var(--ink);font-size:12px;font-family:inherit}
svg text.dim{fill:var(--dim)}svg .axis{stroke:var(--line)}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:8px 36px}
@media (max-width:600px){main{padding:24px 12px}section{padding:16px 14px}.pictures{grid-template-columns:1fr}}
"""


class Page:
    """Collects sections and renders them in the order of adding.

    Args:
        title: heading of the page, plain text.
        lead: a sentence or two below it, plain text.
    """

    def __init__(self, title: str, lead: str) -> None:
        self._title = title
        self._lead = lead
        self._parts: list[str] = []

    def tiles(self, entries: Sequence[tuple[str, str, str]]) -> None:
        """Headline figures: (figure, what it is, detail) as plain text."""
        cells = "".join(
            f'<div class="tile"><b>{escape(figure)}</b><span class="what">{escape(what)}</span><br>'
            f"<span>{escape(detail)}</span></div>"
            for figure, what, detail in entries
        )
        self._parts.append(f'<div class="tiles">{cells}</div>')

    def section(self, title: str, body: str, note: str = "") -> None:
        """A titled card.

        Args:
            title: plain text.
            body: HTML, as the functions of `report_charts` and `report_pictures` return it.
            note: plain text below the title: how to read what follows.
        """
        intro = f'<p class="note">{escape(note)}</p>' if note else ""
        self._parts.append(f"<section><h2>{escape(title)}</h2>{intro}{body}</section>")

    def render(self) -> str:
        """The whole document."""
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{escape(self._title)}</title><style>{_STYLE}</style></head><body><main>"
            f'<header><h1>{escape(self._title)}</h1><p class="dim">{escape(self._lead)}</p></header>'
            f"{''.join(self._parts)}</main></body></html>\n"
        )
