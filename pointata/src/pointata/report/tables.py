"""Tables of a report as HTML: confusion, scores per class, stages, facts."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from pointata.classes import ClassInfo
from pointata.metrics.confusion import ConfusionMatrix
from pointata.metrics.summary import iou_per_class, recall_per_class


def css_color(color: tuple[int, int, int]) -> str:
    """A class colour for CSS and SVG: #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def relative_luminance(color: Sequence[float] | NDArray[np.floating]) -> float:
    """Luminance of an sRGB colour (each channel 0 to 255) relative to white, 0 to 1, as WCAG 2.1 defines it."""
    channels = np.asarray(color, np.float64) / 255
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def swatch(color: tuple[int, int, int]) -> str:
    """A small square of the colour."""
    return f'<i class="swatch" style="background:{css_color(color)}"></i>'


def legend(classes: Sequence[ClassInfo]) -> str:
    """Names of the classes beside their colours."""
    entries = "".join(f"<span>{swatch(entry.color)}{escape(entry.name)}</span>" for entry in classes)
    return f'<div class="legend">{entries}</div>'


def percent(share: float, digits: int = 1) -> str:
    """A share of 1 as a percentage; "n/a" where there is none (NaN)."""
    return "n/a" if np.isnan(share) else f"{100 * share:.{digits}f} %"


def confusion_table(matrix: ConfusionMatrix, missing: str = "none") -> str:
    """Row-normalised confusion: one row per true class with its support, shades by share.

    Args:
        matrix: the counts.
        missing: heading of the last column, samples without a prediction.
    """
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in (*matrix.names, missing))
    rows = []
    for name, support, shares in zip(matrix.names, matrix.support, matrix.normalised(), strict=True):
        cells = "".join(_confusion_cell(float(share)) for share in shares)
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}<td class="n">{support:,}</td></tr>')
    return (
        '<div class="scroll"><table class="confusion"><thead><tr><th>truth \\ predicted</th>'
        f"{head}<th>support</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _confusion_cell(share: float) -> str:
    if np.isnan(share):
        return '<td class="cell" style="--p:0"></td>'
    kind = "cell strong" if share > 0.62 else "cell none" if share < 0.005 else "cell"
    text = f"{100 * share:.0f}" if share >= 0.005 else "0" if share == 0 else "<1"
    return f'<td class="{kind}" style="--p:{share:.3f}">{escape(text)}</td>'


def iou_table(matrix: ConfusionMatrix, classes: Sequence[ClassInfo]) -> str:
    """IoU, recall and support of each class."""
    rows = []
    scores = zip(classes, iou_per_class(matrix), recall_per_class(matrix), matrix.support, strict=True)
    for entry, iou, recall, support in scores:
        rows.append(
            f"<tr><td>{swatch(entry.color)}{escape(entry.name)}</td>"
            f'<td class="grow">{_bar(float(np.nan_to_num(iou)))}</td><td class="n">{percent(iou)}</td>'
            f'<td class="n">{percent(recall)}</td><td class="n">{support:,}</td></tr>'
        )
    return (
        '<div class="scroll"><table class="wide"><tr><th>class</th><th></th><th class="n">IoU</th>'
        f'<th class="n">recall</th><th class="n">points</th></tr>{"".join(rows)}</table></div>'
    )


def stage_table(stages: Mapping[str, Mapping[str, float]]) -> str:
    """Milliseconds per stage: percentiles (p50, p99) by stage name, in order of execution."""
    longest = max((row["p50"] for row in stages.values()), default=0.0)
    rows = [
        f'<tr><td>{escape(name)}</td><td class="grow">{_bar(row["p50"] / longest if longest > 0 else 0.0)}</td>'
        f'<td class="n">{row["p50"]:.1f}</td><td class="n">{row["p99"]:.1f}</td></tr>'
        for name, row in stages.items()
    ]
    return (
        '<div class="scroll"><table class="wide"><tr><th>stage</th><th></th><th class="n">p50 ms</th>'
        f'<th class="n">p99 ms</th></tr>{"".join(rows)}</table></div>'
    )


def facts_table(facts: Sequence[tuple[str, str]]) -> str:
    """Two columns of plain text."""
    rows = "".join(f'<tr><th>{escape(name)}</th><td class="wrap">{escape(text)}</td></tr>' for name, text in facts)
    return f'<table class="wide">{rows}</table>'


def _bar(share: float) -> str:
    return f'<div class="bar"><i style="width:{100 * min(max(share, 0.0), 1.0):.1f}%"></i></div>'
