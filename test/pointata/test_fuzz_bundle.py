"""Bundles with anything in their headers, tables of tensors and bytes."""

import json
import math
from pathlib import Path
from typing import Any

from bundle_surgery import SHIPPED, parts, write_parts
from fuzzing import Watch, changed, damaged, examples
from hypothesis import given
from hypothesis import strategies as st

from pointata.bundles.adapter_metadata import AdapterMetadata
from pointata.bundles.backbone import load_backbone
from pointata.bundles.bundle import describe, load_bundle
from pointata.bundles.metadata import NetworkMetadata

BUNDLES = sorted(path.stem for path in SHIPPED.glob("*.safetensors"))
PARTS = {name: parts(SHIPPED / f"{name}.safetensors") for name in BUNDLES}
NESTINGS = ["[" * 10_000, '{"a":' * 10_000, "[" * 10_000 + "]" * 10_000, '{"a":' * 50_000]


@st.composite
def bundle_files(draw: st.DrawFn, path: Path) -> Path:
    """A shipped bundle with its header, the text of it, its table of tensors or its bytes changed."""
    table, header, tensors = PARTS[draw(st.sampled_from(BUNDLES))]
    text = json.dumps(header)
    what = draw(st.sampled_from(["header", "header", "header", "text", "nest", "table", "tensors", "bytes"]))
    if what == "header":
        text = json.dumps(draw(changed(header)))
    elif what == "text":
        text = draw(damaged(text.encode())).decode("utf-8", "replace")
    elif what == "nest":
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(NESTINGS)) + text[at:]
    elif what == "table":
        table = draw(changed(dict(list(table.items())[:3]))) | dict(list(table.items())[3:])
    elif what == "tensors":
        tensors = draw(damaged(tensors))
    write_parts(path, table, text, tensors)
    if what == "bytes":
        content = path.read_bytes()
        at = draw(st.integers(0, 1)) and draw(st.integers(0, len(content)))
        path.write_bytes(content[:at] + draw(damaged(content[at : at + 5000])) + content[at + 5000 :])
    return path


def check_metadata(said: NetworkMetadata) -> None:
    assert isinstance(said, AdapterMetadata)
    json.dumps(said.to_dict(), allow_nan=False)
    assert 0 < said.frame_period_s < math.inf
    for task, classes in said.heads.items():
        assert [known.id for known in classes] == list(range(said.network.heads[task]))
        assert all(0 <= part <= 255 for known in classes for part in known.color)


@examples(short=150, full=5_000)
@given(st.data())
def test_any_bundle_is_loaded_or_refused(watch: Watch, tmp_path: Path, data: st.DataObject) -> None:
    path = data.draw(bundle_files(tmp_path / "limb.safetensors"))
    said = watch.attempt(lambda: describe(str(path)))
    if said is not None:
        json.dumps(said, allow_nan=False)
    if said is not None and said["kind"] != "adapter":
        watch.attempt(lambda: load_backbone(str(path)))
        return
    loaded = watch.attempt(lambda: load_bundle(str(path)))
    if loaded is None:
        return
    network, metadata = loaded
    check_metadata(metadata)
    assert all(value.isfinite().all() for value in network.state_dict().values())


def test_the_fuzz_starts_from_bundles_that_load(watch: Watch, tmp_path: Path) -> None:
    """Else every mutant would be refused for the same reason."""
    for name, (table, header, tensors) in PARTS.items():
        path: Any = write_parts(tmp_path / f"{name}.safetensors", table, json.dumps(header), tensors)
        load = load_bundle if header["kind"] == "adapter" else load_backbone
        assert watch.attempt(lambda load=load, path=path: load(str(path))) is not None  # type: ignore[misc]
