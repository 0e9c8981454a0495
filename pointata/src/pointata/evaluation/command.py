"""`pointata evaluate`: a bundle's scores on recordings and data sets, as a table and as JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pointata.arguments import Parser
from pointata.errors import ConfigError
from pointata.evaluation.metrics import iou_per_class, recall_per_class
from pointata.evaluation.offline import OfflineScore, evaluate
from pointata.evaluation.sources import Choice, names_video_set, open_sources
from pointata.model.bundle import resolve, state_score
from pointata.paths import require_folder
from pointata.predictor import Predictor


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments, evaluate, print."""
    parser = Parser(
        "evaluate",
        "Measure a bundle on recordings, and on videos of data sets.",
        'pointata evaluate sim_room "sim:room?seed=0&split=test&frames=150"',
    )
    parser.add_argument("model", help="bundle: a path or the name of a shipped one")
    parser.add_argument(
        "sources",
        nargs="+",
        help="recordings: paths, or sim:room?seed=0&split=test&frames=200; data sets: NAME:PATH, as recordings:PATH",
    )
    videos = parser.add_mutually_exclusive_group()
    videos.add_argument(
        "--split", choices=("train", "val", "test"), help="videos of a data set to measure (default: test)"
    )
    videos.add_argument("--subjects", nargs="+", default=(), help="measure all videos of these subjects instead")
    parser.add_argument("--backbone", help="backbone bundle; default: the one that the bundle names")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 for torch's choice")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--state-score", action="store_true", help="write the figures into the bundle (a path)")
    given = parser.parse_args(arguments)
    sets = [source for source in given.sources if names_video_set(source)]
    if (given.split or given.subjects) and not sets:
        raise ConfigError("--split and --subjects choose videos of a data set, but no source is one (NAME:PATH)")
    if given.json:
        if given.json.is_dir():
            raise ConfigError(f"--json {given.json} is a folder; give a file, as {given.json / 'figures.json'}")
        require_folder(given.json.parent)
    choice = Choice(given.split or "test", tuple(given.subjects))
    predictor = Predictor.load(given.model, backbone=given.backbone, device=given.device, threads=given.threads)
    recordings = open_sources(given.sources, choice, predictor.metadata)
    console = Console()
    with console.status("evaluating") as status:
        score = evaluate(predictor, recordings, lambda name, frames: status.update(f"{name}: {frames} frames done"))
    _show(console, score)
    if given.state_score:
        measured = [f"{source} ({choice})" if source in sets else source for source in given.sources]
        state_score(resolve(given.model), score.figures(), measured)
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
    for segments, what in (
        (score.segments, "action segments, percent"),
        (score.segments_compat, "as HOI4D's script counts (the last ends a frame early)"),
    ):
        if segments is not None and segments.frames.total:
            console.print(f"{what}: {_listed(segments.figures(), 1)}")
    published = score.published()
    if published:
        console.print(f"as published tables count: {_listed(published, 3)}")
    if score.unvoted:
        console.print(f"{len(score.unvoted)} videos gave no vote and do not count in video_accuracy: too few frames")
    if score.left_out:
        console.print(f"{score.left_out} clouds could not be read and were left out (the log says why)")
    figures = _listed(score.figures(), 3) or "no ground truth to score"
    console.print(f"{score.frames} frames, {len(score.rejected)} rejected: {figures}")


def _listed(figures: Mapping[str, float], digits: int) -> str:
    return ", ".join(f"{name} {value:.{digits}f}" for name, value in figures.items())
