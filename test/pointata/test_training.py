"""Training: clips, the cache of sampled recordings, and what each mode changes in the bundle it writes."""

import shutil
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist

from pointata.alignment.embedder_file import save_aligned
from pointata.bundles.adapter_metadata import AdapterMetadata
from pointata.bundles.backbone import save_backbone
from pointata.bundles.bundle import load_bundle
from pointata.cli import main
from pointata.model.backbone import Backbone
from pointata.model.config import BACKBONES
from pointata.model.pointata import PointATA
from pointata.model.trainable import adapter_state, backbone_state
from pointata.preprocessing.sampling import SamplingConfig
from pointata.tasks import get
from pointata.training.augmentation import Augmentation
from pointata.training.clip_loader import EpochSampler, collate
from pointata.training.clips import ClipShape, FixedClips, RandomClips
from pointata.training.recording_cache import SampledRecording, cached_recordings, load_recording


def recording(seed: int, frames: int = 9, points: int = 40) -> SampledRecording:
    """Random points; labels and actions tell the frame that they belong to."""
    rng = np.random.default_rng(seed)
    return SampledRecording(
        points=rng.normal(size=(frames, points, 3)).astype(np.float32),
        labels={"semantic": np.repeat(np.arange(frames, dtype=np.uint8)[:, None], points, axis=1)},
        actions=100 * seed + np.arange(frames),
        origins=rng.normal(size=(frames, 3)),
        stamps=np.arange(frames, dtype=np.float64) / 10,
        features=rng.normal(size=(frames, points, 2)).astype(np.float32),
    )


def test_fixed_clips_walk_through_the_recordings() -> None:
    recordings = [recording(1), recording(2, frames=6)]
    clips = FixedClips(recordings, ClipShape(frames=4, stride=2, dense=2, point_neighbours=3))
    starts = [(0, 0), (0, 2), (0, 4), (1, 0), (1, 2)]
    assert len(clips) == len(starts)
    for item, (number, start) in enumerate(starts):
        batch = clips[item]
        clip, source, part = batch.clip, recordings[number], slice(start, start + 4)
        assert batch.videos.tolist() == [number]
        np.testing.assert_array_equal(clip.points[0], source.points[part])
        np.testing.assert_array_equal(batch.labels["semantic"][0], source.labels["semantic"][part])
        np.testing.assert_array_equal(batch.actions[0], source.actions[part])
        np.testing.assert_allclose(clip.origins[0], source.origins[part] - source.origins[start])
        np.testing.assert_allclose(clip.stamps[0], [0, 0.1, 0.2, 0.3], atol=1e-12)
        assert clip.features is not None
        np.testing.assert_array_equal(clip.features[0], source.features[part])
        assert clip.neighbours is not None
        for frame, near in zip(source.points[part][-2:], clip.neighbours[0], strict=True):
            distance = np.linalg.norm(frame[:, None] - frame[None], axis=-1)
            np.testing.assert_array_equal(near, np.argsort(distance, axis=1)[:, :3])
    joined = collate([clips[0], clips[3]])
    assert joined.labels["semantic"].shape == (2, 4, 40)
    assert joined.actions[:, 0].tolist() == [100, 200]
    assert joined.videos.tolist() == [0, 1]


def drawn(augmentation: Augmentation, mirrored: dict[int, int] | None = None, seed: int = 0) -> RandomClips:
    """Random clips of two recordings, four frames each."""
    shape = ClipShape(frames=4, stride=1, dense=1, point_neighbours=3)
    return RandomClips([recording(1), recording(2)], shape, augmentation, mirrored or {}, seed)


def test_drawn_clips_are_similar_images_of_what_was_recorded() -> None:
    recordings = [recording(1), recording(2)]
    clips = drawn(Augmentation(scale=0.2))
    scales, seen = [], set()
    for item in range(12):
        batch = clips[item]
        number, start = divmod(int(batch.actions[0, 0]), 100)
        seen.add((number, start))
        source, part = recordings[number - 1], slice(start, start + 4)
        np.testing.assert_array_equal(batch.actions[0], source.actions[part])
        np.testing.assert_array_equal(batch.labels["semantic"][0], source.labels["semantic"][part])
        # points in the world, all frames together: a similarity stretches all of their distances alike
        before = (source.points[part] + source.origins[part][:, None]).reshape(-1, 3)
        after = (batch.clip.points[0].numpy() + batch.clip.origins[0].numpy()[:, None]).reshape(-1, 3)
        ratio = pdist(after) / pdist(before)
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)
        scales.append(ratio[0])
    assert min(scales) >= 0.799
    assert max(scales) <= 1.201
    assert np.ptp(scales) > 0.05
    assert len(seen) > 3


def test_what_an_epoch_shows_depends_on_seed_and_number_alone() -> None:
    first, again, other = drawn(Augmentation()), drawn(Augmentation()), drawn(Augmentation(), seed=1)
    torch.manual_seed(1)  # neither the process's random state nor the order of asking matters
    assert torch.equal(first[5].clip.points, [again[9], again[5]][1].clip.points)
    assert not torch.equal(first[5].clip.points, first[6].clip.points)
    assert not torch.equal(first[5].clip.points, other[5].clip.points)


def test_mirrored_clips_show_the_mirrored_action() -> None:
    """An upright L of points tells by its handedness whether it was mirrored."""
    corner = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    source = SampledRecording(
        points=np.repeat(corner[None], 4, axis=0),
        labels={"semantic": np.zeros((4, 4), dtype=np.uint8)},
        actions=np.array([0, 1, 2, -1]),
        origins=np.zeros((4, 3)),
        stamps=np.arange(4.0),
        features=np.zeros((4, 4, 0), dtype=np.float32),
    )
    clips = RandomClips([source], ClipShape(4, 1, 0, 0), Augmentation(), {0: 1, 1: 0}, seed=0)
    hands = {True: [1, 0, 2, -1], False: [0, 1, 2, -1]}
    found = set()
    for item in range(20):
        axes = (clips[item].clip.points[0, 0, 1:] - clips[item].clip.points[0, 0, 0]).numpy()
        mirrored = bool(np.linalg.det(axes) < 0)
        assert clips[item].actions[0].tolist() == hands[mirrored]
        found.add(mirrored)
    assert found == {True, False}


def test_points_left_out_are_replaced_by_others_of_their_frame() -> None:
    plain, thinned = drawn(Augmentation(drop=0.0)), drawn(Augmentation(drop=0.9))
    rng = np.random.default_rng(0)
    used = Augmentation(drop=0.9).thin_out(rng, 50, 40)
    assert (used[:, 0] == 0).all()
    counts = [len(np.unique(row)) for row in used]
    assert min(counts) < 40
    assert all((np.diff(row[:count]) > 0).all() for row, count in zip(used, counts, strict=True))
    whole = {len(np.unique(plain[item].clip.points[0, 0], axis=0)) for item in range(8)}
    assert whole == {40}
    assert min(len(np.unique(thinned[item].clip.points[0, 0], axis=0)) for item in range(8)) < 40


def test_pace_plays_faster_or_slower_within_the_recording() -> None:
    augmentation = Augmentation(pace=0.5)
    rng = np.random.default_rng(0)
    paces = []
    for _ in range(200):
        index, pace = augmentation.frames(rng, 20, 10)
        assert index.min() >= 0
        assert index.max() < 20
        np.testing.assert_allclose(index - index[0], np.arange(10) * pace, atol=0.5 + 1e-9)
        paces.append(pace)
    assert min(paces) < 0.6
    assert max(paces) > 1.4
    index, pace = augmentation.frames(rng, 10, 10)  # no room to play faster
    assert pace <= 1.0
    assert index.max() < 10


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_share_an_epoch_without_overlap(processes: int) -> None:
    shares = [EpochSampler(10, rank, processes, fresh=True) for rank in range(processes)]
    epochs = []
    for epoch in (0, 1):
        for share in shares:
            share.set_epoch(epoch)
        numbers = [list(share) for share in shares]
        assert [len(share) for share in shares] == [len(part) for part in numbers]
        epochs.append(sorted(number for part in numbers for number in part))
    assert epochs == [list(range(10)), list(range(10, 20))]
    fixed = EpochSampler(10, 0, 1, fresh=False)
    fixed.set_epoch(3)
    assert list(fixed) == list(range(10))


#: A module of its own, because the processes that sample must be able to import it.
SOURCE = '''
import numpy as np
from pointata import Frame, LabelledFrame

def synthetic(seed, log):
    """Four frames; notes in a file that it was opened."""
    with open(log, "a") as file:
        file.write(f"{seed}\\n")
    rng = np.random.default_rng(seed)
    for index in range(4):
        points = rng.normal(size=(50, 3))
        labels = (points[:, 2] > 0).astype(np.uint8)
        yield LabelledFrame(Frame.from_points(points, stamp_ns=10**9 + index * 10**8), labels, index)
'''


def test_recordings_are_sampled_once_for_each_sampling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "synthetic_source.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    synthetic = import_module("synthetic_source").synthetic
    log, folder = tmp_path / "opened", tmp_path / "cache"
    sources = [partial(synthetic, seed, str(log)) for seed in (0, 1)]
    sampling = SamplingConfig(points=16, scale_m=2.0, point_neighbours=0)
    told: list[tuple[int, int]] = []
    paths = cached_recordings(folder, sources, sampling, 1, progress=lambda *of: told.append(of))
    assert told == [(1, 2), (2, 2)]
    assert cached_recordings(folder, sources, sampling, 1) == paths
    assert log.read_text().split() == ["0", "1"]
    first = load_recording(paths[0])
    assert first.points.shape == (4, 16, 3)
    np.testing.assert_array_equal(first.labels["semantic"], first.points[..., 2] > 0)  # labels follow their points
    assert first.actions.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(first.stamps, [0, 0.1, 0.2, 0.3], atol=1e-6)
    others = cached_recordings(folder, sources[:1], replace(sampling, points=8), 1)
    assert not set(others) & set(paths)
    assert load_recording(others[0]).points.shape == (4, 8, 3)
    assert len(list(folder.iterdir())) == 3


def arguments(folder: Path, name: str, backbone: str, mode: str) -> list[str]:
    """A run of `pointata adapt` as small as it gets."""
    given = {
        "out": folder / "bundles",
        "settings.name": name, "settings.backbone": backbone, "settings.mode": mode,
        "network.groups": 16, "network.group_size": 8, "network.window": 4,
        "settings.settle_frames": 1,
        "data.set": "sim:room?recordings=2&validation=1&test=0&frames=8",
        "data.clips.frames": 4, "data.clips.dense_frames": 1, "data.clips.per_epoch": 4, "data.clips.batch_size": 2,
        "data.workers": 0, "data.cache": folder / "cache",
        "data.sampling.points": 64, "data.sampling.point_neighbours": 4, "data.sampling.scale_m": 2.0,
        "trainer.max_epochs": 1, "accelerator": "cpu", "trainer.logger": "false",
        "trainer.enable_progress_bar": "false", "trainer.enable_checkpointing": "false",
        "trainer.default_root_dir": folder,
    }  # fmt: skip
    return ["adapt", *(f"--{key}={value}" for key, value in given.items())]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a network was trained from scratch."""
    for module in ("lightning", "jsonargparse", "torchmetrics", "open3d"):
        pytest.importorskip(module, reason=f"training on the simulator needs {module} (pip install {module})")
    folder = tmp_path_factory.mktemp("training")
    assert main(arguments(folder, "first", "trunk", "scratch")) == 0
    return folder


def test_a_run_from_scratch_writes_a_bundle_that_loads(trained: Path) -> None:
    model, metadata = load_bundle(str(trained / "bundles" / "first.safetensors"))
    assert isinstance(metadata, AdapterMetadata)
    assert (metadata.name, metadata.backbone, metadata.window_frames) == ("first", "trunk", 4)
    assert metadata.training["steps"] == 2
    assert (metadata.simulated, metadata.data_licence) == (True, "Apache-2.0 (simulated by pointata)")
    assert set(metadata.heads) == {"action", "segments", "semantic"}
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


@pytest.mark.parametrize("mode", ["adapters", "linear_probe"])
def test_only_what_the_mode_trains_moves(trained: Path, mode: str) -> None:
    trunk = trained / "bundles" / "trunk.safetensors"
    before = trunk.read_bytes()
    runs = []
    for rate in ("1e-3", "1e-2"):  # equal seeds, so that only what is trained comes out different
        name = f"{mode}_{rate}"
        assert main([*arguments(trained, name, str(trunk), mode), f"--settings.learning_rate={rate}"]) == 0
        runs.append(load_bundle(str(trained / "bundles" / f"{name}.safetensors"))[0])
    assert trunk.read_bytes() == before
    first, _ = load_bundle(str(trained / "bundles" / "first.safetensors"))
    frozen = backbone_state(first)
    assert all(torch.equal(value, frozen[name]) for run in runs for name, value in backbone_state(run).items())
    slow, fast = map(adapter_state, runs)
    moved = {name.partition(".")[0] for name in slow if not torch.equal(slow[name], fast[name])}
    assert moved == ({"heads"} if mode == "linear_probe" else {"embedder", "adapters", "context", "heads"})


def test_a_run_may_be_repeated_into_the_same_folder(trained: Path) -> None:
    folder = trained / "again"
    for _ in range(2):
        given = [*arguments(trained, "one", "its_trunk", "scratch"), f"--out={folder}"]
        assert main(given) == 0
        load_bundle(str(folder / "one.safetensors"))


def test_another_backbone_of_that_name_in_the_folder_is_a_sentence_before_training(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trained / "other"
    torch.manual_seed(9)
    save_backbone(folder, "trunk", Backbone(BACKBONES["tiny"]), {})
    given = arguments(trained, "late", str(trained / "bundles" / "trunk.safetensors"), "adapters")
    assert main([*given, f"--out={folder}"]) == 1
    said = capsys.readouterr().err
    assert "holds another backbone" in said
    assert [file.name for file in folder.iterdir()] == ["trunk.safetensors"]


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["", "dry"])
def test_a_file_that_the_bundle_is_made_from_is_not_replaced(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], dry: list[str]
) -> None:
    given = tmp_path / "foo_backbone.safetensors"
    shutil.copy(trained / "bundles" / "trunk.safetensors", given)
    before = given.read_bytes()
    full = [*arguments(trained, "foo", str(given), "full"), f"--out={tmp_path}", *dry]
    assert main(full) == 1
    assert "foo_backbone.safetensors would be replaced" in capsys.readouterr().err
    assert given.read_bytes() == before
    embedder = tmp_path / "foo.safetensors"
    first, _ = load_bundle(str(trained / "bundles" / "first.safetensors"))
    assert isinstance(first, PointATA)
    save_aligned(embedder, first, {})
    assert main([*full, f"--settings.aligned={embedder}", "--settings.mode=adapters"]) == 1
    assert "foo.safetensors would be replaced" in capsys.readouterr().err


def test_points_without_labels_cost_nothing_and_the_others_as_in_the_formula() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 1, 5, 3, requires_grad=True)
    labels = torch.tensor([[[0, 1, 2, 255, 1]], [[255, 255, 0, 2, 2]]])
    weights = torch.tensor([1.0, 2.0, 0.5])
    probabilities = logits.softmax(-1).flatten(0, 2)
    pairs = [(i, int(c)) for i, c in enumerate(labels.flatten()) if c != 255]
    total = torch.stack([-weights[c] * probabilities[i, c].log() for i, c in pairs]).sum()
    expected = total / sum(float(weights[c]) for _, c in pairs)
    torch.testing.assert_close(get("semantic").loss(logits, labels, weights=weights), expected)
    nothing = get("semantic").loss(logits, torch.full_like(labels, 255), weights=weights)
    torch.autograd.backward(nothing)
    assert nothing == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("--data.clips.frames=9", "no training recording has 9 frames"),
        ("--data.clips.validation_frames=9", "no validation recording has 9 frames"),
        ("--data.clips.dense_frames=9", "dense_frames from 0 to"),
        ("--data.clips.dense_frames=0", "clips.dense_frames of at least 1"),
        ("--data.set=sim:kitchen?recordings=2", "no scene 'kitchen'"),
        ("--data.set=nothing:here", "there is no format nothing"),
        ('--data.tasks=["action","flow"]', "no labels for the task flow"),
        ('--data.features=["doppler"]', "no point channel doppler"),
        ('--data.held_out=["anna"]', "no subject anna"),
        ("--data.augmentation.scale=2", "below 1"),
        ("--settings.settle_frames=4", "settle_frames (4) must be below"),
        ("--settings.foreground_class=dog", "foreground_class 'dog' is not a point class"),
        ("--settings.aligned=nowhere.safetensors", "cannot start a network from scratch"),
        ("--resume=nowhere.ckpt", "no checkpoint nowhere.ckpt"),
        ("--settings.mode=adapters", "no bundle"),
        ("--settings.name=lab/kitchen", "must not be empty, contain a slash"),
        ("--settings.name=no_such_backbone", "has the name of its backbone"),
        ("--settings.learning_rate=-1", "learning_rate must be above 0"),
        ("--settings.label_smoothing=3", "label_smoothing from 0 to below 1"),
        ("--settings.warmup_steps=-5", "must not be negative"),
        ("--data.workers=-1", "data.workers must not be negative"),
        ("--data.clips.validation_stride=-1", "must not be negative"),
        ("--data.sampling.point_neighbours=-1", "must not be negative"),
        ("--accelerator=abacus", "the trainer cannot run like this"),
        ("--accelerator=tpu", "the trainer cannot run like this"),  # without torch_xla
        (f"--out={__file__}/bundles", "cannot be a folder for results"),
        (f"--data.cache={__file__}", "cannot be a folder for results"),
        (f"--trainer.default_root_dir={__file__}", "cannot be a folder for results"),
    ],
)
def test_a_run_that_cannot_be_is_a_sentence_and_exit_code_1(
    trained: Path, capsys: pytest.CaptureFixture[str], change: str, words: str
) -> None:
    assert main([*arguments(trained, "none", "no_such_backbone", "scratch"), change]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
