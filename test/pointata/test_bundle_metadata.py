"""The metadata of a bundle, field by field: a shipped bundle with one value changed is refused with a sentence."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from bundle_surgery import change_header, copied, parts, put, write_parts

from pointata import BundleError
from pointata.bundles.backbone import read_backbone
from pointata.bundles.bundle import describe, load_bundle, read_metadata
from pointata.bundles.catalogue import resolve

NAN, INFINITY, HUGE = float("nan"), float("inf"), 2**63
WRONG: dict[str, list[Any]] = {
    "metadata": [None, [], "text"],
    "metadata.frame_period_s": [NAN, INFINITY, -0.1, 0, "0.1", True, None, [], 1e-320, 10**9, 10**400],
    "metadata.name": ["", "a/b", "..", 7, None, "x" * 201, "\ud800", "a\nb", "a\0", "pointmae_tiny"],
    "metadata.backbone": ["", "../../../etc/passwd", "..", 7, "x" * 300, "sim_room"],
    "metadata.network": [[], None, 3],
    "metadata.network.backbone.width": [0, -96, 96.0, True, "96", HUGE, None],
    "metadata.network.backbone.depth": [0, 65, 10**6],
    "metadata.network.backbone.heads": [0, -1, 5, True],
    "metadata.network.backbone.tokenizer": [[32, 64], {}, None, [32, 64, "128"], [32, 64, 10**6]],
    "metadata.network.adapter_width": [True, 0, 30_000, 10**6, "32", 32.5],
    "metadata.network.groups": [0, 10**9, 2000],
    "metadata.network.group_size": [0, 10**9, 1.5],
    "metadata.network.window": [2, 10**9, "24", True],
    "metadata.network.context_neighbours": [0, 1025, 81],
    "metadata.network.height": [HUGE, "true", 1, None],
    "metadata.network.features": ["doppler", [7], [["a"]], {}],
    "metadata.network.heads": [[], {"action": True}, {"flight": 3}, None, {"action": 8}],
    "metadata.sampling.points": [10**9, 0, 1024.0, True],
    "metadata.sampling.scale_m": [NAN, 0, -1, INFINITY, "2", 1e300],
    "metadata.sampling.max_range_m": [NAN, -1, INFINITY],
    "metadata.sampling.min_range_m": [NAN, -1, "0"],
    "metadata.sampling.centre_m": [[0, 0], [0, 0, NAN], 3, [0, 0, "0"]],
    "metadata.sampling.voxel_m": [NAN, -1, 1e9],
    "metadata.sampling.point_neighbours": [10**9, -1, 0, True],
    "metadata.heads": [[], None, {}, {"action": []}],
    "metadata.heads.action": [{}, None, "stand", [1, 2]],
    "metadata.heads.action.0": [None, {"id": 0}, ["id", "name", "color"]],
    "metadata.heads.action.0.id": [999, 1, -1, False, "0"],
    "metadata.heads.action.7.id": [999, 8, 6],
    "metadata.heads.action.0.name": [7, "", "x" * 201, None],
    "metadata.heads.action.0.color": ["red", [0, 0], [0, 0, 256], [0, 0, -1], [0, 0, 0.5], [True, 0, 0]],
    "metadata.training": [[], "sim", 7, {"loss": NAN}, {"loss": [INFINITY]}, {"seed": 10**400}],
    "metadata.score": [["a"], {"action_accuracy": "good"}, {"action_accuracy": NAN}, 0.9],
    "metadata.scored_on": ["sim:room", [7], {}],
    "metadata.merge": [0, 65, True, "2", None],
    "metadata.simulated": [1, "yes", None],
    "metadata.licence": [7, None, "x" * 201],
    "metadata.stranger": [1],
    "backbone_checksum": [None, 7, "short"],
    "checksum": [None, 7, "0" * 15],
    "format": [None, 99, "2", True, [2], {}],
    "kind": [None, [], {}, 7, "pickle"],
}  # fmt: skip


#: Fields that every bundle states.
NEEDED = ["name", "network", "sampling", "heads", "frame_period_s", "backbone"]


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_value_is_refused_and_named(field: str, tmp_path: Path) -> None:
    """The sentence names file and field, and is no longer than a sentence."""
    path = copied("sim_room", tmp_path)
    whole = path.read_bytes()
    for value in WRONG[field]:
        path.write_bytes(whole)
        change_header(path, lambda header, value=value: put(header, field, value))  # type: ignore[misc]
        with pytest.raises(BundleError) as caught:
            load_bundle(str(path))
        sentence = str(caught.value)
        assert str(path) in sentence
        assert len(sentence) < 500
        # ids and names are compared with each other, too: then the sentence names the list
        last = [part for part in field.split(".") if not part.isdigit()][-1]
        assert last in sentence or "bundle" in sentence.removeprefix(str(path)), sentence


@pytest.mark.parametrize("field", NEEDED)
def test_a_field_that_lacks_is_named(field: str, tmp_path: Path) -> None:
    path = copied("sim_room", tmp_path)
    change_header(path, lambda header: header["metadata"].pop(field))
    with pytest.raises(BundleError, match=f"metadata lacks {field}"):
        read_metadata(str(path))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("network", [[], None]),
        ("network.width", [0, 10**6, True]),
        ("network.heads", [0, 7]),
        ("checksum", [None, 3]),
        ("name", [None, 3]),
        ("training", [[], 3]),
    ],
)
def test_a_backbone_is_checked_as_well(field: str, values: list[Any], tmp_path: Path) -> None:
    path = copied("pointmae_tiny", tmp_path)
    whole = path.read_bytes()
    for value in values:
        path.write_bytes(whole)
        change_header(path, lambda header, value=value: put(header, field, value))  # type: ignore[misc]
        with pytest.raises(BundleError, match=str(path)):
            read_backbone(str(path))


@pytest.mark.parametrize("text", ["[" * 10_000 + "]" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000, "[" * 10_000])
def test_nested_headers_are_refused(text: str, tmp_path: Path) -> None:
    path = copied("sim_room", tmp_path)
    table, _, tensors = parts(path)
    for header in (text, f'{{"format": 2, "kind": "adapter", "metadata": {text}}}'):
        write_parts(path, table, header, tensors)
        with pytest.raises(BundleError, match="cannot be read"):
            describe(str(path))


def test_a_deep_but_readable_header_is_refused(tmp_path: Path) -> None:
    path = copied("sim_room", tmp_path)
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    change_header(path, lambda header: header["metadata"].update(training={"deep": deep}))
    with pytest.raises(BundleError, match=r"training\.'deep'.* nested at most"):
        describe(str(path))


def test_a_huge_header_is_refused_unread(tmp_path: Path) -> None:
    path = copied("sim_room", tmp_path)
    table, header, tensors = parts(path)
    header["metadata"]["training"]["filler"] = "x" * 2**21
    write_parts(path, table, json.dumps(header), tensors)
    with pytest.raises(BundleError, match=r"a header of .* bytes"):
        read_metadata(str(path))
    path.write_bytes((2**63).to_bytes(8, "little") + b"{}")
    with pytest.raises(BundleError, match=r"a header of .* bytes"):
        read_metadata(str(path))


@pytest.mark.parametrize(
    "name", ["n" * 300, "n" * 100_000, "a/" * 3000 + "b", "x" * 300 + ".safetensors", "a\0b", "\ud800", ""]
)
def test_a_name_that_is_no_file_is_a_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle") as caught:
        resolve(name, tmp_path)
    assert len(str(caught.value)) < 500
    with pytest.raises(BundleError, match="no bundle"):
        load_bundle("sim_room", backbone=name or "nothing")


def test_more_than_the_file_holds_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    """A network of 55 GB, claimed by two files of a megabyte; in a process of its own, whose memory is read."""
    path, spine = copied("sim_room", tmp_path), copied("pointmae_tiny", tmp_path)
    claims = {"width": 4096, "depth": 64, "tokenizer": [4096, 4096, 4096], "position_hidden": 4096}
    change_header(spine, lambda header: header["network"].update(claims))
    change_header(path, lambda header: header["metadata"]["network"]["backbone"].update(claims))
    program = (
        "import resource, sys, time\n"
        "from pointata import BundleError\n"
        "from pointata.bundles.bundle import load_bundle\n"
        "load_bundle('sim_room')\n"
        "before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()\n"
        "try:\n"
        "    load_bundle(sys.argv[1])\n"
        "except BundleError as error:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)\n"
    )
    start = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=120, env=dict(os.environ)
    )
    assert result.returncode == 0, result.stderr
    grown_kib, sentence = result.stdout.split(" ", 1)
    assert "does not fit its own architecture" in sentence
    assert int(grown_kib) < 50 * 1024
    assert time.monotonic() - start < 60  # it took more than 90 s
