"""NTU RGB+D 60: depth videos of 60 actions (Shahroudy et al., 2016), as the point videos made of them."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from pointata.classes import class_list
from pointata.data.dataset import Dataset, Split, Video
from pointata.data.formats.point_archives import read_point_archive
from pointata.data.layout import Layout
from pointata.data.set_files import data_folder, named_files
from pointata.errors import DataError
from pointata.frame import Frame, LabelledFrame
from pointata.geometry.axes import forward_from_optical

#: In the order of the file numbers A001 to A060.
ACTIONS = class_list(
    "drink water", "eat meal", "brush teeth", "brush hair", "drop", "pick up", "throw", "sit down", "stand up",
    "clapping", "reading", "writing", "tear up paper", "put on jacket", "take off jacket", "put on a shoe",
    "take off a shoe", "put on glasses", "take off glasses", "put on a hat", "take off a hat", "cheer up",
    "hand waving", "kick something", "reach into pocket", "hopping", "jump up", "phone call", "play with phone",
    "type on a keyboard", "point to something", "take a selfie", "check time", "rub two hands", "nod head",
    "shake head", "wipe face", "salute", "put palms together", "cross hands in front", "sneeze or cough",
    "staggering", "falling down", "headache", "chest pain", "back pain", "neck pain", "nausea", "fan self",
    "punch someone", "kick someone", "push someone", "pat on back", "point finger", "hugging", "give object",
    "touch pocket", "shake hands", "walk towards", "walk apart",
)  # fmt: skip

#: The cross-subject protocol: these people are for training, the other 20 of the 40 for testing.
TRAINING_SUBJECTS = frozenset((1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38))
RATE_HZ = 30.0

#: The point videos were made from 16-bit millimetre images that had been read as 0 to 1.
_METRES = 65.535
#: What the sensor can measure, metres; a median depth beyond says that a file has another unit.
_RANGE_M = (0.3, 12.0)


def ntu_rgbd(root: Path | str, stride: int = 1) -> Dataset:
    """Open a folder of S###C###P###R###A###.npz files: key `data`, T arrays (n_t, 3).

    Frames are metres, turned from the camera's x right, y down, z forward into x forward, y left, z up. The points
    were made with a focal length of 280 pixels; if the true one is longer, they are stretched sideways. Features:
    none. Times: the camera's nominal 30 Hz. Split: cross-subject. Only names are checked here (there are 56,880
    files); a damaged file is refused when it is read.

    Args:
        root: the folder; files may lie in folders below.
        stride: keep every stride-th frame; published clips have 24 frames at stride 2.

    Raises:
        DataError: no such folder, or a file that does not belong to NTU RGB+D 60.
    """
    if stride < 1:
        raise DataError(f"stride must be at least 1, got {stride}")
    videos = []
    for file, (_, _, person, _, action) in named_files(
        data_folder(root), ".npz", r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", "S001C001P001R001A001.npz"
    ):
        if not 1 <= action <= len(ACTIONS) or not 1 <= person <= 40:
            raise DataError(f"{file}: NTU RGB+D 60 has actions A001 to A060 and people P001 to P040; move it away")
        source = partial(ntu_frames, file, action - 1, stride)
        split: Split = "train" if person in TRAINING_SUBJECTS else "test"
        videos.append(Video(file.stem, source, subject=str(person), split=split, action=action - 1))
    return Dataset("ntu_rgbd", tuple(videos), {"action": ACTIONS}, stride / RATE_HZ)


def ntu_frames(file: Path, action: int, stride: int) -> Iterable[LabelledFrame]:
    """Every stride-th frame of a point video."""
    clouds = read_point_archive(file, "data")
    depth = float(np.median(np.concatenate([cloud[:, 2] for cloud in clouds]).astype(np.float64))) * _METRES
    if not _RANGE_M[0] <= depth <= _RANGE_M[1]:
        raise DataError(
            f"{file}: the person stands at {depth:.3g} m if a unit is {_METRES} m (millimetres / 65535), "
            "as in the published point videos; convert it to that unit"
        )
    for index in range(0, len(clouds), stride):
        points = forward_from_optical(clouds[index].astype(np.float64) * _METRES)
        stamp_ns = round(index * 1e9 / RATE_HZ)
        frame = Frame.from_points(points, stamp_ns=stamp_ns, frame_id="camera")
        yield LabelledFrame(frame, action=action)


DATASET = Layout("ntu-rgbd", "a folder of S###C###P###R###A###.npz; ?stride=2 for half the frames", ntu_rgbd)
