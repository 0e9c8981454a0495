"""Every way to get a folder of own recordings wrong is a sentence that says where."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_folder import MANIFEST, arrays, edit, frames_of, write_clip, write_set

from pointata import DataError
from pointata.data.formats.npz_recording import NpzFolderRecording
from pointata.data.formats.own_recordings import own_recordings
from pointata.data.manifest.manifest import read_manifest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of `write_set`."""
    return write_set(tmp_path)


def remove(*names: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for name in names:
            (root / name).unlink()

    return change


def rewrite(name: str, index: int = 0, **others: Any) -> Callable[[Path], None]:
    return lambda root: np.savez(root / name, **arrays(index, **others))


def clip(**others: Any) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        write_clip(root / "c.npz", **others)

    return change


def one_array(root: Path) -> None:
    """A .npy file under the name of an .npz file."""
    with (root / "a/0000.npz").open("wb") as file:
        np.save(file, np.eye(3))


ENTRY_A = "{path: a, action: sit, subject: ann, split: train}"
MANIFEST_ERRORS: list[tuple[str, str, str]] = [
    ("frame_period_s: 0.1\n", "", r"yaml, line 1: give either frame_period_s .* or rate_hz"),
    ("frame_period_s: 0.1", "frame_period_s: 0.1\nrate_hz: 10", "give either"),
    ("frame_period_s: 0.1", "frame_period_s: often", r"line 1 \(frame_period_s\): must be a number"),
    ("frame_period_s: 0.1", "rate_hz: 0", r"line 1 \(rate_hz\): must be above 0"),
    ("frame_period_s: 0.1", "frame_period_s: 0.01", r"line 6 \(recordings\[0\]\): a has .* every 0.1 s, .* 0.01 s"),
    ("frame_period_s", "frame_perod_s", "line 1 .*unknown key; did you mean frame_period_s"),
    ("features:", "colour: red\nfeatures:", r"line 4 \(colour\): unknown key; known are name"),
    ("actions: [sit, {name: wave,", "actions: [sit, {name: sit,", r"line 2 .*actions\[1\]: sit is named twice"),
    ("actions: [sit,", "actions: [[sit],", r"line 2 .*actions\[0\] must be a name"),
    ("[1, 2, 3]", "[1, 2, 300]", r"line 2 \(actions\[1\].color\): must be \[red, green, blue\]"),
    ("[1, 2, 3]", "red", r"actions\[1\].color\): must be a list"),
    ("{name: wave,", "{nam: wave,", "did you mean name"),
    ("features: [intensity]", "features: [points]", r"line 4 \(features\): features are names"),
    ("features: [intensity]", "features: [intensity, intensity]", "named twice"),
    ("features: [intensity]", "features: [doppler]", r"recordings\[0\]\): .*0000.npz has no array doppler"),
    ("recordings:", "mirror: {sit: jump}\nrecordings:", r"line 5 \(mirror\): unknown action jump"),
    ("recordings:", "mirror: {sit: wave, wave: wave}\nrecordings:", "one mirror image"),
    ("recordings:", "mirror: sit\nrecordings:", r"\(mirror\): must be a mapping"),
    ("recordings:", "videos:", "line 5 .*unknown key"),
    (ENTRY_A, "a", r"recordings\[0\] must be a mapping"),
    (ENTRY_A, ENTRY_A.replace("path", "file"), r"line 6 \(recordings\[0\].file\): unknown key"),
    (ENTRY_A, ENTRY_A.replace("path: a, ", ""), r"line 6 \(recordings\[0\]\): path is missing"),
    (ENTRY_A, ENTRY_A.replace("path: a,", "path: z,"), r"line 6 \(recordings\[0\].path\): .*/z does not exist"),
    (ENTRY_A, ENTRY_A.replace("path: a,", "path: b,"), r"line 7 .*: b is listed already, at .*line 6 \(rec"),
    (ENTRY_A, ENTRY_A.replace("path: a,", "path: ./a/../b,"), "listed already"),
    (ENTRY_A, ENTRY_A.replace("path: a,", "path: b/0000.npz,"), "0000.npz lies inside the recording at .*line 7"),
    (ENTRY_A, ENTRY_A.replace("sit", "jump"), r"\[0\].action\): unknown action jump; known are: sit, wave"),
    (ENTRY_A, ENTRY_A.replace("action: sit", "action: "), r"recordings\[0\].action\): must be a name"),
    (ENTRY_A, ENTRY_A.replace("train", "training"), r"recordings\[0\].split\): must be one of train, val, test"),
    (ENTRY_A, ENTRY_A.replace(", split: train", ""), r"line 6 \(recordings\[0\]\): split is missing"),
    (ENTRY_A, ENTRY_A.replace("train", "val"), r"line 7 .*: subject ann is in train here and in val at .*6"),
    (ENTRY_A, ENTRY_A.replace("subject: ann", "subject: bob"), "subject bob is in test here and in train"),
    (ENTRY_A, ENTRY_A.replace("path: a", "path: a, topic: /points"), r"\[0\]\): topic /points is given, .* not a bag"),
    (ENTRY_A, ENTRY_A.replace("path: a", "path: a, labels: nowhere"), r"\[0\].labels\): .*nowhere does not exist"),
    (ENTRY_A, ENTRY_A.replace("path: a", "path: a, labels: b"), r"line 6 \(recordings\[0\]\): .*/b holds no \*.npy"),
    ("{from: 0.3, to: 9, action: sit}", "{from: 0.1, to: 9, action: sit}",
     r"line 11 \(recordings\[2\].action\[1\]\): 0.1 to 9 s overlaps the segment from 0 to 0.2 s"),
    ("{from: 0.3, to: 9, action: sit}", "{from: 0.3, to: 0.3, action: sit}", r"action\[1\]\): ends at 0.3 s, which"),
    ("{from: 0.3, to: 9, action: sit}", "{from: -1, to: 9, action: sit}", r"action\[1\].from\): must be a number"),
    ("{from: 0.3, to: 9, action: sit}", "{from: 0.3, action: sit}", r"action\[1\]\): to is missing"),
    ("{from: 0.3, to: 9, action: sit}", "{from: 0.3, to: 9, action: jump}", r"\[1\].action\): unknown action jump"),
    ("{from: 0.3, to: 9, action: sit}", "{from: 0.3, to: 9, actoin: sit}", "did you mean action"),
    ("{from: 0.3, to: 9, action: sit}", "{from: 5, to: 9, action: sit}",
     r"line 8 \(recordings\[2\]\): the segment from 5 to 9 s begins after the last frame of c.npz, 0.400 s"),
    ("{from: 0.3, to: 9, action: sit}", "sit", r"line 9 \(recordings\[2\].action\): segments are written"),
    ("    split: test\n", "    split: test\n    split: val\n", "line 14: split is given twice"),
    ("    split: test\n", "    split: [test\n", "line 1[34]: "),
    ("point_classes: [floor, person]", "point_classes: [floor]",
     r"line 6 \(recordings\[0\]\): .* point label 1, but point_classes are 0 to 0 \(floor\); 255"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), MANIFEST_ERRORS)
def test_a_wrong_manifest_is_a_sentence_with_its_line(root: Path, old: str, new: str, message: str) -> None:
    own_recordings(root)  # right before the change
    with pytest.raises(DataError, match=message) as caught:
        own_recordings(edit(root, (old, new)))
    assert str(root / "manifest.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold `key: value` lines"),
        ("- a\n- b\n", "must hold `key: value` lines"),
        ("rate_hz: 10\nrecordings: [{path: a, split: train}]\n", "at least one of actions and point_classes"),
        ("rate_hz: 10\nactions: [sit]\n", "recordings is missing or empty"),
        (MANIFEST.replace(", split: train", "").replace("    split: test\n", "").replace("bob", "ann"),
         "the only subject is ann"),
        (MANIFEST.replace(", split: train", "").replace("    split: test\n", "").replace("    subject: bob\n", ""),
         r"line 8 \(recordings\[2\]\): give a subject"),
        (MANIFEST.replace("action: sit, ", "").replace("action: wave, ", ""), "no training recording has an action"),
    ],
)  # fmt: skip
def test_a_manifest_that_cannot_be_used_as_a_whole(root: Path, text: str, message: str) -> None:
    (root / "manifest.yaml").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        own_recordings(root)
    assert str(root / "manifest.yaml") in str(caught.value)


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"away is not a folder; give the folder that holds manifest.yaml"):
        own_recordings(tmp_path / "away")
    with pytest.raises(DataError, match=r"has no manifest.yaml; write one as docs/own_recordings.md shows"):
        own_recordings(tmp_path)


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (remove(*[f"a/000{i}.npz" for i in range(5)]), "a is not a recording that pointata knows"),
    (lambda root: (root / "a/0000.npz").write_bytes(b"PK\x03\x04 cut off"), "0000.npz cannot be read as .npz"),
    (lambda root: (root / "a/0000.npz").write_bytes(b""), "0000.npz cannot be read as .npz"),
    (one_array, "0000.npz cannot be read as .npz"),
    (rewrite("a/0000.npz", points=None), "0000.npz has no array points"),
    (rewrite("a/0000.npz", points=np.zeros((6, 4), np.float32)), r"points must be \(N, 3\) .*, got \(6, 4\)"),
    (rewrite("a/0000.npz", points=np.zeros((6, 3), np.int16)), "got .* int16"),
    (rewrite("a/0000.npz", points=np.array([[None] * 3], object)), "array points cannot be read .*pickle"),
    (rewrite("a/0000.npz", intensity=np.zeros(5)), r"feature intensity must be \(6,\) numbers"),
    (rewrite("a/0000.npz", labels=np.zeros(5, np.uint8)), r"labels must be \(6,\) uint8"),
    (rewrite("a/0000.npz", labels=np.zeros(6)), "labels must be .* float64"),
    (rewrite("a/0000.npz", labels=np.full(6, -1)), "255 for unlabelled, got -1"),
    (rewrite("a/0000.npz", labels=np.full(6, 2, np.uint8)), "point label 2, but point_classes are 0 to 1"),
    (clip(T_world_sensor=np.zeros((5, 4, 4))), "c.npz: T_world_sensor must be a rigid"),
    (rewrite("a/0003.npz", 3, stamp_ns=None), "0003.npz must have either stamp_ns .* or stamp"),
    (rewrite("a/0003.npz", 3, stamp=1.0), "0003.npz must have either"),
    (rewrite("a/0003.npz", 3, stamp_ns=1.5), "0003.npz: stamp_ns must be"),
    (rewrite("a/0003.npz", 2), "frame 3 .* is not later .*pad the numbers with zeros"),
    (clip(points=np.zeros((6, 3), np.float32)), r"c.npz: the points of a clip must be \(T, N, 3\), got \(6, 3\)"),
    (clip(stamp_ns=np.arange(4)), r"c.npz: stamp_ns must be finite and of shape \(5,\)"),
    (clip(stamp_ns=np.zeros(5, np.int64)), "c.npz: frame 1 .* is not later"),
    (clip(labels=np.zeros((4, 6), np.uint8)), r"c.npz: labels \(4, 6\) must have 5 frames"),
    (clip(intensity=None), "c.npz has no array intensity"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_damaged_files_are_found_on_opening(root: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(root)
    with pytest.raises(DataError, match=message) as caught:
        own_recordings(root)
    assert re.search(r"manifest.yaml, line \d+ \(recordings\[\d\]\)", str(caught.value))


LATE_DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (rewrite("a/0004.npz", 4, labels=np.full(6, 7, np.uint8)), "frame at .* has point label 7"),
    (rewrite("a/0004.npz", 4, T_world_sensor=np.eye(4)), "0004.npz: either every frame .* or none"),
    (rewrite("a/0004.npz", 4, intensity=None), "0004.npz has no array intensity"),
]


@pytest.mark.parametrize(("damage", "message"), LATE_DAMAGES)
def test_damage_further_on_names_the_file(root: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(root)
    with pytest.raises(DataError, match=message):
        frames_of(own_recordings(root).videos[0])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_whatever_the_damage_it_is_a_data_error(root: Path, save: Callable[..., None]) -> None:
    rng = np.random.default_rng(0)
    save(root / "a/0000.npz", **arrays(0))
    whole = (root / "a/0000.npz").read_bytes()
    refused = 0
    for trial in range(150):
        damaged = bytearray(whole[: rng.integers(len(whole))] if trial % 3 == 0 else whole)
        for place in rng.integers(0, max(1, len(damaged)), 3 if damaged else 0):
            damaged[place] = rng.integers(256)
        (root / "a/0000.npz").write_bytes(damaged)
        try:
            NpzFolderRecording(root / "a", ("intensity",))[0]
        except DataError:
            refused += 1
    assert refused > 50


def test_whatever_the_slip_in_a_manifest_it_is_a_data_error(root: Path) -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        text = list(MANIFEST)
        for place in rng.integers(0, len(text), 2):
            text[place] = rng.choice(list(" \n\t:-[]{},&*!|>'\"%@`#aé0"))
        (root / "manifest.yaml").write_text("".join(text), encoding="utf-8")
        try:
            read_manifest(root)
        except DataError:
            refused += 1
    assert refused > 50


def test_labels_beside_must_be_one_a_frame(root: Path) -> None:
    (root / "labels").mkdir()
    for index in range(4):
        np.save(root / "labels" / f"{index}.npy", np.zeros(6, np.uint8))
    edit(root, ("{path: a,", "{path: a, labels: labels,"))
    with pytest.raises(DataError, match=r"labels holds 4 .npy files for 5 frames"):
        own_recordings(root)
    np.save(root / "labels" / "4.npy", np.zeros(7, np.uint8))
    with pytest.raises(DataError, match=r"4.npy: labels must be \(6,\) uint8, one a point, got \(7,\)"):
        frames_of(own_recordings(root).videos[0])


def test_a_segment_between_two_frames_is_refused(root: Path) -> None:
    edit(root, ("from: 0.3, to: 9", "from: 0.31, to: 0.39"))
    with pytest.raises(DataError, match=r"no frame in the segment from 0.31 to 0.39 s"):
        frames_of(own_recordings(root).videos[2])


def test_point_classes_without_labels_in_training(root: Path) -> None:
    for folder in ("a", "b"):
        for index in range(5):
            np.savez(root / folder / f"{index:04}.npz", **arrays(index, labels=None))
    with pytest.raises(DataError, match="no training recording has point labels"):
        own_recordings(root)
    edit(root, ("action: wave, ", ""))
    with pytest.raises(DataError, match=r"line 7 \(recordings\[1\]\): b has neither an action nor labels"):
        own_recordings(root)
