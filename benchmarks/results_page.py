"""Write the tables of docs/results.md from docs/results.json: python benchmarks/results_page.py"""

import json
import sys
from pathlib import Path
from typing import Any

from pages import replace_section, table

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs" / "results.md", ROOT / "docs" / "results.json"
TITLES = {"xyz": "x, y, z", "xyz_doppler": "x, y, z, Doppler"}
# The order of the grid; rows of other presets and lengths follow.
_ORDER = ("scratch", "linear_probe", "full", "adapters_none", "adapters_otdd", "adapters_mmd")


def mars_table(rows: dict[str, dict[str, Any]]) -> list[str]:
    """One feature set's grid as lines of Markdown."""
    header = [
        "row", "preset", "epochs", "fold 1", "fold 2", "fold 3", "fold 4 (without radar_data9)", "mean, last epoch",
        "mean, best epochs", "trained", "of", "s/epoch", "peak MiB",
    ]  # fmt: skip
    cells = []
    for name in sorted(rows, key=lambda name: (name not in _ORDER, _ORDER.index(name) if name in _ORDER else name)):
        row = rows[name]
        share = 100 * row["trained_parameters"] / row["total_parameters"]
        cells.append([
            name, row["preset"], row["epochs"], *(f"{fold:.3f}" for fold in row["folds"][:3]),
            f"{row['folds'][3]:.3f} ({suspect(row['fold4_without_radar_data9'])})", f"**{row['mean']:.3f}**",
            f"{row['best_epoch_mean']:.3f}", f"{row['trained_parameters']:,} ({share:.1f} %)",
            f"{row['total_parameters']:,}", f"{row['seconds_per_epoch']:.1f}", f"{row['peak_memory_mb']:,}",
        ])  # fmt: skip
    return table(header, cells)


def suspect(accuracy: float | None) -> str:
    """A figure that older runs did not keep."""
    return "-" if accuracy is None else f"{accuracy:.3f}"


def seeds_table(results: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """Rows that were trained with several seeds."""
    cells = []
    for channels, rows in results.items():
        for name, row in rows.items():
            if "seeds" in row:
                means = [seed["mean"] for seed in row["seeds"].values()]
                folds = [fold for seed in row["seeds"].values() for fold in seed["folds"]]
                cells.append([
                    TITLES[channels], name, ", ".join(row["seeds"]), ", ".join(f"{m:.3f}" for m in means),
                    f"{row['mean_of_seeds']:.3f}", f"{max(means) - min(means):.3f}", f"{min(folds):.3f}",
                ])  # fmt: skip
    return table(["data", "row", "seeds", "means", "mean", "spread", "worst fold"], cells)


def room_table(rows: dict[str, dict[str, Any]]) -> list[str]:
    """The short grid on the simulated room."""
    header = ["row", "action", "segments", "mIoU of sampled points", "trained", "of", "peak MiB"]
    return table(header, [
        [
            name, f"{row['accuracy']:.3f}", f"{row['segments_accuracy']:.3f}", f"{row['miou']:.3f}",
            f"{row['trained_parameters']:,}", f"{row['total_parameters']:,}", f"{row['peak_memory_mb']:,}",
        ]
        for name, row in rows.items()
    ])  # fmt: skip


def sweeps_table(check: dict[str, Any]) -> list[str]:
    """SemanticKITTI's classes that occur, with their supports."""
    rows = [[name, f"{count:,}", f"{iou:.3f}"] for name, (count, iou) in check["points_and_iou"].items()]
    return [*table(["class", "points", "IoU"], rows), "", f"mIoU of the classes that occur: {check['miou']:.3f}."]


def main() -> None:
    """Renew every table."""
    results = json.loads(RESULTS.read_text())
    page = PAGE.read_text()
    for channels in TITLES:
        page = replace_section(page, f"mars.{channels}", mars_table(results["mars"][channels]))
    page = replace_section(page, "mars.seeds", seeds_table(results["mars"]))
    for key, lines in (("sim_room", room_table), ("semantic_kitti_check", sweeps_table)):
        if key in results:
            page = replace_section(page, key, lines(results[key]))
    PAGE.write_text(page)
    sys.stdout.write(f"tables of {PAGE} renewed\n")


if __name__ == "__main__":
    main()
