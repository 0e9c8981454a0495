"""Bundles: weights with everything needed to use them. Each kind of network has a kind of its own."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointata.bundles.adapter import load_adapter, read_adapter_metadata
from pointata.bundles.catalogue import resolve
from pointata.bundles.format import read_header
from pointata.bundles.metadata import HEADERS, NetworkMetadata
from pointata.bundles.schema import Rule
from pointata.errors import BundleError
from pointata.model.streaming import StreamingNetwork

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NetworkKind:
    """How networks of one kind are read from files."""

    header: Rule[dict[str, Any]]
    """What the header of a file may say; see `format.write`."""
    read_metadata: Callable[[Path], NetworkMetadata]
    """What a file says of its network, without its weights."""
    load: Callable[[Path, str | None], tuple[StreamingNetwork, NetworkMetadata]]
    """The network, in eval mode, float32, on the CPU; arguments as `load_bundle`'s."""


_KINDS: dict[str, NetworkKind] = {}


def register_kind(name: str, kind: NetworkKind) -> None:
    """Make a kind of network known by the name that stands in its files."""
    HEADERS[name], _KINDS[name] = kind.header, kind


register_kind("adapter", NetworkKind(HEADERS["adapter"], read_adapter_metadata, load_adapter))


def load_bundle(name: str, backbone: str | None = None) -> tuple[StreamingNetwork, NetworkMetadata]:
    """Build the network of a bundle, in eval mode, float32, on the CPU.

    Args:
        name: path, or name of a shipped bundle.
        backbone: path or name of the backbone bundle, where the kind has one; None for the one that it names, beside
            it or shipped.

    Raises:
        BundleError: a file is missing or damaged, is not a network, or does not fit its backbone.
    """
    path = resolve(name)
    network, metadata = _kind(path).load(path, backbone)
    if metadata.simulated:
        _log.warning(
            "bundle %s was trained on simulated data only: its labels on real recordings are not to be relied on",
            metadata.name,
        )
    return network, metadata


def read_metadata(name: str) -> NetworkMetadata:
    """What the bundle of a network, given by name or path, says of itself."""
    path = resolve(name)
    return _kind(path).read_metadata(path)


def describe(name: str) -> dict[str, Any]:
    """What a bundle of any kind (of a network, backbone, aligned embedder), given by name or path, says of itself."""
    header = read_header(resolve(name))
    kind = header["kind"]
    return {"kind": kind, **read_metadata(name).to_dict()} if kind in _KINDS else header


def _kind(path: Path) -> NetworkKind:
    kind = read_header(path)["kind"]
    if kind not in _KINDS:
        raise BundleError(f"{path} is of the kind {kind!r}: as model give an {' or '.join(_KINDS)} bundle")
    return _KINDS[kind]
