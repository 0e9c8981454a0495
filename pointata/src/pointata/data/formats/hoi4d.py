"""HOI4D action segmentation: hands that handle objects, seen from the head (Liu et al., 2022); one action a frame."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from pointata.classes import class_list
from pointata.data.dataset import Dataset, Split, Video
from pointata.data.layout import Layout
from pointata.data.set_files import data_folder
from pointata.errors import DataError
from pointata.frame import Frame, LabelledFrame
from pointata.geometry.axes import forward_from_optical
from pointata.system.optional import import_optional

#: The h5 files number the actions without naming them, and no list that ties numbers to names is known to us.
ACTIONS = class_list(*(f"class {index}" for index in range(19)))

#: 150 of the 300 frames of each 20 s video.
RATE_HZ = 7.5


def hoi4d(root: Path | str) -> Dataset:
    """Open a folder of train*.h5 and test*.h5: pcd (n, 150, 2048, 3), label (n, 150). Each of the n is a video.

    Frames are turned from the camera's x right, y down, z forward into x forward, y left, z up, metres; the files do
    not state axes and unit, these are those of the depth cameras. The camera is worn on the head: up is only roughly
    up. `center` is not needed. test_wolabel.h5, which has no labels, is left out. Subjects are not in the files.

    Raises:
        DataError: a file that cannot be read, lacks an array, or whose arrays do not fit.
    """
    folder = data_folder(root)
    files = [file for pattern in ("train*.h5", "test*.h5") for file in sorted(folder.glob(pattern))]
    files = [file for file in files if "wolabel" not in file.stem]
    if not files:
        raise DataError(f"{folder} holds no train*.h5 or test*.h5; give the folder of the action segmentation files")
    videos = []
    for file in files:
        split: Split = "train" if file.stem.startswith("train") else "test"
        videos += [
            Video(f"{file.stem}_{index:04d}", partial(hoi4d_frames, file, index), split=split)
            for index in range(_check(file))
        ]
    return Dataset("hoi4d", tuple(videos), {"segments": ACTIONS}, 1 / RATE_HZ)


def hoi4d_frames(file: Path, index: int) -> Iterable[LabelledFrame]:
    """The frames of sequence `index` of a file; no other sequence is read."""
    h5py = import_optional("h5py")
    try:
        with h5py.File(file, "r") as content:
            clouds, labels = content["pcd"][index], content["label"][index]
    except Exception as error:  # damaged bytes lead the HDF5 reader to errors of any kind
        raise DataError(f"{file}: sequence {index} cannot be read ({error}); copy the file again") from error
    for number, (cloud, label) in enumerate(zip(clouds, labels, strict=True)):
        stamp_ns = round(number * 1e9 / RATE_HZ)
        frame = Frame.from_points(forward_from_optical(cloud), stamp_ns=stamp_ns, frame_id="camera")
        yield LabelledFrame(frame, action=int(label))


def _check(file: Path) -> int:
    """Number of sequences of a file whose arrays fit each other; the points themselves are not read."""
    h5py = import_optional("h5py")
    try:
        with h5py.File(file, "r") as content:
            missing = [name for name in ("pcd", "label") if name not in content]
            if not missing:
                shape, labels = content["pcd"].shape, np.asarray(content["label"])
    except Exception as error:  # as above
        raise DataError(f"{file} cannot be read as HDF5 ({error}); copy it again") from error
    if missing:
        raise DataError(f"{file} lacks {' and '.join(missing)}; files without labels cannot be trained on")
    if len(shape) != 4 or shape[3] != 3 or shape[:2] != labels.shape or 0 in shape:
        raise DataError(f"{file} must hold pcd (n, T, P, 3) and label (n, T), it holds {shape} and {labels.shape}")
    if labels.min() < 0 or labels.max() >= len(ACTIONS):
        raise DataError(f"{file} has labels {labels.min()} to {labels.max()}, the {len(ACTIONS)} classes are 0 to 18")
    return int(shape[0])


DATASET = Layout("hoi4d", "a folder of train*.h5 and test*.h5 (action segmentation)", hoi4d)
