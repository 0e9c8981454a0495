"""A training run that is killed goes on as if it had not been; what cannot be resumed is a sentence."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training import arguments

from pointata.bundles.bundle import read_metadata
from pointata.cli import main

for module in ("lightning", "jsonargparse", "torchmetrics", "open3d"):
    pytest.importorskip(module, reason=f"training on the simulator needs {module} (pip install {module})")

EPOCHS, STEPS = 3, 6


def run_of(folder: Path, cache: Path, *more: str) -> list[str]:
    """A run from scratch of EPOCHS epochs of STEPS steps, on one thread, with checkpoints."""
    return [
        *arguments(folder, "net", "trunk", "scratch"),
        f"--trainer.max_epochs={EPOCHS}",
        f"--data.clips.per_epoch={2 * STEPS}",
        f"--data.cache={cache}",
        "--trainer.enable_checkpointing=true",
        "--threads=1",
        *more,
    ]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Sums of several threads come out in any order."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """Folder of the uninterrupted run; it is asked to resume, where there is nothing to resume from yet."""
    folder = tmp_path_factory.mktemp("whole")
    assert main(run_of(folder, folder / "cache", "--resume=last")) == 0
    return folder


def test_without_a_checkpoint_resume_last_starts_from_the_beginning(whole: Path) -> None:
    assert read_metadata(str(whole / "bundles" / "net.safetensors")).training["steps"] == EPOCHS * STEPS


def kill_in_the_second_epoch(command: list[str], halted: Path) -> None:
    """Start a run, and kill -9 it in the middle of its second epoch."""
    halt = json.dumps([{"class_path": "witness.Halt", "init_args": {"file": str(halted)}}])
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, "-m", "pointata.cli", *command, f"--trainer.callbacks={halt}"],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 300
    while not halted.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    process.kill()
    _, error = process.communicate()
    assert halted.exists(), error
    assert process.returncode == -9


def figures(ledger: Path) -> Any:
    """The ledger without what it took."""
    content = json.loads(ledger.read_text())
    epochs = [content["last"], content["best"], *content["epochs"]]
    return [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in epochs]


def test_a_killed_run_resumes_to_the_same_weights_and_figures(whole: Path, tmp_path: Path) -> None:
    """Tolerance: none. On one thread both bundles are equal byte by byte, and so is every figure of every epoch.

    The resumed run draws its clips in another process, which starts before Lightning restores the epoch's number.
    """
    command = run_of(tmp_path, whole / "cache")
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    kill_in_the_second_epoch(command, tmp_path / "halted")
    assert torch.load(checkpoint, weights_only=True)["global_step"] == STEPS  # the steps after it are lost
    assert not (tmp_path / "bundles").exists()
    assert main([*command, "--resume=last", "--data.workers=1"]) == 0
    for name in ("net.safetensors", "trunk.safetensors"):
        assert (tmp_path / "bundles" / name).read_bytes() == (whole / "bundles" / name).read_bytes(), name
    ours, theirs = (figures(folder / "bundles" / "net.json") for folder in (tmp_path, whole))
    assert ours == theirs
    assert [epoch["epoch"] for epoch in ours[2:]] == list(range(EPOCHS))
    ledger = tmp_path / "bundles" / "net.json"
    first = json.loads(ledger.read_text())
    assert sum(map(sum, first["clip_confusion"])) > 0
    assert main([*command, "--resume=last"]) == 0  # nothing is left to train or to validate
    again = json.loads(ledger.read_text())
    assert again["clip_confusion"] == first["clip_confusion"]
    assert again["peak_memory_mb"] >= first["peak_memory_mb"]


#: Saves checkpoints in children that are killed at random moments; what lies there must always be whole.
SAVES = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from pointata.training.fit import WholeFiles

torch.set_num_threads(1)
path, moments, count = Path(sys.argv[1]), random.Random(0), 0
WholeFiles().save_checkpoint({"number": -1, "weights": torch.zeros(1)}, path)
for _ in range(12):
    child = os.fork()
    if not child:
        while True:
            count += 1
            WholeFiles().save_checkpoint({"number": count, "weights": torch.full((2_000_000,), count)}, path)
    time.sleep(moments.uniform(0.02, 0.2))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    content = torch.load(path, weights_only=True)
    assert (content["weights"] == content["number"]).all() or content["number"] == -1
    print(content["number"])
"""


def test_a_kill_while_a_checkpoint_is_saved_leaves_a_whole_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SAVES, str(tmp_path / "last.ckpt")],
        env=os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert max(map(int, done.stdout.split())) > 0


@pytest.mark.parametrize("damage", ["cut off", "overwritten", "empty", "no checkpoint"])
def test_a_damaged_checkpoint_is_a_sentence(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    content = (whole / "checkpoints" / "last.ckpt").read_bytes()
    bad = tmp_path / "bad.ckpt"
    if damage == "no checkpoint":
        torch.save({"weights": torch.zeros(3)}, bad)
    else:
        half = len(content) // 2
        bad.write_bytes({"cut off": content[:half], "overwritten": b"x" * len(content), "empty": b""}[damage])
    assert main(run_of(tmp_path, whole / "cache", f"--resume={bad}")) == 1
    error = capsys.readouterr().err
    assert f"checkpoint {bad} cannot be read" in error
    assert "Traceback" not in error
    assert not (tmp_path / "bundles").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--network.height=true"], "is that of another network"),
        (["--settings.mode=linear_probe"], "trained other parameters"),
    ],
)
def test_a_checkpoint_of_another_run_is_a_sentence(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], words: str
) -> None:
    other = [f"--settings.backbone={whole / 'bundles' / 'trunk.safetensors'}", *change]
    resume = f"--resume={whole / 'checkpoints' / 'last.ckpt'}"
    assert main(run_of(tmp_path, whole / "cache", resume, *other)) == 1
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


def test_an_interrupted_save_of_the_ledger_leaves_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pointata.training.run_log import Ledger

    Ledger().save(tmp_path / "net.json", name="net")

    def stops_halfway(path: Path, text: str) -> None:
        with path.open("w") as file:
            file.write(text[: len(text) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", stops_halfway)
    with pytest.raises(KeyboardInterrupt):
        Ledger().save(tmp_path / "net.json", name="other")
    assert json.loads((tmp_path / "net.json").read_text())["name"] == "net"
