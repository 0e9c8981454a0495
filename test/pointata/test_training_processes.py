"""Training in two processes by Lightning's own flags; each clip is seen by one of them."""

import json
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training import arguments
from witness import fingerprints

from pointata.bundles.bundle import load_bundle
from pointata.cli import main
from pointata.errors import ConfigError
from pointata.model.pointata import PointATA
from pointata.preprocessing.sampling import SamplingConfig
from pointata.training.clips import ClipSettings
from pointata.training.video_clips import DataSettings, VideoClips

for module in ("lightning", "jsonargparse", "torchmetrics", "open3d"):
    pytest.importorskip(module, reason=f"training on the simulator needs {module} (pip install {module})")

EPOCHS = 2
#: Odd numbers, so that neither training nor validation clips can be shared out evenly.
PER_EPOCH = 5
SPLIT = ["--data.clips.per_epoch=5", "--data.clips.validation_stride=1", f"--trainer.max_epochs={EPOCHS}"]


def in_two_processes(folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    """A run from scratch; the witness of each process writes into <folder>/seen."""
    witness = json.dumps([{"class_path": "witness.Witness", "init_args": {"folder": str(folder / "seen")}}])
    command = [*arguments(folder, "shared", "trunk", "scratch"), *SPLIT, f"--trainer.callbacks={witness}"]
    command += ["--trainer.devices=2", "--trainer.strategy=ddp", *more]
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-m", "pointata.cli", *command],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes trained a network, with the plain strategy "ddp": every trained parameter has a gradient."""
    folder = tmp_path_factory.mktemp("processes")
    done = in_two_processes(folder)
    assert done.returncode == 0, done.stderr
    return folder


def seen(folder: Path) -> list[Any]:
    return [json.loads((folder / "seen" / f"{rank}.json").read_text()) for rank in (0, 1)]


def data_of(folder: Path) -> VideoClips:
    """The data of the run, opened here."""
    settings = DataSettings(
        "sim:room?recordings=2&validation=1&test=0&frames=8",
        clips=ClipSettings(frames=4, per_epoch=PER_EPOCH, batch_size=2, dense_frames=1, validation_stride=1),
        sampling=SamplingConfig(points=64, point_neighbours=4, scale_m=2.0),
        cache=folder / "cache",
        workers=0,
    )
    data = VideoClips(settings)
    data.setup("fit")
    return data


def test_each_training_clip_is_drawn_by_one_process(folder: Path) -> None:
    first, second = (ranks["train"] for ranks in seen(folder))
    assert len(first) == len(second)  # else the processes would wait for each other for ever
    assert not set(first) & set(second)
    drawn = data_of(folder).drawn_clips()
    expected = [fingerprints(drawn[item])[0] for item in range(EPOCHS * (PER_EPOCH + 1))]
    assert sorted(first + second) == sorted(expected)


def test_each_validation_clip_counts_once(folder: Path) -> None:
    ranks = seen(folder)
    batches = data_of(folder).val_dataloader()
    expected = list(chain.from_iterable(fingerprints(batch) for batch in batches))
    assert len(expected) == len(set(expected)) == 5
    assert sorted(ranks[0]["val"] + ranks[1]["val"]) == sorted(expected * EPOCHS)
    for name in ("val/accuracy", "val/segmentation_miou_present"):
        assert ranks[0]["metrics"][name] == ranks[1]["metrics"][name], name


def test_both_processes_end_with_the_same_network_and_write_one_bundle(folder: Path) -> None:
    ranks = seen(folder)
    assert ranks[0]["weights"] == ranks[1]["weights"]
    names = sorted(path.name for path in (folder / "bundles").iterdir())
    assert names == ["shared.json", "shared.safetensors", "trunk.safetensors"]
    model, metadata = load_bundle(str(folder / "bundles" / "shared.safetensors"))
    assert metadata.training["steps"] == EPOCHS * 2
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    ledger = json.loads((folder / "bundles" / "shared.json").read_text())
    assert [epoch["epoch"] for epoch in ledger["epochs"]] == list(range(EPOCHS))
    assert ledger["peak_memory_mb"] > 0


def test_fewer_clips_than_processes_is_a_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = data_of(folder)

    class TwentyProcesses:
        world_size, global_rank = 20, 0

    data.trainer = TwentyProcesses()  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="5 validation clips for 20 processes"):
        data.val_dataloader()


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = [*arguments(tmp_path, "dry", "trunk", "scratch"), f"--data.cache={folder / 'cache'}", "--dry-run"]
    with caplog.at_level("INFO", logger="pointata"):
        assert main(given) == 0
    assert list(tmp_path.iterdir()) == []
    model, _ = load_bundle(str(folder / "bundles" / "shared.safetensors"))  # the same network
    assert isinstance(model, PointATA)
    total, unused = (sum(p.numel() for p in part.parameters()) for part in (model, model.backbone.tokenizer))
    trained = total - unused  # the embedder stands in for the tokenizer
    assert f"{trained:,} of {total:,} parameters are trained ({100 * trained / total:.1f} %)" in caplog.text
    assert "training: 2 recordings, 16 frames; validation: 1 recordings, 8 frames" in caplog.text
    assert "one training step on the CPU, 2 clips of 4 frames" in caplog.text
    assert "MiB at the peak" in caplog.text
