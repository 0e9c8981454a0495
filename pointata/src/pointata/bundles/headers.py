"""What the header of a bundle file may say, by kind: every field's type and range."""

from typing import Any

from pointata.bundles.adapter_metadata import BACKBONE, EMBEDDER, AdapterMetadata
from pointata.bundles.metadata import ORIGIN
from pointata.bundles.schema import Rule, mapping, plain, record, text

#: A checksum.
FINGERPRINT = text(16, 16)

_CHECKSUM = {"checksum": FINGERPRINT}
#: By kind; `register_kind` adds to it.
HEADERS: dict[str, Rule[dict[str, Any]]] = {
    "adapter": record({"metadata": AdapterMetadata.rule(), "backbone_checksum": FINGERPRINT}, optional=_CHECKSUM),
    "backbone": record({"name": text(), "network": BACKBONE, **_CHECKSUM}, optional=ORIGIN),
    "align": record(
        {
            "backbone_checksum": FINGERPRINT,
            "network": record(EMBEDDER),
            "metadata": mapping(text(), plain(), 1000),
        },
        optional=_CHECKSUM,
    ),
}
