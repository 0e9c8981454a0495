"""Write the tables of docs/results.md from docs/results.json: python benchmarks/results_page.py"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs" / "results.md", ROOT / "docs" / "results.json"
TITLES = {"xyz": "x, y, z", "xyz_doppler": "x, y, z, Doppler"}


def mars_table(rows: dict[str, dict[str, Any]]) -> list[str]:
    """One feature set's grid as lines of Markdown."""
    lines = [
        "| row | preset | fold 1 | fold 2 | fold 3 | fold 4 (without radar_data9) | mean, last epoch "
        "| mean, best epochs | trained | of | s/epoch | peak MiB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        share = 100 * row["trained_parameters"] / row["total_parameters"]
        cells = [
            name, row["preset"], *(f"{fold:.3f}" for fold in row["folds"][:3]),
            f"{row['folds'][3]:.3f} ({suspect(row['fold4_without_radar_data9'])})", f"**{row['mean']:.3f}**",
            f"{row['best_epoch_mean']:.3f}", f"{row['trained_parameters']:,} ({share:.1f} %)",
            f"{row['total_parameters']:,}", f"{row['seconds_per_epoch']:.1f}", f"{row['peak_memory_mb']:,}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def suspect(accuracy: float | None) -> str:
    """A figure that older runs did not keep."""
    return "-" if accuracy is None else f"{accuracy:.3f}"


def seeds_table(results: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """Rows that were trained with several seeds."""
    lines = ["| data | row | seeds | means | mean | spread |", "|---|---|---|---|---|---|"]
    for channels, rows in results.items():
        for name, row in rows.items():
            if "seeds" in row:
                means = [seed["mean"] for seed in row["seeds"].values()]
                cells = [
                    TITLES[channels], name, ", ".join(row["seeds"]), ", ".join(f"{m:.3f}" for m in means),
                    f"{row['mean_of_seeds']:.3f}", f"{max(means) - min(means):.3f}",
                ]  # fmt: skip
                lines.append(f"| {' | '.join(cells)} |")
    return lines


def replace_section(page: str, name: str, lines: list[str]) -> str:
    """Put lines between the markers of a section."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, found, rest = page.partition(begin)
    if not found or end not in rest:
        raise SystemExit(f"{PAGE} lacks the markers {begin} and {end}")
    return before + begin + "\n" + "\n".join(lines) + "\n" + end + rest.partition(end)[2]


def main() -> None:
    """Renew every table."""
    results = json.loads(RESULTS.read_text())
    page = PAGE.read_text()
    for channels in TITLES:
        page = replace_section(page, f"mars.{channels}", mars_table(results["mars"][channels]))
    page = replace_section(page, "mars.seeds", seeds_table(results["mars"]))
    PAGE.write_text(page)
    sys.stdout.write(f"tables of {PAGE} renewed\n")


if __name__ == "__main__":
    main()
