"""`pointata check-data`: what a data set holds, and whether the first frame of every video can be used."""

import sys
from collections import Counter
from collections.abc import Sequence

import numpy as np

from pointata.classes import UNLABELLED
from pointata.data.dataset import Dataset, Video
from pointata.data.open import known_datasets, open_dataset
from pointata.errors import DataError, PointataError
from pointata.frame import LabelledFrame
from pointata.system.arguments import Parser
from pointata.tasks import of_scope
from pointata.tasks.scope import Scope


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments, read, print.

    Raises:
        DataError: the data set cannot be opened, or a video cannot be used; the reasons are printed.
    """
    parser = Parser(
        "check-data",
        f"Say what a data set holds, and read a frame of every video.\n\n{known_datasets()}",
        "pointata check-data mars:~/data/mars",
    )
    parser.add_argument("set", metavar="NAME:PATH", help="the data set")
    dataset = open_dataset(parser.parse_args(arguments).set)
    splits = Counter(video.split for video in dataset.videos)
    heads = ", ".join(f"{task} ({len(classes)} classes)" for task, classes in dataset.heads.items())
    sys.stdout.write(
        f"{dataset.name}: {len(dataset.videos)} videos "
        f"({', '.join(f'{count} {split}' for split, count in splits.items())}), "
        f"{1 / dataset.frame_period_s:.3g} frames a second\n"
        f"  labels: {heads or 'none'}\n  point channels: {', '.join(dataset.features) or 'none'}\n"
    )
    problems = verify(dataset)
    if problems:
        sys.stdout.write("".join(f"  {problem}\n" for problem in problems))
        raise DataError(f"{len(problems)} of {len(dataset.videos)} videos cannot be used, for the reasons above")


def verify(dataset: Dataset) -> list[str]:
    """Read the first frame of every video; a sentence for each that cannot be used, none where all is well."""
    problems = []
    for video in dataset.videos:
        try:
            first = next(iter(video.source()), None)
        except PointataError as error:
            problems.append(f"{video.name}: {error}")
            continue
        problem = "it has no frame" if first is None else _mismatch(dataset, video, first)
        if problem:
            problems.append(f"{video.name}: {problem}")
    return problems


def _mismatch(dataset: Dataset, video: Video, first: LabelledFrame) -> str:
    """What of the first frame contradicts the set's description; "" if nothing does."""
    missing = [name for name in dataset.features if name not in first.frame.features]
    if missing:
        return f"its points lack {', '.join(missing)}"
    heads = {name: len(classes) for name, classes in dataset.heads.items()}
    actions = [action for action in (video.action, first.action) if action is not None]
    classes = [heads[task] for task in of_scope(heads, Scope.WINDOW, Scope.FRAME)]
    if any(action >= max(classes, default=0) for action in actions):
        return f"its action {max(actions)} is not among the classes"
    for task, labels in first.point_labels.items():
        wrong = np.setdiff1d(labels, [*range(heads.get(task, 0)), UNLABELLED])
        if len(wrong):
            return f"its point labels {wrong.tolist()} are not among the classes"
    return ""
