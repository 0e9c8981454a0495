"""SemanticKITTI, a functional check on one short sequence: train on its first sweeps, judge on its last.

    python benchmarks/semantic_kitti_check.py SEQUENCE [--last 7] [--epochs 6]

SEQUENCE is a folder with velodyne/ and labels/. Its sweeps are linked into two sequences, 00 (train) and 08
(validation, by the official numbers), so the same street stands in both: no benchmark, only proof that real sweeps with
real labels go through training, bundle and evaluation. Figures with supports go into docs/results.json under
`semantic_kitti_check`.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from grid import ROOT, adapt, pointata, record


def link(files: list[Path], sequence: Path) -> None:
    """A sequence folder of links to sweeps and their labels."""
    for kind, ending in (("velodyne", ".bin"), ("labels", ".label")):
        (sequence / kind).mkdir(parents=True)
        for file in files:
            (sequence / kind / f"{file.stem}{ending}").symlink_to(file.parents[1] / kind / f"{file.stem}{ending}")


def main() -> None:
    """Split, train, evaluate, write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequence", type=Path)
    parser.add_argument("--last", type=int, default=7, help="sweeps to judge on")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--runs", type=Path, default=ROOT / "build" / "semantic_kitti_check")
    given = parser.parse_args()
    runs = given.runs.resolve()
    shutil.rmtree(runs, ignore_errors=True)
    sweeps = sorted((given.sequence.resolve() / "velodyne").glob("*.bin"))
    if len(sweeps) < given.last + 3:
        parser.error(f"{given.sequence}/velodyne has {len(sweeps)} sweeps, {given.last + 3} are needed")
    link(sweeps[: -given.last], runs / "data" / "sequences" / "00")
    link(sweeps[-given.last :], runs / "data" / "sequences" / "08")
    arguments = [
        "--config", "config/train/sim_street.yaml", f"--data.set=semantic-kitti:{runs / 'data'}",
        "--settings.name=semantic_kitti_check", f"--trainer.max_epochs={given.epochs}",
        "--data.clips.per_epoch=160", "--data.workers=0",
    ]  # fmt: skip
    ledger = adapt("adapters_none", "tiny", arguments, runs / "trained", None)
    bundle, report = runs / "trained" / "semantic_kitti_check.safetensors", runs / "report.json"
    source = str(runs / "data" / "sequences" / "08")
    pointata(["evaluate", str(bundle), source, "--json", str(report)], runs / "evaluate.txt")
    figures = json.loads(report.read_text())
    supports = figures["supports"]["semantic"]
    classes = {name: [count, figures["per_class_iou"][name]] for name, count in supports.items() if count}
    record({"miou": figures["segmentation_miou_present"], "points_and_iou": classes, "sweeps": figures["frames"],
            "training_sweeps": len(sweeps) - given.last, "epochs": given.epochs,
            "trained_parameters": ledger["trained_parameters"]}, "semantic_kitti_check")  # fmt: skip
    sys.stdout.write((runs / "evaluate.txt").read_text())


if __name__ == "__main__":
    main()
