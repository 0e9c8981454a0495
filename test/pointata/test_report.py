"""Page, tables, charts and pictures of a report."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from pointata.classes import UNLABELLED, class_list
from pointata.metrics.confusion import ConfusionMatrix
from pointata.report.charts import Band, bands_of, latency_chart, timeline
from pointata.report.page import Page
from pointata.report.pictures import birds_eye_pair, camera_pair, forward_axes, lifted, palette
from pointata.report.tables import (
    confusion_table,
    facts_table,
    iou_table,
    legend,
    percent,
    relative_luminance,
    stage_table,
)

CLASSES = class_list(("floor", (255, 0, 0)), ("a <b> & c", (0, 255, 0)), ("night", (0, 0, 142)))


class Reader(HTMLParser):
    """Collects text and attributes, and insists that every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "img"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def matrix() -> ConfusionMatrix:
    result = ConfusionMatrix([entry.name for entry in CLASSES])
    result.update(np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, UNLABELLED]))
    return result


def pixels(figure: str) -> np.ndarray:
    image = pytest.importorskip("PIL.Image")
    (source,) = Reader(figure).all("img")
    head, data = str(source["src"]).split(",")
    assert head == "data:image/png;base64"
    return np.asarray(image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)


def count_near(part: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((np.abs(part - color).max(axis=2) < 30).sum())


def test_bands_merge_runs_and_break_at_gaps() -> None:
    bands = bands_of([0.0, 0.1, 0.2, 5.0, 5.1], [1, 1, None, None, 2], 0.1)
    edges = [(round(b.start_s, 6), round(b.end_s, 6), b.class_id) for b in bands]
    assert edges == [(0.0, 0.2, 1), (0.2, 0.4, None), (5.0, 5.1, None), (5.1, 5.2, 2)]
    assert bands_of([], [], 0.1) == []


def test_timeline_draws_every_band_where_it_belongs() -> None:
    chart = Reader(timeline("seed 7", [Band(0, 2, 0), Band(2, 4, 1)], [Band(0, 4, None)], CLASSES))
    boxes = [(float(str(r["x"])), float(str(r["width"])), r["fill"]) for r in chart.all("rect")]
    assert [fill for *_, fill in boxes] == ["#ff0000", "#00ff00", "var(--track)"]
    (x0, w0, _), (x1, w1, _), (x2, w2, _) = boxes
    assert x0 == x2 < x1  # the second starts where the first, of the same length, ends
    assert w0 == pytest.approx(w1, abs=0.2)
    assert x1 == pytest.approx(x0 + w0 + 1, abs=0.2)
    assert w2 == pytest.approx(2 * w0 + 1, abs=0.3)
    assert "a <b> & c" in chart.text
    assert "unknown" in chart.text
    assert chart.text.endswith("0 s0.5 s1 s1.5 s2 s2.5 s3 s3.5 s4 s")


def test_timeline_without_frames_is_empty() -> None:
    assert Reader(timeline("none", [], [], CLASSES)).all("rect") == []


def test_latency_chart_has_a_dot_per_answer_at_its_height() -> None:
    chart = Reader(latency_chart("room", np.array([10.0, np.nan, 30.0, 20.0]), 20.0, 30.0))
    dots = [(float(str(c["cx"])), float(str(c["cy"]))) for c in chart.all("circle")]
    assert len(dots) == 3
    (x0, y0), (x2, y2), (x3, y3) = dots
    assert x2 - x0 == pytest.approx(2 * (x3 - x2), abs=0.2)  # the unanswered frame keeps its place
    assert y0 - y3 == pytest.approx(y3 - y2, abs=0.2)
    assert "0 ms8 ms16 ms24 ms32 ms" in chart.text
    assert "p50 20" in chart.text
    assert "p99 30" in chart.text


def test_latency_chart_without_answers() -> None:
    chart = Reader(latency_chart("room", np.full(3, np.nan), np.nan, np.nan))
    assert chart.all("circle") == []
    assert "p50" not in chart.text


def test_confusion_table_shows_shares_and_supports() -> None:
    html = confusion_table(matrix(), "silent")
    rows = re.findall(r"<tr>(.*?)</tr>", html.split("<tbody>")[1])
    cells = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in rows]
    assert cells == [["75", "25", "0", "0", "4"], ["0", "50", "0", "50", "2"], ["", "", "", "", "0"]]
    assert "a &lt;b&gt; &amp; c" in html
    assert Reader(html).text.count("silent") == 1


def test_iou_table_shows_iou_recall_and_points() -> None:
    text = Reader(iou_table(matrix(), CLASSES)).text
    assert "floor75.0 %75.0 %4" in text
    assert "a <b> & c33.3 %50.0 %2" in text  # 1 hit of 3 in the union
    assert "nightn/an/a0" in text


def test_stage_table_scales_bars_to_the_longest_stage() -> None:
    table = Reader(stage_table({"fast": {"p50": 5.0, "p99": 6.0}, "slow": {"p50": 20.0, "p99": 30.0}}))
    assert [bar["style"] for bar in table.all("i")] == ["width:25.0%", "width:100.0%"]
    assert stage_table({})


def test_percent() -> None:
    assert percent(0.1234) == "12.3 %"
    assert percent(float("nan")) == "n/a"


def test_luminance_and_lifting() -> None:
    assert relative_luminance((0, 0, 0)) == 0
    assert relative_luminance((255, 255, 255)) == pytest.approx(1)
    assert relative_luminance((255, 0, 0)) == pytest.approx(0.2126)
    bright, green, night = lifted(CLASSES)
    assert (bright, green) == CLASSES[:2]
    assert relative_luminance(CLASSES[2].color) < 0.05 < 0.16 < relative_luminance(night.color)
    assert night.color[2] > night.color[0]  # still blue


def test_palette_holds_the_class_colours_and_grey() -> None:
    colors = palette(CLASSES)
    assert colors.shape == (256, 3)
    np.testing.assert_allclose(colors[1], [0, 1, 0])
    np.testing.assert_array_equal(colors[3], colors[UNLABELLED])


def test_optical_axes_become_forward_left_up() -> None:
    right_down_forward = np.eye(3)
    np.testing.assert_array_equal(
        forward_axes(right_down_forward, "camera_depth_optical_frame"), [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    )
    np.testing.assert_array_equal(forward_axes(right_down_forward, "lidar"), right_down_forward)


@pytest.mark.parametrize("draw", [birds_eye_pair, camera_pair])
def test_pictures_show_truth_left_and_prediction_right(draw) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    points = rng.uniform((2, -2, -1), (6, 2, 1), (2000, 3))
    truth, predicted = np.zeros(2000, np.uint8), np.ones(2000, np.uint8)
    image = pixels(draw(points, truth, predicted, CLASSES, caption="x < y"))
    left, right = np.array_split(image, 2, axis=1)
    assert count_near(left, (255, 0, 0)) > 2000 > 100 > count_near(left, (0, 255, 0))
    assert count_near(right, (0, 255, 0)) > 2000 > 100 > count_near(right, (255, 0, 0))


def test_birds_eye_puts_forward_up_and_left_to_the_left() -> None:
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(1)
    ahead_left = rng.normal((8, 6, 0), 0.3, (300, 3))
    behind_right = rng.normal((-8, -6, 0), 0.3, (300, 3))
    labels = np.repeat(np.array([0, 1], np.uint8), 300)
    image = pixels(birds_eye_pair(np.vstack([ahead_left, behind_right]), labels, labels, CLASSES, reach_m=10.0))
    panel = image[:, : image.shape[1] // 2]
    rows, columns = np.nonzero(np.abs(panel - (255, 0, 0)).max(axis=2) < 30)
    assert rows.mean() < 0.3 * panel.shape[0]
    assert columns.mean() < 0.4 * panel.shape[1]
    rows, columns = np.nonzero(np.abs(panel - (0, 255, 0)).max(axis=2) < 30)
    assert rows.mean() > 0.7 * panel.shape[0]
    assert columns.mean() > 0.6 * panel.shape[1]


def test_higher_points_hide_lower_ones_from_above() -> None:
    pytest.importorskip("matplotlib")
    grid = np.stack(np.meshgrid(np.linspace(1, 5, 60), np.linspace(-2, 2, 60)), -1).reshape(-1, 2)
    table, floor = np.c_[grid, np.ones(len(grid))], np.c_[grid, np.zeros(len(grid))]
    labels = np.repeat(np.array([1, 0], np.uint8), len(grid))  # the higher ones come first
    image = pixels(birds_eye_pair(np.vstack([table, floor]), labels, labels, CLASSES))
    assert count_near(image, (0, 255, 0)) > 100 * max(count_near(image, (255, 0, 0)), 1)


def test_empty_cloud_can_be_drawn() -> None:
    pytest.importorskip("matplotlib")
    none = np.empty(0, np.uint8)
    assert pixels(birds_eye_pair(np.empty((0, 3)), none, none, CLASSES)).size
    assert pixels(camera_pair(np.empty((0, 3)), none, none, CLASSES)).size


def test_page_is_whole_escaped_and_needs_nothing_else() -> None:
    page = Page("A & B", "x < y")
    page.tiles([("97 %", "accuracy", "of <all>")])
    page.section("Classes", legend(CLASSES) + confusion_table(matrix()), "note & note")
    page.section("Facts", facts_table([("machine", "<2 cores>")]))
    html = page.render()
    reader = Reader(html)
    for text in ("A & B", "x < y", "of <all>", "note & note", "<2 cores>", "a <b> & c"):
        assert text in reader.text
    assert html.startswith("<!doctype html>")
    assert not reader.all("script")
    assert not reader.all("link")
    assert not re.search(r"(?:src|href)=[\"'](?!data:)|url\(|@import|https?://", html)
