"""MSR-Action3D: depth videos of 20 actions (Li, Zhang and Liu, 2010), raw or as the point videos made of them."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointata.classes import class_list
from pointata.data.dataset import Dataset, Video
from pointata.data.formats.point_archives import read_point_archive
from pointata.data.layout import Layout
from pointata.data.set_files import data_folder, named_files
from pointata.errors import DataError
from pointata.frame import Frame, LabelledFrame
from pointata.geometry.axes import forward_from_optical

#: In the order of the file numbers 1 to 20.
ACTIONS = class_list(
    "high arm wave", "horizontal arm wave", "hammer", "hand catch", "forward punch", "high throw", "draw x",
    "draw tick", "draw circle", "hand clap", "two hand wave", "side boxing", "bend", "forward kick", "side kick",
    "jogging", "tennis swing", "tennis serve", "golf swing", "pick up and throw",
)  # fmt: skip

RATE_HZ = 15.0
#: Subjects 1 to 5 are for training, 6 to 10 for testing.
TRAINING_SUBJECTS = range(1, 6)

_FOCAL_PIXELS = 280.0
_HEADER_BYTES = 12
_METRES = 1e-3


def msr_action3d(root: Path | str) -> Dataset:
    """Open a folder of a##_s##_e##_sdepth.bin files (depth images) or of the .npz files made of them (point videos).

    Both give the same frames: metres (the files have millimetres; networks that divide by 300 see them at a scale of
    0.3 m), turned from the camera's x right, y down, z forward into x forward, y left, z up. Features: none. The
    files have no times: the camera's nominal 15 Hz is taken. Mirroring is not offered: it would undo "draw tick".

    Raises:
        DataError: a file that is misnamed or has the wrong size, or both kinds in one folder.
    """
    folder = data_folder(root)
    suffixes = [suffix for suffix in (".bin", ".npz") if any(folder.rglob(f"*{suffix}"))]
    if len(suffixes) == 2:
        raise DataError(f"{folder} holds both .bin and .npz files; give the folder of one kind")
    suffix = suffixes[0] if suffixes else ".bin"
    videos = []
    for file, (action, subject, take) in named_files(
        folder, suffix, r"a(\d\d)_s(\d\d)_e(\d\d)(?:_sdepth)?", f"a01_s01_e01_sdepth{suffix}"
    ):
        if not 1 <= action <= len(ACTIONS) or not 1 <= subject <= 10:
            raise DataError(f"{file}: actions are a01 to a20 and subjects s01 to s10; rename it or move it away")
        if suffix == ".bin":
            _read_header(file)
        frames = msr_depth_frames if suffix == ".bin" else msr_archive_frames
        videos.append(
            Video(
                f"a{action:02d}_s{subject:02d}_e{take:02d}",
                partial(frames, file, action - 1),
                subject=str(subject),
                split="train" if subject in TRAINING_SUBJECTS else "test",
                action=action - 1,
            )
        )
    return Dataset("msr_action3d", tuple(videos), {"action": ACTIONS}, 1 / RATE_HZ, mirrored=None)


def msr_depth_frames(file: Path, action: int) -> Iterable[LabelledFrame]:
    """Frames of a raw depth video; pixels without depth (the background) are left out."""
    count, width, height = _read_header(file)
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    right, down = (u.ravel() - width / 2) / _FOCAL_PIXELS, (v.ravel() - height / 2) / _FOCAL_PIXELS
    for index in range(count):
        depth = np.fromfile(file, "<u4", width * height, offset=_HEADER_BYTES + 4 * index * width * height)
        valid = np.flatnonzero(depth)
        z = depth[valid] * _METRES
        frame = Frame(
            stamp_ns=_stamp_ns(index),
            points=forward_from_optical(np.stack((right[valid] * z, down[valid] * z, z), axis=1)).astype(np.float32),
            source_index=valid,
            source_count=len(depth),
            frame_id="camera",
        )
        yield LabelledFrame(frame, action=action)


def msr_archive_frames(file: Path, action: int) -> Iterable[LabelledFrame]:
    """Frames of a point video: .npz with `point_clouds`, T arrays (n_t, 3), millimetres."""
    return _from_points(read_point_archive(file, "point_clouds"), action)


def _from_points(clouds: list[NDArray[np.floating]], action: int) -> Iterator[LabelledFrame]:
    for index, cloud in enumerate(clouds):
        points = forward_from_optical(cloud.astype(np.float64) * _METRES)
        yield LabelledFrame(Frame.from_points(points, stamp_ns=_stamp_ns(index), frame_id="camera"), action=action)


def _stamp_ns(index: int) -> int:
    return round(index * 1e9 / RATE_HZ)


def _read_header(file: Path) -> tuple[int, int, int]:
    """Frames, width and height of a .bin file: three little-endian uint32, then uint32 millimetres, row by row."""
    size = file.stat().st_size
    header = np.fromfile(file, "<u4", 3).tolist()
    if len(header) != 3 or 0 in header or size != _HEADER_BYTES + 4 * header[0] * header[1] * header[2]:
        raise DataError(f"{file} has {size} bytes, which is not what its header {header} (frames, width, height) "
                        "announces: truncated; copy it again")  # fmt: skip
    count, width, height = header
    return count, width, height


DATASET = Layout("msr-action3d", "a folder of a##_s##_e##_sdepth.bin, or of such .npz", msr_action3d)
