"""Bundles: what goes in comes out, and what does not fit is refused with a sentence."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pointata import BundleError
from pointata.bundles.adapter import save_bundle, state_score
from pointata.bundles.adapter_metadata import AdapterMetadata
from pointata.bundles.backbone import save_backbone
from pointata.bundles.bundle import load_bundle, read_metadata
from pointata.bundles.catalogue import shipped_bundles
from pointata.classes import class_list
from pointata.cli import main
from pointata.errors import ConfigError
from pointata.model.config import preset
from pointata.model.pointata import PointATA
from pointata.model.trainable import adapter_state
from pointata.preprocessing.sampling import SamplingConfig

CLASSES = class_list(("one", (255, 0, 0)), ("two", (0, 255, 0)), ("three", (0, 0, 255)))


def bundle(folder: Path, seed: int = 0, backbone: str = "spine", name: str = "limb") -> tuple[Path, PointATA]:
    torch.manual_seed(seed)
    network = preset("tiny", groups=16, group_size=8, window=4, heads={"action": 3, "semantic": 3})
    model = PointATA(network).eval()
    metadata = AdapterMetadata(
        name=name,
        network=network,
        sampling=SamplingConfig(points=64),
        heads={"action": CLASSES, "semantic": CLASSES},
        frame_period_s=0.1,
        backbone=backbone,
        training={"data": "none"},
        score={"action_accuracy": 0.5},
    )
    return save_bundle(folder, model, metadata), model


def test_round_trip(tmp_path: Path) -> None:
    path, model = bundle(tmp_path)
    loaded, metadata = load_bundle(str(path))
    assert metadata == read_metadata(str(path))
    assert metadata.heads["action"] == CLASSES
    assert metadata.score == {"action_accuracy": 0.5}
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, atol=2e-3, rtol=1e-3)  # stored as float16
    assert not loaded.training


def test_info_describes_bundles_of_both_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, model = bundle(tmp_path / "whole")
    spine = save_backbone(tmp_path, "spine", model.backbone, {"objective": "none", "steps": 0})
    assert main(["info", str(path), str(spine)]) == 0
    said = yaml.safe_load(capsys.readouterr().out)
    assert said[str(path)].pop("kind") == "adapter"
    assert AdapterMetadata.from_dict(said[str(path)]) == read_metadata(str(path))
    assert (said[str(spine)]["kind"], said[str(spine)]["training"]["steps"]) == ("backbone", 0)
    assert main(["info", str(tmp_path / "none.safetensors")]) == 1


def test_the_adapter_file_holds_exactly_the_adapter(tmp_path: Path) -> None:
    path, model = bundle(tmp_path)
    with safe_open(path, framework="pt") as file:
        assert set(file.keys()) == set(adapter_state(model))
        header = json.loads(file.metadata()["pointata"])
    assert header["metadata"]["name"] == "limb"


def test_a_copy_states_a_score_and_nothing_else_changes(tmp_path: Path) -> None:
    path, _ = bundle(tmp_path / "in")
    before, content = load_file(path), path.read_bytes()
    scored = state_score(path, tmp_path / "out", {"segmentation_miou": 0.25}, ["sim:room?seed=1"])
    assert (scored, path.read_bytes()) == (tmp_path / "out" / path.name, content)
    metadata = read_metadata(str(scored))
    assert (metadata.score, metadata.scored_on) == ({"segmentation_miou": 0.25}, ("sim:room?seed=1",))
    after = load_file(scored)
    assert set(before) == set(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    load_bundle(str(scored))
    with pytest.raises(ConfigError, match="would be replaced"):
        state_score(path, path.parent, {}, [])
    bundle(tmp_path / "other", seed=1)
    with pytest.raises(BundleError, match="another backbone"):
        state_score(path, tmp_path / "other", {}, [])


def test_two_adapters_share_a_backbone(tmp_path: Path) -> None:
    bundle(tmp_path, seed=0)
    before = (tmp_path / "spine.safetensors").read_bytes()
    bundle(tmp_path, seed=0, name="other")
    assert (tmp_path / "spine.safetensors").read_bytes() == before
    with pytest.raises(BundleError, match="another backbone"):
        bundle(tmp_path, seed=1, name="third")


def test_a_backbone_may_be_replaced_on_request(tmp_path: Path) -> None:
    path, _ = bundle(tmp_path, seed=0)
    _, model = bundle(tmp_path / "other", seed=1)
    metadata = read_metadata(str(path))
    assert isinstance(metadata, AdapterMetadata)
    save_bundle(tmp_path, model, replace(metadata, name="new"), replace_backbone=True)
    load_bundle(str(tmp_path / "new.safetensors"))
    with pytest.raises(BundleError, match="was trained on backbone"):
        load_bundle(str(path))


@pytest.mark.parametrize(
    "wrong",
    [
        {"heads": {"action": CLASSES}},
        {"sampling": SamplingConfig(points=8)},
        {"sampling": SamplingConfig(point_neighbours=0)},
    ],
)
def test_metadata_that_contradicts_itself_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path, _ = bundle(tmp_path)
    with pytest.raises(ConfigError):
        replace(read_metadata(str(path)), **wrong)


def test_a_foreign_backbone_is_refused(tmp_path: Path) -> None:
    path, _ = bundle(tmp_path / "a", seed=0)
    bundle(tmp_path / "b", seed=1)
    with pytest.raises(BundleError, match="was trained on backbone 'spine'"):
        load_bundle(str(path), backbone=str(tmp_path / "b" / "spine.safetensors"))


def test_a_missing_backbone_is_named(tmp_path: Path) -> None:
    path, _ = bundle(tmp_path)
    (tmp_path / "spine.safetensors").unlink()
    with pytest.raises(BundleError, match="no bundle 'spine'"):
        load_bundle(str(path))


def test_damage_is_noticed(tmp_path: Path) -> None:
    path, _ = bundle(tmp_path)
    spine = tmp_path / "spine.safetensors"
    whole = spine.read_bytes()
    spine.write_bytes(whole[:-8] + bytes(8 * [7]))
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(str(path))
    spine.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(str(path))


def test_other_files_are_refused(tmp_path: Path) -> None:
    path, _ = bundle(tmp_path)
    with pytest.raises(BundleError, match="as model give an adapter"):
        load_bundle(str(tmp_path / "spine.safetensors"))
    save_file({"x": torch.zeros(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(BundleError, match="not a pointata bundle"):
        load_bundle(str(tmp_path / "plain.safetensors"))
    torch.save({"x": torch.zeros(1)}, tmp_path / "pickle.safetensors")
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(str(tmp_path / "pickle.safetensors"))
    with pytest.raises(BundleError, match="no bundle 'nowhere'"):
        load_bundle("nowhere")
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    tensors.pop("context.up.bias")
    save_file(tensors, path, metadata=header)
    with pytest.raises(BundleError, match=r"context\.up\.bias"):
        load_bundle(str(path))


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    path, _ = bundle(tmp_path)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["pointata"])
    save_file(load_file(path), path, metadata={"pointata": json.dumps(header | {"format": 99})})
    with pytest.raises(BundleError, match="format 99"):
        load_bundle(str(path))


def test_every_shipped_bundle_loads_and_states_its_score() -> None:
    assert set(shipped_bundles()) == {"mars_actions", "sim_room", "sim_street"}  # and no backbone among them
    for name in shipped_bundles():
        model, metadata = load_bundle(name)
        scores = {"action": "action_accuracy", "semantic": "segmentation_miou"}
        stated = [metadata.score[figure] for task, figure in scores.items() if task in metadata.heads]
        assert stated
        assert min(stated) > 0.5
        assert metadata.scored_on
        assert sum(p.numel() for p in model.parameters()) < 1e6
