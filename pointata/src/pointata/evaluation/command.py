"""`pointata evaluate`: a bundle's scores on recordings and data sets, as a table and as JSON."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pointata.bundles.adapter import check_score_output, state_score
from pointata.bundles.catalogue import resolve
from pointata.data.open import names_dataset, names_video
from pointata.errors import ConfigError, DataError
from pointata.evaluation.caveats import caveats
from pointata.evaluation.display import progress, show
from pointata.evaluation.offline import Part, evaluate
from pointata.evaluation.score import OfflineScore
from pointata.evaluation.sources import Choice, open_sources
from pointata.inference.predictor import Predictor
from pointata.paths import check_output_folder
from pointata.system.arguments import THREADS, Parser, Whole
from pointata.system.cores import torch_threads


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments, evaluate, print.

    Raises:
        DataError: there were no frames, or all were rejected; the figures are printed all the same.
        KeyboardInterrupt: Ctrl-C; the figures so far are printed, and none is written.
    """
    given = _parser().parse_args(arguments)
    sets = [source for source in given.sources if names_dataset(source) and not names_video(source)]
    if (given.split or given.subjects) and not sets:
        raise ConfigError("--split and --subjects choose videos of a data set, but no source is one (NAME:PATH)")
    if given.state_score:
        check_output_folder(given.state_score)
        check_score_output(resolve(given.model), given.state_score)
    if given.json:
        if given.json.is_dir():
            raise ConfigError(f"--json {given.json} is a folder; give a file, as {given.json / 'figures.json'}")
        check_output_folder(given.json.parent)
    choice = Choice(given.split or "test", tuple(given.subjects))
    part = Part(given.start, given.frames)
    threads = torch_threads(given.threads)
    predictor = Predictor.load(given.model, backbone=given.backbone, device=given.device, threads=threads)
    recordings = open_sources(given.sources, choice, predictor.metadata, given.topic)
    console = Console()
    with progress(console, recordings, part) as watch:
        score = evaluate(predictor, recordings, part, [watch])
    score.warnings += caveats(predictor.metadata, recordings, score.rates_hz)
    show(console, score)
    if not score.complete:
        raise KeyboardInterrupt("the figures above are those of the frames so far, and nothing was written")
    if given.json:
        score.save(given.json)
    _require_frames(score, part)
    if given.state_score:
        details = {source: f" ({choice})" for source in sets}
        measured = [source + details.get(source, "") + (f" ({part})" if str(part) else "") for source in given.sources]
        state_score(resolve(given.model), given.state_score, score.figures(), measured, given.backbone)


def _parser() -> Parser:
    parser = Parser(
        "evaluate",
        "Measure a bundle on recordings, and on videos of data sets.",
        'pointata evaluate sim_room "sim:room?seed=0&split=test&frames=150"',
    )
    parser.add_argument("model", help="bundle: a path or the name of a shipped one")
    parser.add_argument(
        "sources",
        nargs="+",
        help="recordings: paths, or sim:room?seed=0&split=test&frames=200; data sets: NAME:PATH, as mars:~/data/mars",
    )
    videos = parser.add_mutually_exclusive_group()
    videos.add_argument(
        "--split", choices=("train", "val", "test"), help="videos of a data set to measure (default: test)"
    )
    videos.add_argument("--subjects", nargs="+", default=(), help="measure all videos of these subjects instead")
    parser.add_argument("--start", type=Whole(0), default=0, metavar="N", help="leave out the first N frames of each")
    parser.add_argument("--frames", type=Whole(1), metavar="N", help="measure at most N frames of each (default: all)")
    parser.add_argument("--topic", help="cloud topic of the bags; needed where one has several")
    parser.add_argument("--backbone", help="backbone bundle; default: the one that the bundle names")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    parser.add_argument("--threads", **THREADS)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument(
        "--state-score", type=Path, metavar="FOLDER", help="write a copy of the bundle that states the figures"
    )
    return parser


def _require_frames(score: OfflineScore, part: Part) -> None:
    if score.frames:
        return
    if score.rejected:
        raise DataError(f"nothing was measured: all {len(score.rejected)} frames were rejected, for the reasons above")
    raise DataError(f"nothing was measured: no recording has a frame after its first {part.start} (--start)")
