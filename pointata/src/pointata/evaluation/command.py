"""`pointata evaluate`: a bundle's scores on recordings, as a table and as JSON."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pointata.data.recording import open_recording
from pointata.evaluation.metrics import iou_per_class, recall_per_class
from pointata.evaluation.offline import OfflineScore, evaluate
from pointata.model.bundle import resolve, state_score
from pointata.predictor import Predictor


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments, evaluate, print."""
    parser = argparse.ArgumentParser(prog="pointata evaluate", description="Measure a bundle on recordings.")
    parser.add_argument("model", help="bundle: a path or the name of a shipped one")
    parser.add_argument("sources", nargs="+", help="recordings: paths, or sim:room?seed=0&split=test&frames=200")
    parser.add_argument("--backbone", help="backbone bundle; default: the one that the bundle names")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 for torch's choice")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--state-score", action="store_true", help="write the figures into the bundle (a path)")
    given = parser.parse_args(arguments)
    predictor = Predictor.load(given.model, backbone=given.backbone, device=given.device, threads=given.threads)
    recordings = [open_recording(source, predictor.metadata.network.features) for source in given.sources]
    console = Console()
    with console.status("evaluating") as status:
        score = evaluate(predictor, recordings, lambda name, frames: status.update(f"{name}: {frames} frames done"))
    _show(console, score)
    if given.state_score:
        state_score(resolve(given.model), score.figures(), given.sources)
    if given.json:
        score.save(given.json)


def _show(console: Console, score: OfflineScore) -> None:
    table = Table("task", "class", "support", "recall", "IoU")
    for task, matrix in score.confusions.items():
        if not matrix.total:
            continue
        rows = zip(matrix.names, matrix.support, recall_per_class(matrix), iou_per_class(matrix), strict=True)
        for name, support, recall, iou in rows:
            table.add_row(task, name, f"{support:,}", f"{recall:.3f}", f"{iou:.3f}")
    console.print(table)
    figures = ", ".join(f"{name} {value:.3f}" for name, value in score.figures().items()) or "no ground truth to score"
    if score.segments is not None and score.segments.frames.total:
        named = (f"{name} {value:.1f}" for name, value in score.segments.figures().items())
        console.print(f"action segments, percent: {', '.join(named)}")
    if score.left_out:
        console.print(f"{score.left_out} clouds could not be read and were left out (the log says why)")
    console.print(f"{score.frames} frames, {len(score.rejected)} rejected: {figures}")
