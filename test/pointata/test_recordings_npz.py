"""`open_recording` on frames in numpy files, and what else such files may be."""

from pathlib import Path

import numpy as np
import pytest
from own_folder import PERIOD_NS, arrays, write_clip, write_folder, write_set

from pointata import DataError
from pointata.data.open import open_recording


def test_a_folder_of_frames_is_a_recording(tmp_path: Path) -> None:
    recording = open_recording(write_folder(tmp_path / "wave"), features=("intensity",))
    frames = list(recording)
    assert (recording.name, len(recording), len(frames)) == ("wave", 5, 5)
    assert recording.rate_hz == pytest.approx(1e9 / PERIOD_NS)
    for index, item in enumerate(frames):
        written = arrays(index)
        np.testing.assert_array_equal(item.frame.points, written["points"])
        np.testing.assert_array_equal(item.frame.features["intensity"], written["intensity"])
        np.testing.assert_array_equal(item.labels, written["labels"])
        assert item.frame.stamp_ns == written["stamp_ns"]


def test_one_file_with_a_clip_is_a_recording(tmp_path: Path) -> None:
    written = write_clip(tmp_path / "wave.npz")
    frames = list(open_recording(str(tmp_path / "wave.npz")))
    np.testing.assert_array_equal(np.stack([item.frame.points for item in frames]), written["points"])
    assert [item.frame.stamp_ns for item in frames] == written["stamp_ns"].tolist()
    assert frames[0].frame.features == {}


def test_a_set_with_its_manifest_is_no_recording(tmp_path: Path) -> None:
    """Also where clips lie beside the manifest; its recordings have names."""
    with pytest.raises(DataError, match=r"has 3 videos \(a, b, c\.npz\); name one, as in .*\?video=a$"):
        open_recording(write_set(tmp_path))


@pytest.mark.parametrize(
    "content",
    [
        {"point_clouds": np.zeros((4, 5, 3))},  # MSR-Action3D, as others store it
        {"data": np.zeros((4, 5, 3))},  # NTU RGB+D
        {"pc": np.zeros((5, 3)), "rgb": np.zeros((5, 3)), "semantic": np.zeros(5)},  # Synthia 4D
    ],
)
def test_files_of_other_data_sets_are_not_taken_for_frames(tmp_path: Path, content: dict[str, np.ndarray]) -> None:
    for index in range(2):
        np.savez(tmp_path / f"{index}.npz", **content)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="is not a recording that pointata knows"):
        open_recording(tmp_path)
    with pytest.raises(DataError, match=r"0\.npz: the points of a clip must be \(T, N, 3\)"):
        open_recording(tmp_path / "0.npz")


def test_layouts_with_an_npz_beside_them_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "velodyne_points" / "data").mkdir(parents=True)
    np.zeros((5, 4), "<f4").tofile(tmp_path / "velodyne_points" / "data" / "0000000000.bin")
    (tmp_path / "velodyne_points" / "timestamps.txt").write_text("2011-09-26 13:02:25.000000001\n")
    np.savez(tmp_path / "0.npz", **arrays(0))
    assert type(open_recording(tmp_path)).__name__ == "KittiRawRecording"


def test_a_frame_given_as_a_clip_and_a_damaged_file_are_sentences(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "wave")
    with pytest.raises(DataError, match="name the folder"):
        open_recording(folder / "0000.npz")
    (folder / "0000.npz").write_bytes((folder / "0000.npz").read_bytes()[:100])
    with pytest.raises(DataError, match=r"0000\.npz cannot be read as \.npz"):
        open_recording(folder)


@pytest.mark.parametrize("pause_s", [0.0, 600.0])
def test_the_rate_counts_frames_over_time(tmp_path: Path, pause_s: float) -> None:
    """A radar at 30 Hz whose stamps come in pairs 1.4 ms apart, with or without a pause in the recording."""
    gaps = np.resize([0.0014, 1 / 15 - 0.0014], 60)
    gaps[31] += pause_s
    stamps_ns = 10**18 + np.rint(np.concatenate(([0], np.cumsum(gaps))) * 1e9).astype(np.int64)
    np.savez(tmp_path / "radar.npz", points=np.zeros((61, 4, 3), np.float32), stamp_ns=stamps_ns)
    assert open_recording(tmp_path / "radar.npz").rate_hz == pytest.approx(30, rel=0.03)
