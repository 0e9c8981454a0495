"""MARS, leave one subject out: the ablation grid of docs/results.md, made by one command.

    python benchmarks/mars_grid.py mars:PATH [--rows scratch adapters_otdd ...] [--seeds 0 1 2] [--jobs 2]

Every run is `pointata adapt` with config/train/mars.yaml in a process of its own (stage 1 before it where the row asks
for it, on the training subjects only). Finished runs are kept in --runs and not repeated. The figures go into
docs/results.json, from which `benchmarks/results_page.py` writes the tables of docs/results.md.
"""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from grid import RESULTS, ROOT, ROWS, adapt, align, record

SUBJECTS = ("1", "2", "3", "4")
CHANNELS = {"xyz": "[]", "xyz_doppler": "[doppler]"}
#: Of every row of the grid proper, so that rows compare.
EPOCHS = 10


@dataclass(frozen=True)
class Run:
    """One training: a row of the grid on one fold with one seed."""

    channels: str
    row: str
    subject: str
    seed: int
    preset: str
    epochs: int
    learning_rate: float | None

    @property
    def name(self) -> str:
        """What its row is called in the results: what differs from the grid proper is part of it."""
        preset = "" if self.preset == "tiny" else f"_{self.preset}"
        epochs = "" if self.epochs == EPOCHS else f"_{self.epochs}_epochs"
        return self.row + preset + epochs + ("" if self.learning_rate is None else f"_rate_{self.learning_rate:g}")


def train(run: Run, data: str, runs: Path) -> dict[str, Any]:
    """Train one run, stage 1 before it where the row asks for it; returns its ledger."""
    common = [f"--data.set={data}", f'--data.held_out=["{run.subject}"]', f"--data.features={CHANNELS[run.channels]}"]
    fold = f"subject{run.subject}_seed{run.seed}"
    method, aligned = ROWS[run.row][1], None
    if method is not None:
        aligned = align(
            ["--config", "config/train/mars_align.yaml", *common, f"--settings.method={method}", f"--seed={run.seed}",
             f"--settings.backbone=build/backbones/pointmae_{run.preset}.safetensors"],
            runs / run.channels / f"align_{method}_{run.preset}" / fold,
        )  # fmt: skip
    arguments = ["--config", "config/train/mars.yaml", *common, f"--seed={run.seed}",
                 f"--trainer.max_epochs={run.epochs}"]  # fmt: skip
    if run.learning_rate is not None:
        arguments.append(f"--settings.learning_rate={run.learning_rate}")
    return adapt(run.row, run.preset, arguments, runs / run.channels / run.name / fold, aligned)


def summarise(runs: list[tuple[Run, dict[str, Any]]]) -> dict[str, Any]:
    """The figures of a row from its four folds (of one seed)."""
    ledgers = [ledger for _, ledger in runs]
    trained = ledgers[0]["trained_parameters"]
    return {
        "folds": [round(ledger["last"]["val/accuracy"], 4) for ledger in ledgers],
        "mean": round(mean(ledger["last"]["val/accuracy"] for ledger in ledgers), 4),
        "best_epoch_mean": round(mean(ledger["best"]["val/accuracy"] for ledger in ledgers), 4),
        "trained_parameters": trained,
        "total_parameters": ledgers[0]["total_parameters"],
        "adapters_only": runs[0][0].row.startswith("adapters"),
        "seconds_per_epoch": round(mean(ledger["seconds_per_epoch"] for ledger in ledgers), 2),
        "peak_memory_mb": round(max(ledger["peak_memory_mb"] for ledger in ledgers)),
        "preset": runs[0][0].preset,
        "epochs": runs[0][0].epochs,
        **({} if runs[0][0].learning_rate is None else {"learning_rate": runs[0][0].learning_rate}),
        "fold4_without_radar_data9": without_file_9(ledgers[SUBJECTS.index("4")]),
    }


def without_file_9(ledger: dict[str, Any]) -> float | None:
    """Last epoch's accuracy on subject 4 without the recording whose label is in doubt: the only one of movement 9."""
    rows = [(label, row) for label, row in enumerate(ledger.get("clip_confusion") or []) if label != 8]
    right, total = sum(row[label] for label, row in rows), sum(sum(row) for _, row in rows)
    return round(right / total, 4) if total else None


def with_seeds(seeds: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """A row's figures: the first seed's, the others' beside them."""
    row = seeds[min(seeds)] | {"seed": min(seeds)}
    if len(seeds) > 1:
        row["seeds"] = {str(s): {"folds": figures["folds"], "mean": figures["mean"]} for s, figures in seeds.items()}
        row["mean_of_seeds"] = round(mean(figures["mean"] for figures in seeds.values()), 4)
    return row


def main() -> None:
    """Train the grid and write down its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the data set, as mars:PATH")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--channels", nargs="+", choices=CHANNELS, default=list(CHANNELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--preset", choices=("tiny", "small", "base"), default="tiny")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--learning-rate", type=float, help="other than in the configuration; stands in the results")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one thread each")
    parser.add_argument("--runs", type=Path, default=ROOT / "build" / "mars_grid")
    given = parser.parse_args()
    grid = [
        Run(channels, row, subject, seed, given.preset, given.epochs, given.learning_rate)
        for seed in given.seeds for channels in given.channels for row in given.rows for subject in SUBJECTS
    ]  # fmt: skip
    started = time.time()
    with ThreadPoolExecutor(given.jobs) as pool:
        ledgers = list(pool.map(lambda run: train(run, given.data, given.runs.resolve()), grid))
    done = list(zip(grid, ledgers, strict=True))
    for channels in given.channels:
        for row in given.rows:
            mine = [pair for pair in done if (pair[0].channels, pair[0].row) == (channels, row)]
            figures = {s: summarise([p for p in mine if p[0].seed == s]) for s in given.seeds}
            record(with_seeds(figures), "mars", channels, mine[0][0].name)
    sys.stdout.write(f"{len(grid)} runs in {time.time() - started:.0f} s; figures in {RESULTS}\n")


if __name__ == "__main__":
    main()
