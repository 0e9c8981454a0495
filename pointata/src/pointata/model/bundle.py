"""Bundles: weights with everything needed to use them, as safetensors files (never pickle).

A backbone bundle holds the frozen 3D network; an adapter bundle the trained rest, and names the backbone it fits.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pointata.classes import ClassInfo
from pointata.errors import BundleError, ConfigError, PointataError
from pointata.merging import MOST
from pointata.model.backbone import Backbone
from pointata.model.config import BackboneConfig, NetworkConfig
from pointata.model.pointata import PointATA
from pointata.model.trainable import adapter_state, backbone_state, checksum
from pointata.paths import require_folder
from pointata.sampling import SamplingConfig

_FORMAT = 1
_SHIPPED = Path(__file__).parents[1] / "bundles"


@dataclass(frozen=True)
class BundleMetadata:
    """What an adapter bundle says of itself."""

    name: str
    """Name of the bundle."""
    network: NetworkConfig
    """Architecture."""
    sampling: SamplingConfig
    """How frames are sampled and normalised."""
    heads: Mapping[str, tuple[ClassInfo, ...]]
    """Classes of each task ("action", "segments", "semantic")."""
    frame_period_s: float
    """Time between two frames in training, seconds."""
    backbone: str
    """Name of the backbone bundle it belongs to."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Data, mode, seed and duration of the training."""
    score: Mapping[str, float] = field(default_factory=dict)
    """Measured on data unseen in training."""
    scored_on: tuple[str, ...] = ()
    """The recordings it was measured on, as `pointata evaluate` takes them."""
    merge: int = 1
    """Clouds of the sensor that are joined into each frame (see `pointata.merging`)."""

    def __post_init__(self) -> None:
        for name in (self.name, self.backbone):
            if not name or Path(name).name != name:
                raise ConfigError(f"{name!r} is to name a bundle's file: it must not be empty or hold a slash")
        if self.name == self.backbone:
            raise ConfigError(f"bundle {self.name!r} has the name of its backbone: their files need different names")
        if type(self.merge) is not int or not 1 <= self.merge <= MOST:
            raise ConfigError(f"bundle {self.name!r} joins {self.merge!r} clouds into a frame, not 1 to {MOST}")
        sizes = {task: len(classes) for task, classes in self.heads.items()}
        if sizes != dict(self.network.heads):
            raise ConfigError(f"bundle {self.name!r} names {sizes} classes for heads of {dict(self.network.heads)}")
        if max(self.network.groups, self.network.group_size) > self.sampling.points:
            raise ConfigError(
                f"bundle {self.name!r} samples {self.sampling.points} points a frame: too few for "
                f"{self.network.groups} groups of {self.network.group_size}"
            )
        if "semantic" in self.heads and not self.sampling.point_neighbours:
            raise ConfigError(f"bundle {self.name!r} has a semantic head: sampling.point_neighbours must not be 0")

    @property
    def window_frames(self) -> int:
        """Frames in the window of the action heads."""
        return self.network.window

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Point fields needed besides x, y, z."""
        return self.network.features

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the file's header."""
        return {
            "name": self.name,
            "network": self.network.to_dict(),
            "sampling": self.sampling.to_dict(),
            "heads": {
                task: [{"id": c.id, "name": c.name, "color": list(c.color)} for c in classes]
                for task, classes in self.heads.items()
            },
            "frame_period_s": self.frame_period_s,
            "backbone": self.backbone,
            "training": dict(self.training),
            "score": dict(self.score),
            "scored_on": list(self.scored_on),
            "merge": self.merge,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "BundleMetadata":
        """The way back from `to_dict`."""
        heads = {
            task: tuple(ClassInfo(c["id"], c["name"], tuple(c["color"])) for c in classes)
            for task, classes in data["heads"].items()
        }
        return cls(
            **(
                dict(data)
                | {
                    "network": NetworkConfig.from_dict(data["network"]),
                    "sampling": SamplingConfig.from_dict(data["sampling"]),
                    "heads": heads,
                    "scored_on": tuple(data.get("scored_on", ())),
                }
            )
        )


def shipped_bundles() -> list[str]:
    """Names of the adapter bundles that come with the package."""
    return sorted(p.stem for p in _SHIPPED.glob("*.safetensors") if read_header(p)["kind"] == "adapter")


def resolve(name: str, beside: Path | None = None) -> Path:
    """The file of a bundle given by path or by the name of a shipped one.

    Args:
        name: a path, or a name without suffix.
        beside: another folder in which names are looked up first.

    Raises:
        BundleError: there is no such file.
    """
    candidates = [Path(name)]
    if Path(name).suffix != ".safetensors":
        candidates = [folder / f"{name}.safetensors" for folder in ([beside] if beside else []) + [_SHIPPED]]
    for path in candidates:
        if path.is_file():
            return path
    raise BundleError(
        f"no bundle {name!r}: give the path of a .safetensors file or one of {', '.join(shipped_bundles()) or '(none)'}"
    )


def write(path: Path, kind: str, tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> None:
    """Write a file of this format, whole or not at all; `read_header` gives back `content` and the kind."""
    header = {"pointata": json.dumps({"format": _FORMAT, "kind": kind, **content})}
    temporary = path.with_suffix(".partial")
    save_file(dict(tensors), temporary, metadata=header)
    temporary.chmod(0o644)  # safetensors makes files that only their owner can read
    temporary.replace(path)  # an interrupted save leaves the old bundle whole


def stored(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as a bundle holds them: float16 on the CPU."""
    return {
        # what the heads normalise with stays float32: variances of displacements are too small for float16
        name: (value.half() if value.is_floating_point() and not _is_head_statistic(name) else value).cpu().contiguous()
        for name, value in state.items()
    }


def _is_head_statistic(name: str) -> bool:
    return name.startswith("heads.") and ".running_" in name


def read_header(path: Path) -> dict[str, Any]:
    """The readable part of a bundle, without its weights."""
    return _read(path, tensors=False)[0]


def _read(path: Path, tensors: bool = True) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("pointata", "null"))
            state = {name: file.get_tensor(name) for name in file.keys()} if tensors else {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read as a bundle ({error}): copy or train it again") from error
    if not isinstance(header, dict) or "kind" not in header:
        raise BundleError(f"{path} is a safetensors file, but not a pointata bundle: it lacks the pointata header")
    if header.get("format") != _FORMAT:
        raise BundleError(
            f"{path} has bundle format {header.get('format')}, this version reads {_FORMAT}: update pointata"
        )
    return header, state


def save_bundle(folder: Path, model: PointATA, metadata: BundleMetadata, replace_backbone: bool = False) -> Path:
    """Write `<name>.safetensors` (adapter) and, unless it exists unchanged, `<backbone>.safetensors` into a folder.

    Weights are stored as float16; the backbone's checksum is taken of what is stored.

    Args:
        folder: made where it does not exist.
        model: the network.
        metadata: what the adapter bundle says of itself.
        replace_backbone: overwrite another backbone of that name; adapters that belong to it are refused from then on.

    Raises:
        BundleError: the folder already has a different backbone of that name, and it is not to be replaced.
    """
    require_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    backbone = stored(backbone_state(model))
    fingerprint = checksum(backbone)
    backbone_path = folder / f"{metadata.backbone}.safetensors"
    if replace_backbone or not backbone_path.exists():
        _write_backbone(backbone_path, backbone, metadata.network.backbone, {})
    else:
        _require_same_backbone(backbone_path, fingerprint)
    path = folder / f"{metadata.name}.safetensors"
    content = {"metadata": metadata.to_dict(), "backbone_checksum": fingerprint}
    write(path, "adapter", stored(adapter_state(model)), content)
    return path


def require_place(folder: Path, model: PointATA, metadata: BundleMetadata, replace_backbone: bool) -> None:
    """Refuse what `save_bundle` with these arguments would stumble over; before a training, its end is saved.

    Raises:
        ConfigError: the folder cannot be made or written to.
        BundleError: it already has a different backbone of that name, and it is not to be replaced.
    """
    require_folder(folder)
    path = folder / f"{metadata.backbone}.safetensors"
    if not replace_backbone and path.exists():
        _require_same_backbone(path, checksum(stored(backbone_state(model))))


def _require_same_backbone(path: Path, fingerprint: str) -> None:
    header = read_header(path)
    if header["kind"] != "backbone" or header.get("checksum") != fingerprint:
        raise BundleError(f"{path} holds another backbone: write to another folder, or remove the file")


def save_backbone(folder: Path, name: str, backbone: Backbone, training: Mapping[str, Any]) -> Path:
    """Write a backbone by itself, as `<name>.safetensors`, into a folder; a file of that name is replaced.

    Args:
        folder: made where it does not exist.
        name: of the bundle.
        backbone: the network; stored as float16.
        training: data, objective and duration of its training, or where it comes from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = stored({f"backbone.{key}": value for key, value in backbone.state_dict().items()})
    path = folder / f"{name}.safetensors"
    _write_backbone(path, state, backbone.config, training)
    return path


def _write_backbone(
    path: Path, state: Mapping[str, Tensor], config: BackboneConfig, training: Mapping[str, Any]
) -> None:
    content = {
        "name": path.stem,
        "network": asdict(config),
        "checksum": checksum(dict(state)),
        "training": dict(training),
    }
    write(path, "backbone", state, content)


def state_score(path: Path, score: Mapping[str, float], sources: Sequence[str]) -> None:
    """Write a measured score, and on what it was measured, into an adapter bundle; its weights stay as they are.

    Raises:
        BundleError: the file is not an adapter bundle.
    """
    header, state = _read(path)
    metadata = replace(_metadata(path, header), score=dict(score), scored_on=tuple(sources))
    content = {"metadata": metadata.to_dict(), "backbone_checksum": header["backbone_checksum"]}
    write(path, "adapter", state, content)


def rewrite_adapter(path: Path, model: PointATA, training: Mapping[str, Any] = {}) -> None:
    """Replace the weights of an adapter bundle by the model's; its stated score no longer holds and is taken out.

    Args:
        path: of the bundle.
        model: the network.
        training: what is added to the bundle's account of its training.

    Raises:
        BundleError: the file is not an adapter bundle, or the model's backbone is not the one it belongs to.
    """
    header, _ = _read(path, tensors=False)
    if checksum(stored(backbone_state(model))) != header["backbone_checksum"]:
        raise BundleError(f"{path} belongs to another backbone than the model's: save the model as a new bundle")
    metadata = _metadata(path, header)
    metadata = replace(metadata, training={**metadata.training, **training}, score={}, scored_on=())
    content = {"metadata": metadata.to_dict(), "backbone_checksum": header["backbone_checksum"]}
    write(path, "adapter", stored(adapter_state(model)), content)


def load_backbone(name: str, beside: Path | None = None) -> tuple[BackboneConfig, dict[str, Tensor]]:
    """Architecture and float16 tensors (named as in `PointATA`) of a backbone bundle, given by name or path.

    Raises:
        BundleError: missing, damaged, or of another kind; its weights do not match its checksum.
    """
    path = resolve(name, beside)
    header, state = _read(path)
    if header["kind"] != "backbone":
        raise BundleError(f"{path} is of the kind {header['kind']!r}, but a backbone is needed")
    if checksum(state) != header.get("checksum"):
        raise BundleError(f"{path} is damaged: its weights do not match its checksum; copy it again")
    try:
        config = dict(header["network"])
        return BackboneConfig(**(config | {"tokenizer": tuple(config["tokenizer"])})), state
    except (KeyError, TypeError, ValueError, PointataError) as error:
        raise BundleError(f"{path} has incomplete metadata ({error}): train or copy it again") from error


def read_backbone(name: str) -> Backbone:
    """The network of a backbone bundle, given by name or path; see `load_backbone` for the errors."""
    config, state = load_backbone(name)
    backbone = Backbone(config)
    backbone.load_state_dict({key.removeprefix("backbone."): value for key, value in state.items()})
    return backbone


def read_metadata(name: str) -> BundleMetadata:
    """What an adapter bundle, given by name or path, says of itself."""
    return _metadata(resolve(name), read_header(resolve(name)))


def describe(name: str) -> dict[str, Any]:
    """What a bundle of any kind (adapter, backbone, aligned embedder), given by name or path, says of itself."""
    path = resolve(name)
    header = read_header(path)
    if header["kind"] == "adapter":
        return {"kind": "adapter", **_metadata(path, header).to_dict()}
    return {key: value for key, value in header.items() if key != "format"}


def _metadata(path: Path, header: Mapping[str, Any]) -> BundleMetadata:
    if header["kind"] != "adapter":
        raise BundleError(f"{path} is of the kind {header['kind']!r}: as model give an adapter bundle")
    try:
        return BundleMetadata.from_dict(header["metadata"])
    except (KeyError, TypeError, ValueError, PointataError) as error:
        raise BundleError(f"{path} has incomplete metadata ({error}): train or copy it again") from error


def load_bundle(name: str, backbone: str | None = None) -> tuple[PointATA, BundleMetadata]:
    """Build the network of an adapter bundle, in eval mode, float32, on the CPU.

    Args:
        name: path, or name of a shipped bundle.
        backbone: path or name of the backbone bundle; None for the one it names, beside it or shipped.

    Raises:
        BundleError: a file is missing or damaged, or the two do not belong together.
    """
    path = resolve(name)
    header, adapter = _read(path)
    metadata = _metadata(path, header)
    config, frozen = load_backbone(backbone or metadata.backbone, beside=path.parent)
    if config != metadata.network.backbone or checksum(frozen) != header.get("backbone_checksum"):
        raise BundleError(
            f"{path} was trained on backbone {metadata.backbone!r} (checksum {header.get('backbone_checksum')}), "
            f"but {backbone or metadata.backbone!r} has checksum {checksum(frozen)}: use the backbone it was trained on"
        )
    with torch.device("cpu"):
        model = PointATA(metadata.network)
    expected = model.state_dict()
    given = {**frozen, **adapter}
    wrong = sorted(
        set(expected) ^ set(given) | {n for n in set(expected) & set(given) if expected[n].shape != given[n].shape}
    )
    if wrong:
        raise BundleError(f"{path} does not fit its own architecture; first differing tensor: {wrong[0]}")
    model.load_state_dict({n: v.float() if v.is_floating_point() else v for n, v in given.items()})
    return model.eval(), metadata
