"""Bundles: weights with everything needed to use them. Each kind of network has a kind of its own."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointata.bundles.adapter import build_network
from pointata.bundles.adapter_metadata import AdapterMetadata
from pointata.bundles.catalogue import resolve
from pointata.bundles.format import read_header, read_network_header
from pointata.bundles.headers import FINGERPRINT, HEADERS
from pointata.bundles.metadata import NetworkMetadata
from pointata.bundles.schema import record
from pointata.errors import BundleError
from pointata.model.streaming import StreamingNetwork

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NetworkKind:
    """How networks of one kind are read from files."""

    metadata: type[NetworkMetadata]
    """The type of the metadata."""
    build: Callable[[Path, Mapping[str, Any], Any, str | None], StreamingNetwork]
    """Makes the network, in eval mode, float32, on the CPU; given the file, its header, its metadata and a backbone."""


_KINDS = {"adapter": NetworkKind(AdapterMetadata, build_network)}


def register_kind(name: str, kind: NetworkKind) -> None:
    """Make a kind of network known by the name that stands in its files, whose header holds metadata and checksum."""
    _KINDS[name] = kind
    HEADERS[name] = record({"metadata": kind.metadata.rule(), "checksum": FINGERPRINT})


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
    kind, header, metadata = _read(path)
    network = kind.build(path, header, metadata, backbone)
    if metadata.simulated:
        _log.warning(
            "bundle %s was trained on simulated data only: its labels on real recordings are not to be relied on",
            metadata.name,
        )
    return network, metadata


def read_metadata(name: str) -> NetworkMetadata:
    """The metadata of a network's bundle, given by name or path."""
    return _read(resolve(name))[2]


def describe(name: str) -> dict[str, Any]:
    """The header of a bundle of any kind (network, backbone, aligned embedder), given by name or path."""
    header = read_header(resolve(name))
    kind = header["kind"]
    return {"kind": kind, **read_metadata(name).to_dict()} if kind in _KINDS else header


def _read(path: Path) -> tuple[NetworkKind, dict[str, Any], NetworkMetadata]:
    name = read_header(path)["kind"]
    if name not in _KINDS:
        raise BundleError(f"{path} is of the kind {name!r}: as model give an {' or '.join(_KINDS)} bundle")
    kind = _KINDS[name]
    return kind, *read_network_header(path, name, kind.metadata)
