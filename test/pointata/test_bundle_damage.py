"""The shipped bundles, damaged: weights that changed are refused, whatever they would have answered."""

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bundle_surgery import SHIPPED, change_header, copied, parts, write_parts
from safetensors.torch import load_file

from pointata import BundleError
from pointata.alignment.embedder_file import aligned_network, load_aligned, save_aligned
from pointata.bundles.backbone import read_backbone
from pointata.bundles.bundle import load_bundle
from pointata.bundles.catalogue import shipped_bundles
from pointata.bundles.format import write
from pointata.inference.predictor import Predictor
from pointata.model.config import preset
from pointata.model.pointata import PointATA
from pointata.model.trainable import checksum

#: SHA-256 over names, types, shapes and bytes of the tensors as they were shipped in file format 1.
WEIGHTS = {
    "mars_actions": "548cdbd1957da4dcab69affe2cc153989ab45e47a4945d63b8829da8d3a7b13c",
    "pointmae_tiny": "e1d66259f4da278ad454fd40b4b361405ce4a461033ef2e287d0448e3e0152f0",
    "sim_room": "80505144ccc58b7315300188c20694d331e0a44b60bc87db7e916eafc6ae36d7",
    "sim_street": "15bc2bf7c3040debecc196b31bbc11ae510de46af69c653bd678cb6875d01a68",
    "sim_street_backbone": "582bf6d7c5239721a7f5fadfaf10a0d2ea6b9f98481237adbecb40a70ecbe4b6",
}
BACKBONES = {"mars_actions": "pointmae_tiny", "sim_room": "pointmae_tiny", "sim_street": "sim_street_backbone"}


def both(name: str, folder: Path) -> tuple[Path, Path]:
    """Copies of a shipped bundle and its backbone."""
    return copied(name, folder), copied(BACKBONES[name], folder)


@pytest.mark.parametrize("name", sorted(WEIGHTS))
def test_the_weights_are_those_of_the_first_format(name: str) -> None:
    digest = hashlib.sha256()
    for key, value in sorted(load_file(SHIPPED / f"{name}.safetensors").items()):
        digest.update(key.encode() + str((value.dtype, tuple(value.shape))).encode() + value.numpy().tobytes())
    assert digest.hexdigest() == WEIGHTS[name]
    assert parts(SHIPPED / f"{name}.safetensors")[1]["format"] == 2


@pytest.mark.parametrize("which", [0, 1], ids=["adapter", "backbone"])
@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_one_flipped_bit_is_noticed(name: str, which: int, tmp_path: Path) -> None:
    files = both(name, tmp_path)
    whole = files[which].read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    rng = np.random.default_rng(which)
    for place in [start, len(whole) - 1, *rng.integers(start, len(whole), 10).tolist()]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        files[which].write_bytes(damaged)
        with pytest.raises(BundleError, match="is damaged: its weights do not match its checksum"):
            load_bundle(str(files[0]))


def test_a_block_of_ones_is_noticed(tmp_path: Path) -> None:
    """As found: 59 kB of 0xFF among the weights of sim_room, which answered NaN."""
    path, _ = both("sim_room", tmp_path)
    content = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    content[start + 1000 : start + 60_000] = b"\xff" * 59_000
    path.write_bytes(content)
    with pytest.raises(BundleError, match="damaged"):
        Predictor.load(str(path), device="cpu")


def test_weights_that_are_not_finite_are_refused_with_a_right_checksum(tmp_path: Path) -> None:
    path, _ = both("sim_room", tmp_path)
    header = parts(path)[1]
    state = load_file(path)
    state["context.up.bias"][3] = torch.inf
    write(path, "adapter", state, {key: header[key] for key in ("metadata", "backbone_checksum")})
    with pytest.raises(BundleError, match=r"context\.up\.bias is not finite"):
        load_bundle(str(path))


def test_a_damaged_aligned_embedder_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = PointATA(preset("tiny", groups=16, group_size=8))
    path = tmp_path / "a_align.safetensors"
    save_aligned(path, model, {"backbone": "spine"})
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    with pytest.raises(BundleError, match="do not match its checksum"):
        load_aligned(path, model)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda network: network.update(groups="64"), r"network\.groups is '64', allowed: a whole number"),
        (lambda network: network["backbone"].update(width=None), r"network\.backbone\.width is None"),
        (lambda network: network.update(height=1), r"network\.height is 1, allowed: true or false"),
        (lambda network: network.pop("features"), "network lacks features"),
    ],
)
def test_an_aligned_embedder_of_a_wrong_network_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    path = tmp_path / "a_align.safetensors"
    save_aligned(path, PointATA(preset("tiny", groups=16, group_size=8)), {})
    change_header(path, lambda header: change(header["network"]))
    with pytest.raises(BundleError, match=words):
        aligned_network(path)


def test_a_bundle_of_the_first_format_loads_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, spine = both("mars_actions", tmp_path)
    for file in (path, spine):
        table, header, tensors = parts(file)
        header["format"] = 1
        if header["kind"] == "adapter":  # backbones had one from the start
            del header["checksum"]
        for extra in ("simulated", "licence", "data_licence"):
            header.get("metadata", header).pop(extra)
        write_parts(file, table, json.dumps(header), tensors)
    with caplog.at_level(logging.WARNING):
        model, metadata = load_bundle(str(path))
    assert [record.message.split(": ", 1)[-1] for record in caplog.records] == ["damage to its weights may go unseen"]
    assert not metadata.simulated
    expected = load_bundle("mars_actions")[0].state_dict()
    assert checksum(model.state_dict()) == checksum(expected)


def test_the_second_format_needs_its_checksum(tmp_path: Path) -> None:
    path, _ = both("mars_actions", tmp_path)
    change_header(path, lambda header: header.pop("checksum"))
    with pytest.raises(BundleError, match="lacks the checksum"):
        load_bundle(str(path))


def test_what_was_simulated_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    said = {}
    for name in shipped_bundles():
        caplog.clear()
        _, metadata = load_bundle(name)
        said[name] = [record.message for record in caplog.records]
        assert metadata.simulated == name.startswith("sim_")
        assert metadata.licence == "Apache-2.0"
        assert metadata.data_licence
    assert said.pop("mars_actions") == []
    for name, sentences in said.items():
        assert sentences == [
            f"bundle {name} was trained on simulated data only: its labels on real recordings are not to be relied on"
        ]


def test_a_loaded_network_does_not_depend_on_its_file(tmp_path: Path) -> None:
    """Tensors of a mapped file would change with it."""
    path, spine = both("sim_room", tmp_path)
    model, _ = load_bundle(str(path))
    before = checksum(model.state_dict())
    for file in (path, spine):
        size = file.stat().st_size
        with file.open("r+b") as content:
            content.write(b"\xff" * size)
    assert checksum(model.state_dict()) == before
    with pytest.raises(BundleError):
        read_backbone(str(spine))
