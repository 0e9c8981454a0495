"""Synthia 4D: simulated drives with point labels (Ros et al., 2016; as point videos: Choy et al., 2019)."""

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointata.classes import UNLABELLED, class_list
from pointata.data.dataset import Dataset, Split, Video
from pointata.data.formats.npz_file import open_npz
from pointata.data.layout import Layout
from pointata.data.set_files import data_folder
from pointata.errors import DataError
from pointata.frame import Frame, LabelledFrame
from pointata.geometry.rigid import rigid

#: The classes of the published comparisons, in their order.
CLASSES = class_list(
    ("building", (128, 0, 0)), ("road", (128, 64, 128)), ("sidewalk", (0, 0, 192)), ("fence", (64, 64, 128)),
    ("vegetation", (128, 128, 0)), ("pole", (192, 192, 128)), ("car", (64, 0, 128)), ("traffic sign", (192, 128, 128)),
    ("pedestrian", (64, 64, 0)), ("bicycle", (0, 128, 192)), ("lane marking", (0, 172, 0)),
    ("traffic light", (0, 128, 128)),
)  # fmt: skip

#: `semantic` in the files is Synthia's own numbering; 0 void, 1 sky, 13 and 14 reserved are unlabelled here. The
#: published networks read it this way; the original documentation was not at hand to compare.
RAW_IDS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15)
RAW_UNLABELLED = (0, 1, 13, 14)

SPLITS: dict[str, Split] = {
    "SEQS-01": "train", "SEQS-02": "train", "SEQS-04": "train",
    "SEQS-05-FOG": "val", "SEQS-06-SPRING": "test", "SEQS-06-SUNSET": "test",
}  # fmt: skip
RATE_HZ = 5.0

#: Raw ids of what lies below the camera: road, sidewalk, lane marking.
_GROUND = (3, 4, 12)
_KEYS = ("pc", "rgb", "semantic", "center")


def synthia4d(root: Path | str) -> Dataset:
    """Open a folder of SYNTHIA-SEQS-##-NAME-######.npz files, or of folders SYNTHIA-SEQS-##-NAME with ######.npz.

    A file is a frame: pc (P, 3) metres in world axes, rgb (P, 3), semantic (P,), center (3,) the camera. Each sequence
    is a video. Frames are turned to z up, origin at the camera, axes parallel to the world's; T_world_sensor holds
    the camera's place. The files' vertical axis is y, whose sign is not documented: up is away from the road. Whether
    the original world is mirrored is not known to us; the classes do not depend on it. Features: "red", "green",
    "blue", 0 to 1. Stamps: the file number at 5 Hz.

    Raises:
        DataError: no frame, a name that is not understood, or a sequence that is in no split of the protocol.
    """
    sequences = _sequences(data_folder(root))
    videos = []
    for name, files in sorted(sequences.items()):
        split = next((SPLITS[key] for key in SPLITS if name.startswith(key)), None)
        if split is None:
            raise DataError(f"{files[0][1]}: {name} is in no split ({', '.join(SPLITS)}); move it away")
        videos.append(Video(name, partial(synthia4d_frames, tuple(files)), subject=name, split=split, has_poses=True))
    return Dataset("synthia4d", tuple(videos), {"semantic": CLASSES}, 1 / RATE_HZ, ("red", "green", "blue"))


def synthia4d_frames(files: tuple[tuple[int, Path], ...]) -> Iterable[LabelledFrame]:
    """The frames of a sequence, given as (number, file)."""
    up = _up(files)
    for number, file in files:
        pc, rgb, semantic, center = _read(file)
        # a proper rotation for either sign: forward = z, left = up x forward
        turn = np.array([[0, 0, 1], [up, 0, 0], [0, up, 0]], dtype=np.float64)
        frame = Frame.from_points(
            (pc - center) @ turn.T,
            stamp_ns=round(number * 1e9 / RATE_HZ),
            features={name: rgb[:, channel] for channel, name in enumerate(("red", "green", "blue"))},
            T_world_sensor=rigid(np.eye(3), turn @ center),
            frame_id="camera",
        )
        yield LabelledFrame(frame, _RAW_TO_CLASS[semantic][frame.source_index])


def _sequences(folder: Path) -> dict[str, list[tuple[int, Path]]]:
    """(number, file) of every frame by sequence name, in order."""
    sequences: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    for file in sorted(folder.rglob("*.npz")):
        whole = file.stem if "SEQS" in file.stem else f"{file.parent.name}-{file.stem}"
        match = re.fullmatch(r"(?:SYNTHIA-)?(SEQS-\d\d-[A-Z]+)-(\d+)", whole)
        if match is None:
            raise DataError(f"{file} must be named SYNTHIA-SEQS-01-DAWN-000123.npz, or lie as 000123.npz in a folder "
                            "SYNTHIA-SEQS-01-DAWN; rename it or move it away")  # fmt: skip
        sequences[match.group(1)].append((int(match.group(2)), file))
    if not sequences:
        raise DataError(f"{folder} holds no .npz file; convert Synthia 4D to one file a frame (pc, rgb, semantic, "
                        "center), as point-video networks do")  # fmt: skip
    for name, files in sequences.items():
        files.sort()
        if len({number for number, _ in files}) < len(files):
            raise DataError(f"{folder} holds a frame of {name} twice; give the folder of one copy")
    return sequences


def _up(files: tuple[tuple[int, Path], ...]) -> float:
    """1 where the files' y points up, -1 where it points down: the camera is above the road."""
    for _, file in files:
        pc, _, semantic, center = _read(file)
        ground = pc[np.isin(semantic, _GROUND), 1]
        if len(ground):
            return 1.0 if np.median(ground) < center[1] else -1.0
    raise DataError(f"{files[0][1].parent}: no frame of the sequence shows a road, so that up is not known; remove it")


def _read(file: Path) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
    """Points, colours, raw labels and camera of a frame."""
    arrays, names = open_npz(file)
    missing = [key for key in _KEYS if key not in names]
    if missing:
        raise DataError(f"{file} lacks {', '.join(missing)}; it must hold {', '.join(_KEYS)}")
    pc, rgb, semantic, center = (arrays(key) for key in _KEYS)
    count = pc.size // 3
    if pc.shape != (count, 3) or rgb.shape != (count, 3) or semantic.shape != (count,) or center.shape != (3,):
        shapes = f"{pc.shape}, {rgb.shape}, {semantic.shape}, {center.shape}"
        raise DataError(f"{file} must hold pc (P, 3), rgb (P, 3), semantic (P,), center (3,); it holds {shapes}")
    semantic = semantic.astype(np.int64)
    if count == 0 or semantic.min() < 0 or semantic.max() >= len(_RAW_TO_CLASS):
        raise DataError(f"{file} has no point, or labels beyond Synthia's 0 to {len(_RAW_TO_CLASS) - 1}")
    return pc.astype(np.float64), rgb.astype(np.float32), semantic, center.astype(np.float64)


def _raw_to_class() -> NDArray[np.uint8]:
    table = np.full(len(RAW_IDS) + len(RAW_UNLABELLED), UNLABELLED, dtype=np.uint8)
    table[list(RAW_IDS)] = [entry.id for entry in CLASSES]
    return table


_RAW_TO_CLASS = _raw_to_class()


DATASET = Layout("synthia4d", "a folder of SYNTHIA-SEQS-##-NAME-######.npz", synthia4d)
