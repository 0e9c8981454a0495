"""Pictures of labelled clouds, truth beside prediction, as inline PNG. Needs matplotlib."""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image  # comes with matplotlib

from pointata.classes import ClassInfo
from pointata.geometry.axes import forward_from_optical
from pointata.report.tables import relative_luminance

#: Relative luminance below which a colour is hard to see on the ground of the pictures.
_DARKEST = 0.17
_GROUND, _TEXT, _FAINT = "#12161c", "#c9d1db", "#3a4350"
_PANEL_INCHES, _DPI = 4.0, 120
_BOX = {"facecolor": _GROUND, "edgecolor": "none", "alpha": 0.75, "pad": 2.5}
_UNLABELLED_COLOR = (58, 66, 78)


def forward_axes(points: NDArray[np.floating], frame_id: str) -> NDArray[np.float64]:
    """Points in x forward, y left, z up; frames named `*_optical_frame` (or `*_optical`) are optical (REP-103).

    Args:
        points: (N, 3) metres, sensor axes.
        frame_id: name of the sensor frame.
    """
    optical = frame_id.endswith(("_optical_frame", "_optical"))
    return np.asarray(forward_from_optical(points) if optical else points, np.float64)


def palette(classes: Sequence[ClassInfo]) -> NDArray[np.float64]:
    """(256, 3) colours by label, 0 to 1; labels without a class are a dark grey."""
    colors = np.tile(np.array(_UNLABELLED_COLOR, np.float64), (256, 1))
    for entry in classes:
        colors[entry.id] = entry.color
    return colors / 255


def lifted(classes: Sequence[ClassInfo]) -> tuple[ClassInfo, ...]:
    """The classes with dark colours mixed with white until they stand out from the pictures' dark ground."""
    result = []
    for entry in classes:
        color = np.array(entry.color, np.float64)
        while relative_luminance(color) < _DARKEST:
            color += 0.05 * (255 - color)
        red, green, blue = (round(channel) for channel in color.tolist())
        result.append(ClassInfo(entry.id, entry.name, (red, green, blue)))
    return tuple(result)


def birds_eye_pair(
    points: NDArray[np.floating],
    truth: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    classes: Sequence[ClassInfo],
    *,
    reach_m: float | None = None,
    caption: str = "",
) -> str:
    """Truth and prediction of one cloud from above, forward up, as a `figure` element.

    Args:
        points: (N, 3) metres, x forward, y left, z up, sensor at the origin.
        truth, predicted: (N,) labels, 255 = unlabelled.
        classes: colours.
        reach_m: points farther from the sensor are left out; None to fit 99 % of them.
        caption: plain text below.
    """
    order = np.argsort(points[:, 2], kind="stable")  # what is higher hides what is lower, as from above
    places = np.column_stack([-points[order, 1], points[order, 0]])
    figure, axes = _pair(places, (truth[order], predicted[order]), classes, _limits(points, reach_m), fill=0.3)
    for axis in axes:
        axis.plot(0, 0, marker="^", color="white", markersize=6, markeredgecolor=_GROUND)
        _scale_bar(axis)
    return figure_element(_data_uri(figure), caption)


def camera_pair(
    points: NDArray[np.floating],
    truth: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    classes: Sequence[ClassInfo],
    *,
    caption: str = "",
) -> str:
    """Truth and prediction of one cloud as the sensor sees it, as a `figure` element; arguments as `birds_eye_pair`."""
    ahead = points[:, 0] > 0.05
    points, truth, predicted = points[ahead], truth[ahead], predicted[ahead]
    order = np.argsort(-points[:, 0], kind="stable")  # near hides far
    places = np.column_stack([-points[order, 1] / points[order, 0], points[order, 2] / points[order, 0]])
    limits = (_span(places[:, 0]), _span(places[:, 1]))
    figure, _ = _pair(places, (truth[order], predicted[order]), classes, limits, fill=1.0)
    return figure_element(_data_uri(figure), caption)


def figure_element(uri: str, caption: str) -> str:
    """An image with a caption; the caption is its alternative text, too."""
    text = escape(caption)
    return f'<figure><img src="{uri}" alt="{text}"><figcaption>{text}</figcaption></figure>'


#: ((left, right), (bottom, top))
Limits = tuple[tuple[float, float], tuple[float, float]]


def _span(values: NDArray[np.floating]) -> tuple[float, float]:
    """Range of the middle 99 % with a margin; never empty."""
    if len(values) == 0:
        return -1.0, 1.0
    low, high = (float(value) for value in np.percentile(values, (0.5, 99.5)))
    margin = 0.04 * (high - low) + 0.01
    return low - margin, high + margin


def _limits(points: NDArray[np.floating], reach_m: float | None) -> Limits:
    if reach_m is not None:
        return (-reach_m, reach_m), (-reach_m, reach_m)
    right, ahead = _span(-points[:, 1]), _span(points[:, 0])
    return right, (min(ahead[0], -0.3), ahead[1])  # the sensor stays in the picture


def _pair(
    places: NDArray[np.float64],
    labellings: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    classes: Sequence[ClassInfo],
    limits: Limits,
    fill: float,
) -> tuple[Figure, Sequence[Axes]]:
    """Figure and axes: (N, 2) places (right, up) coloured by truth and by prediction, later ones on top."""
    (left, right), (bottom, top) = limits
    aspect = float(np.clip((top - bottom) / (right - left), 0.4, 1.0))
    figure = Figure(figsize=(2 * _PANEL_INCHES, _PANEL_INCHES * aspect), facecolor=_GROUND)
    grid = {"wspace": 0.02, "left": 0.005, "right": 0.995, "top": 0.99, "bottom": 0.01}
    axes = figure.subplots(1, 2, gridspec_kw=grid)
    # squares so large that together they would cover `fill` of the picture, 1.2 to 4.2 points wide
    side = float(np.clip(72 * _PANEL_INCHES * np.sqrt(fill * aspect / max(len(places), 1)), 1.2, 4.2))
    for axis, labels, title in zip(axes, labellings, ("truth", "predicted"), strict=True):
        axis.scatter(*places.T, c=palette(classes)[labels], s=side**2, marker="s", linewidths=0)
        axis.set(facecolor=_GROUND, xlim=limits[0], ylim=limits[1], xticks=[], yticks=[], aspect="equal")
        for spine in axis.spines.values():
            spine.set_color(_FAINT)
        axis.text(0.02, 0.98, title, transform=axis.transAxes, color=_TEXT, fontsize=10, va="top", bbox=_BOX)
    return figure, axes


def _scale_bar(axis: Axes) -> None:
    """A line of round length in the lower right corner."""
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    width = right - left
    length = next(step for step in (100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0) if step <= width / 3)
    start, height = right - 0.03 * width - length, bottom + 0.04 * (top - bottom)
    axis.plot([start, start + length], [height, height], color=_TEXT, linewidth=1.5)
    text: dict[str, Any] = {"color": _TEXT, "fontsize": 8, "ha": "center", "va": "bottom", "bbox": _BOX}
    axis.text(start + length / 2, height, f"{length:g} m", **text)


def _data_uri(figure: Figure) -> str:
    """PNG with a palette of 128 colours, a third of the size of true colour."""
    buffer, small = io.BytesIO(), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, facecolor=_GROUND)
    Image.open(buffer).convert("RGB").quantize(128).save(small, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(small.getvalue()).decode("ascii")
