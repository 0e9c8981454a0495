"""MARS, leave one subject out: the ablation grid of docs/results.md, made by one command.

    python benchmarks/mars_grid.py mars:PATH [--rows scratch adapters_otdd ...] [--seeds 0 1 2] [--jobs 2]

Every run is `pointata adapt` with config/train/mars.yaml in a process of its own (stage 1 before it where the row asks
for it, on the training subjects only). Finished runs are kept in --runs and not repeated. The figures go into
docs/results.json, from which `benchmarks/results_page.py` writes the tables of docs/results.md.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results.json"
SUBJECTS = ("1", "2", "3", "4")
CHANNELS = {"xyz": "[]", "xyz_doppler": "[doppler]"}
#: Mode of stage 2 and method of stage 1, by row.
ROWS: dict[str, tuple[str, str | None]] = {
    "scratch": ("scratch", None),
    "linear_probe": ("linear_probe", None),
    "full": ("full", None),
    "adapters_none": ("adapters", None),
    "adapters_otdd": ("adapters", "otdd"),
    "adapters_mmd": ("adapters", "mmd"),
}


@dataclass(frozen=True)
class Run:
    """One training: a row of the grid on one fold with one seed."""

    channels: str
    row: str
    subject: str
    seed: int
    preset: str

    def folder(self, runs: Path) -> Path:
        """Where it leaves its files."""
        name = self.row if self.preset == "tiny" else f"{self.row}_{self.preset}"
        return runs / self.channels / name / f"subject{self.subject}_seed{self.seed}"


def train(run: Run, data: str, runs: Path, epochs: int | None) -> dict[str, Any]:
    """Train one run, unless it is there already; returns its ledger."""
    folder = run.folder(runs)
    ledger = folder / "mars_actions.json"
    if not ledger.exists():
        folder.mkdir(parents=True, exist_ok=True)
        mode, method = ROWS[run.row]
        common = ["--config", "config/train/mars.yaml",
                  f"--data.set={data}", f'--data.held_out=["{run.subject}"]',
                  f"--data.features={CHANNELS[run.channels]}",
                  f"--seed_everything={run.seed}", "--threads=1"]  # fmt: skip
        backbone = "trunk" if mode == "scratch" else f"build/backbones/pointmae_{run.preset}.safetensors"
        command = ["adapt", *common, f"--model.settings.mode={mode}", f"--model.settings.backbone={backbone}",
                   f"--model.settings.preset={run.preset}", f"--out={folder}", f"--trainer.default_root_dir={folder}",
                   "--trainer.enable_progress_bar=false", "--trainer.enable_checkpointing=false",
                   "--trainer.enable_model_summary=false"]  # fmt: skip
        if method is not None:
            command.append(f"--model.settings.aligned={align(run, method, data, runs)}")
        if epochs is not None:
            command.append(f"--trainer.max_epochs={epochs}")
        pointata(command, folder / "log.txt")
    content: dict[str, Any] = json.loads(ledger.read_text())
    return content


def align(run: Run, method: str, data: str, runs: Path) -> Path:
    """Stage 1 on the training subjects; returns the aligned embedder's file."""
    folder = runs / run.channels / f"align_{method}_{run.preset}" / f"subject{run.subject}_seed{run.seed}"
    made = folder / "mars_align.safetensors"
    if not made.exists():
        folder.mkdir(parents=True, exist_ok=True)
        arguments = ["align", "--config", "config/train/mars_align.yaml", f"--data.set={data}",
                     f'--data.held_out=["{run.subject}"]', f"--data.features={CHANNELS[run.channels]}",
                     f"--settings.method={method}", f"--settings.preset={run.preset}", f"--seed={run.seed}",
                     f"--settings.backbone=build/backbones/pointmae_{run.preset}.safetensors", f"--out={folder}",
                     "--threads=1"]  # fmt: skip
        pointata(arguments, folder / "log.txt")
    return made


def pointata(arguments: list[str], log: Path) -> None:
    """Run one command in a process of its own."""
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
        "fold4_without_radar_data9": without_file_9(ledgers[SUBJECTS.index("4")]),
    }


def without_file_9(ledger: dict[str, Any]) -> float | None:
    """Last epoch's accuracy on subject 4 without the recording whose label is in doubt: the only one of movement 9."""
    rows = [(label, row) for label, row in enumerate(ledger.get("clip_confusion") or []) if label != 8]
    right, total = sum(row[label] for label, row in rows), sum(sum(row) for _, row in rows)
    return round(right / total, 4) if total else None


def record(channels: str, name: str, seeds: dict[int, dict[str, Any]]) -> None:
    """Put a row into docs/results.json: the first seed's figures, the others' beside them."""
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    first = seeds[min(seeds)]
    row = first | {"seed": min(seeds)}
    if len(seeds) > 1:
        row["seeds"] = {str(s): {"folds": figures["folds"], "mean": figures["mean"]} for s, figures in seeds.items()}
        row["mean_of_seeds"] = round(mean(figures["mean"] for figures in seeds.values()), 4)
    results.setdefault("mars", {}).setdefault(channels, {})[name] = row
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def main() -> None:
    """Train the grid and write down its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the data set, as mars:PATH")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--channels", nargs="+", choices=CHANNELS, default=list(CHANNELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--preset", choices=("tiny", "small", "base"), default="tiny")
    parser.add_argument("--epochs", type=int, help="other than in the configuration")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one thread each")
    parser.add_argument("--runs", type=Path, default=ROOT / "build" / "mars_grid")
    given = parser.parse_args()
    grid = [
        Run(channels, row, subject, seed, given.preset)
        for seed in given.seeds for channels in given.channels for row in given.rows for subject in SUBJECTS
    ]  # fmt: skip
    started = time.time()
    with ThreadPoolExecutor(given.jobs) as pool:
        ledgers = list(pool.map(lambda run: train(run, given.data, given.runs.resolve(), given.epochs), grid))
    done = list(zip(grid, ledgers, strict=True))
    for channels in given.channels:
        for row in given.rows:
            name = row if given.preset == "tiny" else f"{row}_{given.preset}"
            mine = [pair for pair in done if (pair[0].channels, pair[0].row) == (channels, row)]
            record(channels, name, {s: summarise([p for p in mine if p[0].seed == s]) for s in given.seeds})
    sys.stdout.write(f"{len(grid)} runs in {time.time() - started:.0f} s; figures in {RESULTS}\n")


if __name__ == "__main__":
    main()
