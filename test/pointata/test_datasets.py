"""The registry, the sets made of recordings (MARS, SemanticKITTI, KITTI raw, simulator), and real data."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from dataset_checks import check_sources
from own_folder import write_set

from pointata import UNLABELLED, DataError
from pointata.bundles.bundle import read_metadata
from pointata.bundles.catalogue import shipped_bundles
from pointata.classes import class_list
from pointata.data.check import verify
from pointata.data.dataset import Dataset, Video
from pointata.data.formats.mars import ACTIONS, mars
from pointata.data.open import names_dataset, open_dataset, open_recording
from pointata.data.simulator import ROOM_CLASSES, RoomSimulator, StreetSimulator
from pointata.frame import Frame, LabelledFrame


def write_mars(path: Path, columns: int = 8) -> None:
    """Two frames of one and two detections: frame, object, x, y, z, doppler, intensity, unix time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [[0, 1, 0.5, 2, 0.25, -1, 30, 1e9], [1, 1, 1, 3, 1, 0, 31, 1e9 + 0.1], [1, 2, 2, 3, 1, 0, 32, 1e9 + 0.1]]
    with h5py.File(path, "w") as file:
        file["data"] = np.array(rows)[:, :columns].T


def test_mars_videos_subjects_actions_and_features(tmp_path: Path) -> None:
    for subject, movement in ((1, 1), (1, 10), (4, 2)):
        write_mars(tmp_path / "wooutlier" / f"subject{subject}" / f"radar_data{movement}.mat")
    dataset = open_dataset(f"mars:{tmp_path}")
    assert {(v.name, v.subject, v.split, v.action) for v in dataset.videos} == {
        ("subject1_radar_data1", "1", "train", 0), ("subject1_radar_data10", "1", "train", 9),
        ("subject4_radar_data2", "4", "train", 1),
    }  # fmt: skip
    first = check_sources(dataset)["subject1_radar_data10"][0]
    np.testing.assert_array_equal(first.frame.points, [[2, -0.5, 0.25]])
    assert first.frame.features["doppler"].tolist() == [-1]
    assert first.frame.features["intensity"].tolist() == [30]
    assert first.action == 9


def test_mars_mirror_pairs_exchange_left_and_right(tmp_path: Path) -> None:
    write_mars(tmp_path / "subject1" / "radar_data1.mat")
    mirrored = mars(tmp_path).mirrored
    assert mirrored is not None
    for action in ACTIONS:
        exchange = {"left": "right", "right": "left"}
        expected = " ".join(exchange.get(word, word) for word in action.name.split())
        assert ACTIONS[mirrored.get(action.id, action.id)].name == expected


@pytest.mark.parametrize(
    ("file", "columns", "words"),
    [
        ("subject1/radar_data1.mat", 7, "8 rows"),
        ("subject1/radar_data11.mat", 8, "radar_data1.mat to radar_data10.mat"),
        ("radar_data1.mat", 8, "must lie in a folder subject1"),
        ("other/subject2/radar_data3.mat", 8, "twice"),
        (None, 8, "holds no subject"),
    ],
)
def test_mars_refusals(tmp_path: Path, file: str | None, columns: int, words: str) -> None:
    if file is not None:
        write_mars(tmp_path / "subject2" / "radar_data3.mat")
        write_mars(tmp_path / file, columns)
    with pytest.raises(DataError, match=words):
        mars(tmp_path)


def write_sequence(folder: Path, labels: bool = True) -> None:
    for name in ("velodyne", "labels") if labels else ("velodyne",):
        (folder / name).mkdir(parents=True)
    for index in range(2):
        np.array([[1, 2, 3, 0.5], [4, 5, 6, 0.25]], dtype="<f4").tofile(folder / "velodyne" / f"{index:06d}.bin")
        if labels:
            np.array([40, 3 << 16 | 10], dtype="<u4").tofile(folder / "labels" / f"{index:06d}.label")


def test_semantic_kitti_official_split(tmp_path: Path) -> None:
    for number in range(22):
        write_sequence(tmp_path / "dataset" / "sequences" / f"{number:02d}", labels=number < 11)
    dataset = open_dataset(f"semantic-kitti:{tmp_path}")
    splits = {split: [v.subject for v in dataset.videos if v.split == split] for split in ("train", "val", "test")}
    assert splits["train"] == ["00", "01", "02", "03", "04", "05", "06", "07", "09", "10"]
    assert splits["val"] == ["08"]
    assert splits["test"] == [str(number) for number in range(11, 22)]
    frames = check_sources(open_dataset(f"semantic-kitti:{tmp_path / 'dataset'}"))
    assert [item.labels.tolist() for item in frames["semantic_kitti_08"] if item.labels is not None] == [[8, 0]] * 2
    assert frames["semantic_kitti_11"][0].labels is None
    single = open_dataset(f"semantic-kitti:{tmp_path}/dataset/sequences/08")
    assert [(video.subject, video.split) for video in single.videos] == [("08", "val")]


def test_semantic_kitti_missing_labels_are_named_when_opened(tmp_path: Path) -> None:
    write_sequence(tmp_path / "sequences" / "00")
    (tmp_path / "sequences" / "00" / "labels" / "000001.label").unlink()
    with pytest.raises(DataError, match=r"lacks 1 of 2 label files, the first is 000001\.label"):
        open_dataset(f"semantic-kitti:{tmp_path}")
    with pytest.raises(DataError, match="holds no sequences"):
        open_dataset(f"semantic-kitti:{tmp_path / 'sequences' / '00' / 'labels'}")


def test_kitti_raw_drives_at_any_of_three_levels(tmp_path: Path) -> None:
    for drive in ("2011_09_26/2011_09_26_drive_0001_sync", "2011_09_28/2011_09_28_drive_0002_sync"):
        sweeps = tmp_path / drive / "velodyne_points" / "data"
        sweeps.mkdir(parents=True)
        np.ones((3, 4), dtype="<f4").tofile(sweeps / "0000000000.bin")
    names = ["2011_09_26_drive_0001_sync", "2011_09_28_drive_0002_sync"]
    dataset = open_dataset(f"kitti-raw:{tmp_path}")
    assert [video.name for video in dataset.videos] == names
    assert dataset.heads == {}
    for folder in (tmp_path / "2011_09_26", tmp_path / "2011_09_26" / names[0]):
        assert list(check_sources(open_dataset(f"kitti-raw:{folder}"))) == names[:1]
    one = tmp_path / "2011_09_26" / names[0]
    for spec in (f"kitti-raw:{tmp_path}?video={names[0]}", f"kitti-raw:{one}?video={names[0]}", f"kitti-raw:{one}"):
        assert (open_recording(spec).name, len(open_recording(spec))) == (names[0], 1)
    with pytest.raises(DataError, match="holds no drive"):
        open_dataset(f"kitti-raw:{tmp_path / '2011_09_26' / names[0] / 'velodyne_points'}")


def test_simulated_rooms_are_those_of_the_simulator() -> None:
    pytest.importorskip("open3d", reason="the simulator needs open3d (pip install './pointata[training]')")
    dataset = open_dataset("sim:room?recordings=2&frames=2&validation=1&test=1")
    frames = check_sources(dataset)
    made: list[tuple[str, str, int, Any]] = [
        ("room_train_0", "train", 0, "train"), ("room_train_1", "train", 1, "train"),
        ("room_train_2", "val", 2, "train"), ("room_test_0", "test", 0, "test"),
    ]  # fmt: skip
    assert [(video.name, video.split) for video in dataset.videos] == [entry[:2] for entry in made]
    for name, _, seed, stream in made:
        for one, other in zip(frames[name], RoomSimulator(seed, stream, frames=2), strict=True):
            np.testing.assert_array_equal(one.frame.points, other.frame.points)
    assert dataset.heads["semantic"] == ROOM_CLASSES
    assert len({video.subject for video in dataset.videos}) == 4

    street = open_dataset("sim:street?recordings=1&frames=1&validation=0&test=0")
    [item] = check_sources(street)["street_train_0"]
    np.testing.assert_array_equal(item.frame.points, next(iter(StreetSimulator(0, frames=1))).frame.points)
    assert list(street.heads) == ["semantic", "moving"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("imagenet:/data", r"(?s)there is no format imagenet; known are.*mars: .*msr-action3d: .*recordings: .*sim: "),
        ("hio4d:/data", r"there is no format hio4d; did you mean hoi4d\?$"),
        ("mars", r"(?s)mars does not exist; known are.*mars: a folder with subject"),
        ("mars:", "mars: does not exist; mars needs a folder with subject"),
        (".", r"is not a data set; known are"),
        ("bag:x.mcap", "bag:x.mcap is not a data set; known are"),
        (
            "sim:room?seed=3",
            r"sim:room\?seed=3 is one recording; a data set also needs recordings=\.\.\.: .*recordings=20",
        ),
        ("mars:/nowhere/at/all", "does not exist; mars needs a folder with subject"),
        ("sim:moon?recordings=2", "no scene 'moon'"),
        ("sim:room?recordings=0", "at least 1 recording"),
        (
            "sim:room?recordings=2&frame=3",
            r"unknown option frame; did you mean frames\?; known: recordings \(a whole number\); frames \(a whole n",
        ),
        ("sim:room?recordings=2&frames=long", "frames must be a whole number, not 'long'"),
        ("sim:room?recordings", "write recordings as recordings=VALUE"),
        ("mars:.?stride=2", "unknown option stride; known: none"),
    ],
)
def test_registry_says_what_it_needs(spec: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        open_dataset(spec)


def test_a_folder_with_a_manifest_is_own_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path / "set")
    monkeypatch.setenv("HOME", str(tmp_path))
    for spec in ("recordings:~/set", "~/set", tmp_path / "set"):
        found = open_dataset(spec)
        assert (found.name, [video.name for video in found.videos]) == ("set", ["a", "b", "c.npz"])
        assert names_dataset(spec)
    assert [video.name for video in open_dataset("recordings:~/set?video=b").videos] == ["b"]
    with pytest.raises(DataError, match=r"data set set has no video c\.npy; did you mean c\.npz\?"):
        open_dataset("recordings:~/set?video=c.npy")


def test_shipped_configurations_name_data_sets() -> None:
    files = sorted((Path(__file__).resolve().parents[2] / "config" / "train").glob("*.yaml"))
    named = [found[1] for file in files if (found := re.search(r"^  set: (\S+)", file.read_text(), re.M))]
    assert len(named) > 10
    assert [spec for spec in named if not names_dataset(spec)] == []


def test_what_shipped_bundles_were_scored_on_can_be_opened() -> None:
    pytest.importorskip("open3d", reason="the simulator needs open3d (pip install './pointata[training]')")
    scored = [source for name in shipped_bundles() for source in read_metadata(name).scored_on]
    simulated = [source for source in scored if source.startswith("sim:")]
    assert len(simulated) == 10
    for source in simulated:
        recording = open_recording(source)
        assert len(recording) == int(source.rpartition("frames=")[2])
        assert recording.origin is not None
        assert "_test_" in recording.origin.video


def frames_of(*items: LabelledFrame) -> Iterable[LabelledFrame]:
    return items


def labelled(label: int, action: int | None = None, **features: Any) -> LabelledFrame:
    frame = Frame.from_points(np.ones((2, 3)), features={name: np.ones(2) for name in features})
    return LabelledFrame(frame, np.full(2, label, dtype=np.uint8), action)


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ((labelled(1, doppler=True),), None),
        ((labelled(UNLABELLED, 2, doppler=True),), None),
        ((), "it has no frame"),
        ((labelled(1),), "its points lack doppler"),
        ((labelled(2, doppler=True),), r"its point labels \[2\]"),
        ((labelled(1, 3, doppler=True),), "its action 3"),
    ],
)
def test_verify_compares_first_frames_with_the_description(items: tuple[LabelledFrame, ...], words: str | None) -> None:
    def classes(count: int) -> Any:
        return class_list(*((str(index), (0, 0, 0)) for index in range(count)))

    heads = {"segments": classes(3), "semantic": classes(2)}
    dataset = Dataset("set", (Video("v", partial(frames_of, *items)),), heads, 0.1, ("doppler",))
    problems = verify(dataset)
    if words is None:
        assert problems == []
    else:
        assert len(problems) == 1
        with pytest.raises(DataError, match=f"v: {words}"):
            raise DataError(problems[0])


def test_real_mars(data_root: Path) -> None:
    if not (data_root / "mars").exists():
        pytest.skip(f"no MARS recordings under {data_root}")
    dataset = open_dataset(f"mars:{data_root / 'mars'}")
    assert Counter(video.subject for video in dataset.videos) == {"1": 10, "2": 10, "3": 10, "4": 9}
    assert Counter(video.action for video in dataset.videos) == {**dict.fromkeys(range(9), 4), 9: 3}
    assert sum(1 for video in dataset.videos for _ in video.source()) == 40_022
    assert verify(dataset) == []


def test_real_semantic_kitti(data_root: Path) -> None:
    if not (data_root / "semantic_kitti").exists():
        pytest.skip(f"no SemanticKITTI frames under {data_root}")
    dataset = open_dataset(f"semantic-kitti:{data_root / 'semantic_kitti'}")
    assert [(video.subject, video.split) for video in dataset.videos] == [("00", "train")]
    assert sum(1 for _ in dataset.videos[0].source()) == 21
    assert verify(dataset) == []


def test_opening_refuses_what_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    openers: list[Callable[[], object]] = [
        partial(open_dataset, f"{name}:{tmp_path / 'file'}")
        for name in ("msr-action3d", "ntu-rgbd", "hoi4d", "synthia4d", "semantic-kitti", "kitti-raw", "mars")
    ]
    for opener in openers:
        with pytest.raises(DataError, match="is not a folder"):
            opener()
