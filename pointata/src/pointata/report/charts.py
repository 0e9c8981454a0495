"""Charts of a report as inline SVG, coloured by the page's own variables so that they follow light and dark.

Needs matplotlib, for the places of the ticks alone: its own SVG cannot use the page's variables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pointata.classes import ClassInfo
from pointata.report.tables import css_color, relative_luminance

_WIDTH = 1000.0
_LEFT = 92.0


@dataclass(frozen=True)
class Band:
    """A run of frames with one label: [start_s, end_s) on the time axis; class_id None = unknown."""

    start_s: float
    end_s: float
    class_id: int | None


def bands_of(times_s: Sequence[float], class_ids: Sequence[int | None], period_s: float) -> list[Band]:
    """Merge per-frame labels into bands; each frame lasts until the next one, at most two periods.

    Args:
        times_s: ascending stamps, seconds.
        class_ids: label of each frame; None = unknown.
        period_s: nominal time between frames, which the last frame lasts.
    """
    bands: list[Band] = []
    ends = [
        *(min(after, now + 2 * period_s) for now, after in pairwise(times_s)),
        *(t + period_s for t in times_s[-1:]),
    ]
    for start, end, class_id in zip(times_s, ends, class_ids, strict=True):
        last = bands[-1] if bands else None
        if last is not None and last.class_id == class_id and start <= last.end_s + 1e-6:
            bands[-1] = Band(last.start_s, end, class_id)
        else:
            bands.append(Band(start, end, class_id))
    return bands


def timeline(name: str, truth: Sequence[Band], predicted: Sequence[Band], classes: Sequence[ClassInfo]) -> str:
    """Truth above, prediction below, on one time axis in seconds from the first band."""
    origin = min((band.start_s for band in (*truth, *predicted)), default=0.0)
    length = max((band.end_s - origin for band in (*truth, *predicted)), default=1.0)
    scale = (_WIDTH - _LEFT) / length
    rows = [(truth, 4, 24, "truth"), (predicted, 30, 24, "predicted")]
    parts = [f'<svg viewBox="0 0 {_WIDTH:.0f} 80" role="img" aria-label="{escape(name)}: actions over time">']
    for bands, top, height, caption in rows:
        parts.append(f'<text x="0" y="{top + 16}" class="dim">{caption}</text>')
        parts += [_band(band, origin, scale, top, height, classes) for band in bands]
    ticks = np.asarray(MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(0, length))
    for second in ticks[ticks < length + 1e-6]:
        x = _LEFT + second * scale
        anchor = "end" if second * scale > _WIDTH - _LEFT - 10 else "middle"
        parts.append(f'<text x="{x:.1f}" y="72" class="dim" text-anchor="{anchor}">{second:g} s</text>')
    return "".join([*parts, "</svg>"])


def _band(band: Band, origin: float, scale: float, top: int, height: int, classes: Sequence[ClassInfo]) -> str:
    x, width = _LEFT + (band.start_s - origin) * scale, (band.end_s - band.start_s) * scale
    name = "unknown" if band.class_id is None else classes[band.class_id].name
    paint = 'fill="var(--track)"' if band.class_id is None else f'fill="{css_color(classes[band.class_id].color)}"'
    start = band.start_s - origin
    shape = (
        f'<rect x="{x:.1f}" y="{top}" width="{max(width - 1, 0.8):.1f}" height="{height}" rx="3" {paint}>'
        f"<title>{escape(name)}, {start:.1f} to {start + band.end_s - band.start_s:.1f} s</title></rect>"
    )
    if width < 7.5 * len(name) + 8:
        return shape
    color = "var(--dim)" if band.class_id is None else _readable_on(classes[band.class_id].color)
    return shape + f'<text x="{x + 6:.1f}" y="{top + 16}" style="fill:{color}">{escape(name)}</text>'


def _readable_on(color: tuple[int, int, int]) -> str:
    """Black or white, whichever has the higher contrast (WCAG 2.1)."""
    return "#111" if relative_luminance(color) > 0.179 else "#fff"


def latency_chart(name: str, latencies_ms: NDArray[np.floating], p50: float, p99: float) -> str:
    """One dot per frame over the running number of the frame, with lines at p50 and p99.

    Args:
        name: for screen readers.
        latencies_ms: (F,) milliseconds in order of time; NaN where the frame was not answered.
        p50, p99: percentiles of the answered frames, milliseconds.
    """
    height, bottom, right = 190.0, 22.0, 70.0
    known = latencies_ms[np.isfinite(latencies_ms)]
    ticks = MaxNLocator(4).tick_values(0, known.max(initial=0.1))
    step = (_WIDTH - _LEFT - right) / max(len(latencies_ms) - 1, 1)

    def y_of(ms: float) -> float:
        return 10 + (height - bottom - 10) * (1 - ms / ticks[-1])

    parts = [f'<svg viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" aria-label="{escape(name)}: latency over time">']
    for ms in ticks:
        parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - right}" y1="{y_of(ms):.1f}" y2="{y_of(ms):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y_of(ms) + 4:.1f}" class="dim" text-anchor="end">{ms:g} ms</text>')
    for index, ms in enumerate(latencies_ms):
        if np.isfinite(ms):
            x, y = _LEFT + index * step, y_of(float(ms))
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="var(--accent)" opacity=".6"/>')
    for label, value, shift in (("p50", p50, 12), ("p99", p99, -4)):
        if np.isfinite(value):
            y, end = y_of(value), _WIDTH - right
            parts.append(
                f'<line x1="{_LEFT}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--ink)" stroke-dasharray="4 4"/>'
            )
            parts.append(f'<text x="{end + 6}" y="{y + shift:.1f}">{label} {value:.0f}</text>')
    middle = (_LEFT + _WIDTH - right) / 2
    parts.append(
        f'<text x="{middle:.0f}" y="{height - 4:.0f}" class="dim" text-anchor="middle">'
        f"frame 1 to {len(latencies_ms)}</text>"
    )
    return "".join([*parts, "</svg>"])
