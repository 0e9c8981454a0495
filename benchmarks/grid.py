"""What the grids of docs/results.md share: their rows, and how one training is run and its figures are kept."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results.json"
#: Mode of stage 2 and method of stage 1, by row.
ROWS: dict[str, tuple[str, str | None]] = {
    "scratch": ("scratch", None),
    "linear_probe": ("linear_probe", None),
    "full": ("full", None),
    "adapters_none": ("adapters", None),
    "adapters_otdd": ("adapters", "otdd"),
    "adapters_mmd": ("adapters", "mmd"),
}


def pointata(arguments: Sequence[str], log: Path) -> None:
    """Run one command on one thread in a process of its own."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, "-m", "pointata.cli", *arguments],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"pointata {arguments[0]} failed; see {log}")


def align(arguments: Sequence[str], folder: Path) -> Path:
    """`pointata align` into `folder`, unless it was there already; returns the aligned embedder's file."""
    made = sorted(folder.glob("*.safetensors"))
    if not made:
        pointata(["align", *arguments, f"--out={folder}", "--threads=1"], folder / "log.txt")
        made = sorted(folder.glob("*.safetensors"))
    return made[0]


def adapt(row: str, preset: str, arguments: Sequence[str], folder: Path, aligned: Path | None) -> dict[str, Any]:
    """`pointata adapt` for a row into `folder`, unless it was done already; returns its ledger.

    Args:
        row: name of the row.
        preset: of the backbone, which is read from build/backbones.
        arguments: configuration and further options.
        folder: for the bundle, its ledger and the log.
        aligned: the embedder of stage 1.
    """
    ledgers = sorted(folder.glob("*.json"))
    if not ledgers:
        mode = ROWS[row][0]
        backbone = "trunk" if mode == "scratch" else f"build/backbones/pointmae_{preset}.safetensors"
        pointata(
            ["adapt", *arguments, f"--settings.mode={mode}", f"--settings.backbone={backbone}",
             f"--network.preset={preset}", f"--settings.aligned={aligned or 'null'}", "--threads=1",
             f"--out={folder}", f"--trainer.default_root_dir={folder}", "--trainer.enable_progress_bar=false",
             "--trainer.enable_checkpointing=false", "--trainer.enable_model_summary=false"],
            folder / "log.txt",
        )  # fmt: skip
        ledgers = sorted(folder.glob("*.json"))
    content: dict[str, Any] = json.loads(ledgers[0].read_text())
    return content


def record(figures: dict[str, Any], *where: str) -> None:
    """Put figures into docs/results.json under the keys `where`."""
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    inner = results
    for key in where[:-1]:
        inner = inner.setdefault(key, {})
    inner[where[-1]] = figures
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
