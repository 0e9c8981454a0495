"""The simulated room in short: the grid of mars_grid.py for actions, action segments and point labels at once.

    python benchmarks/sim_grid.py [--rows ...] [--epochs 6] [--jobs 2]

Each row is config/train/sim_room.yaml with the same seed and few epochs, on one joint training of all three heads (the
shipped bundle has more epochs, and its action heads are trained a second time). Figures of the validation rooms at the
last epoch go into docs/results.json under `sim_room`.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from grid import ROOT, ROWS, adapt, align, record

FIGURES = {
    "accuracy": "val/accuracy",
    "segments_accuracy": "val/segments_accuracy",
    "miou": "val/segmentation_miou_present",
}


def train(row: str, epochs: int, runs: Path) -> dict[str, Any]:
    """One row's figures."""
    method, aligned = ROWS[row][1], None
    if method is not None:
        arguments = ["--config", "config/train/sim_room_align.yaml", f"--settings.method={method}"]
        aligned = align(arguments, runs / f"align_{method}")
    short = [f"--trainer.max_epochs={epochs}", f"--trainer.check_val_every_n_epoch={epochs}"]
    ledger = adapt(row, "tiny", ["--config", "config/train/sim_room.yaml", *short], runs / row, aligned)
    return {
        **{name: round(ledger["last"][figure], 4) for name, figure in FIGURES.items()},
        "trained_parameters": ledger["trained_parameters"],
        "total_parameters": ledger["total_parameters"],
        "peak_memory_mb": round(ledger["peak_memory_mb"]),
        "epochs": epochs,
    }


def main() -> None:
    """Train the rows and write down their figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one thread each")
    parser.add_argument("--runs", type=Path, default=ROOT / "build" / "sim_grid")
    given = parser.parse_args()
    with ThreadPoolExecutor(given.jobs) as pool:
        rows = list(pool.map(lambda row: train(row, given.epochs, given.runs.resolve()), given.rows))
    for row, figures in zip(given.rows, rows, strict=True):
        record(figures, "sim_room", row)
        sys.stdout.write(f"{row}: {figures}\n")


if __name__ == "__main__":
    main()
