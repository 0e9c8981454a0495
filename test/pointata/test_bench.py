"""The benchmark's helpers by hand cases, and one run of its network part at the smallest size."""

import importlib
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]


def module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of benchmarks/, which is no package that is installed."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module(name)


def test_percentiles_lie_linearly_between_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    measure = module("realtime.measure", monkeypatch)
    assert measure.latency([4.0, 1.0, 3.0, 2.0]) == {"p50_ms": 2.5, "p99_ms": pytest.approx(3.97), "max_ms": 4.0}
    assert all(np.isnan(value) for value in measure.latency([]).values())


def test_medians_over_entries_that_some_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    measure = module("realtime.measure", monkeypatch)
    assert measure.medians([{"a": 1.0}, {"a": 3.0, "b": 7.0}, {"a": 2.0}]) == {"a": 2.0, "b": 7.0}


def test_pairs_alternate_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    measure, calls = module("realtime.measure", monkeypatch), []
    first, second = measure.in_both_orders(lambda: calls.append("A"), lambda: calls.append("B"), 3)
    assert "".join(calls) == "AB" + "ABBAAB"  # one call each to warm up
    assert len(first) == len(second) == 3


def test_coverage_of_points_on_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [5, 0, 0]], dtype=np.float32)
    found = module("realtime.preprocessing", monkeypatch).coverage(points, np.array([0, 2]))
    assert found == {"mean_m": 1.0, "p99_m": pytest.approx(2.94), "max_m": 3.0}  # distances 0, 1, 0, 3


def test_scan_lies_in_the_street_and_loses_its_share_of_beams(monkeypatch: pytest.MonkeyPatch) -> None:
    scan = module("realtime.scan", monkeypatch)
    points = scan.lidar_scan(6400, seed=1)
    lost = np.isnan(points).any(axis=1)
    assert lost.sum() == 320  # 5 %
    x, y, z = points[~lost].T
    noise = 0.2
    assert z.min() > -scan._SENSOR_HEIGHT_M - noise  # nothing below the ground
    assert np.abs(x).max() < 80 + noise  # the walls at the ends of the street
    assert np.abs(y).max() < 14 + noise  # the houses
    elevation = np.rad2deg(np.arctan2(z, np.hypot(x, y)))
    beams = np.linspace(-25, 3, 64)
    assert np.abs(elevation[:, None] - beams).min(axis=1).max() < 1e-3  # noise is along the beam


def test_message_decodes_to_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    from pointata.data.pointcloud2 import decode_cloud

    scan = module("realtime.scan", monkeypatch)
    points = scan.lidar_scan(640)
    cloud = decode_cloud(scan.cloud_message(points, stamp_ns=1_500_000_000))
    np.testing.assert_array_equal(cloud.xyz, points)
    assert cloud.stamp_ns == 1_500_000_000


def test_table_and_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = module("pages", monkeypatch)
    assert pages.table(["a", "b"], [["x", 1]]) == ["| a | b |", "| --- | --- |", "| x | 1 |"]
    text = "head\n<!-- sizes -->\nold\n<!-- end of sizes -->\ntail\n"
    expected = "head\n<!-- sizes -->\nnew\n<!-- end of sizes -->\ntail\n"
    assert pages.replace_section(text, "sizes", ["new"]) == expected
    with pytest.raises(SystemExit, match="markers"):
        pages.replace_section("no markers", "sizes", ["new"])


def test_page_has_the_markers_of_every_section(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for name in module("realtime.page", monkeypatch).SECTIONS:
        assert text.index(f"<!-- bench: {name} -->") < text.index(f"<!-- end of bench: {name} -->")


def test_only_docs_renews_the_committed_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, committed = module("bench", monkeypatch), tmp_path / "docs" / "performance.md"
    committed.parent.mkdir()
    before = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    committed.write_text(before, encoding="utf-8")
    monkeypatch.setattr(bench, "PAGE", committed)
    monkeypatch.setattr(bench, "PARTS", {"sizes": lambda given: bench.measure_sizes(bench.PRESETS[:1])})
    monkeypatch.setattr(bench, "keep_freed_memory", lambda: None)
    threads = torch.get_num_threads()
    out = tmp_path / "build" / "results.json"
    try:
        assert bench.main(["--parts", "sizes", "--out", str(out)]) == 0
        own = (out.parent / "performance.md").read_text(encoding="utf-8")
        assert committed.read_text(encoding="utf-8") == before
        assert bench.main(["--parts", "sizes", "--out", str(out), "--docs"]) == 0
    finally:
        torch.set_num_threads(threads)
    assert committed.read_text(encoding="utf-8") != before
    measured = re.search(r"^Measured .* UTC", before, re.MULTILINE)
    assert measured is not None
    assert measured[0] not in own  # no figure of the committed page's machine
    streaming = "<!-- bench: streaming -->\nNot measured in this run.\n<!-- end of bench: streaming -->"
    assert streaming in own
    assert streaming not in committed.read_text(encoding="utf-8")


def test_disagreement_fails_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = module("bench", monkeypatch)
    agreeing, nan = {"max_difference": 2e-6}, {"max_difference": float("nan")}
    assert bench.largest_difference({}) == 0
    assert bench.largest_difference({"stream_speedup_details": {"tiny": {"8": agreeing}}}) == 2e-6
    for bad in (nan, {"max_difference": 0.1}):
        details = {"tiny": {"8": agreeing, "16": bad}}
        assert bench.largest_difference({"stream_speedup_actions_details": details}) > 0.09


def test_quick_run_of_the_network_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "results.json"
    bench = module("bench", monkeypatch)
    assert bench.main(["--quick", "--parts", "streaming", "shapeless", "sizes", "--out", str(out)]) == 0
    results = json.loads(out.read_text())
    for key in ("stream_speedup", "stream_speedup_actions"):
        assert set(results[key]["tiny"]) == {"8", "16", "24"}
        assert all(ratio > 0 for ratio in results[key]["tiny"].values())
        for detail in results[f"{key}_details"]["tiny"].values():
            assert detail["max_difference"] <= 1e-4 < 1e-2 < detail["effect_of_past"]
    assert {"cpu", "cores", "torch", "threads", "load_average", "date"} <= set(results["machine"])
    assert results["state_kib"]["tiny"] < results["state_kib"]["small"] < results["state_kib"]["base"]
    assert results["parameters"]["tiny"]["adapter"] < results["parameters"]["tiny"]["total"]
    assert [case["answered"] for case in results["shapeless_ms"].values()] == [True, True, True, False, False, True]
    page = sys.modules["realtime.page"]
    assert len(page.SECTIONS["shapeless"][1](results)) == 2 + 6
    assert len(page.SECTIONS["streaming"][1](results)) == 2 + 2 * 3  # header, two sets of heads, three windows
