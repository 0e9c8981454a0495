"""PointCloud2 messages of any layout and content, through the decoder and the sampling of every shipped bundle."""

import array
import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from fuzzing import Watch, examples
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pointata.bundles.adapter_metadata import AdapterMetadata
from pointata.bundles.bundle import read_metadata
from pointata.bundles.catalogue import shipped_bundles
from pointata.data.pointcloud2 import DATATYPES, DecodedCloud, decode_cloud, decode_field, layout_key
from pointata.preprocessing.sampling import SampledFrame, sample_frame

BUNDLES = [read_metadata(name) for name in shipped_bundles()]
CHANNELS = sorted({name for bundle in BUNDLES for name in bundle.feature_names})
CODES = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 8: "d"}
WORDS = [0, 1, 2, 3, 4, 7, 8, 12, 13, 255, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1]


def content(kind: str, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(count, 3) coordinates of one kind, metres."""
    points = rng.normal(0, 3, (count, 3))
    if kind == "few places":
        points = points[rng.integers(0, min(count, int(rng.integers(1, 6))), count)] if count else points
    elif kind == "zeros":
        points[rng.random(count) < rng.choice([0.5, 0.99, 1.0])] = 0
    elif kind == "nan":
        points[rng.random(count) < rng.choice([0.5, 0.99, 1.0])] = rng.choice([np.nan, np.inf, -np.inf])
    elif kind == "huge":
        points[rng.random(count) < rng.choice([0.01, 0.5, 1.0])] *= rng.choice([1e5, 1e20, 1e30, 1e38, 1e300])
    elif kind == "tiny":
        points *= rng.choice([1e-20, 1e-38, 1e-42, 1e-45])
    elif kind == "line":
        points[:, 1:] = points[0, 1:] if count else 0
    elif kind == "grid":
        points = np.round(points)
    return points


CONTAINERS: list[Callable[[Any], Any]] = [
    np.asarray, bytes, bytearray, memoryview, lambda data: array.array("B", bytes(data)),
]  # fmt: skip
KINDS = ["plain", "few places", "zeros", "nan", "huge", "tiny", "line", "grid", "bits"]


@st.composite
def messages(draw: st.DrawFn) -> Any:
    """A message that holds what it says, then, in three of four, with some of its numbers changed."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height = draw(st.sampled_from([1, 1, 1, 0, 2, 7]))
    width = draw(st.integers(0, 40) | st.sampled_from([0, 1, 300, 3000]))
    names = ["x", "y", "z", *draw(st.sampled_from([CHANNELS, ["intensity"], []]))]
    kind = draw(st.sampled_from([7, 7, 7, 8, 5, 3, 2]))
    fields, step = [], 0
    for name in names:
        code = kind if name in "xyz" else draw(st.sampled_from(sorted(DATATYPES)))
        step += draw(st.sampled_from([0, 0, 0, 1, 4]))
        fields.append(SimpleNamespace(name=name, offset=step, datatype=code, count=1))
        step += np.dtype(DATATYPES[code]).itemsize
    order = draw(st.sampled_from("<<>"))
    row = step * width + draw(st.sampled_from([0, 0, 5]))
    data = np.frombuffer(rng.bytes(height * row), np.uint8).copy()
    chosen = draw(st.sampled_from(KINDS))
    if chosen != "bits" and height * width:
        values = content(chosen, height * width, rng)
        for axis in range(3):
            dtype = np.dtype(order + DATATYPES[kind])
            view = np.ndarray((height, width), dtype, data.data, fields[axis].offset, (row, step))
            with np.errstate(all="ignore"):
                view[...] = values[:, axis].reshape(height, width)
    stamp = SimpleNamespace(sec=draw(st.integers(-(2**31), 2**31 - 1)), nanosec=draw(st.integers(0, 2**32 - 1)))
    message = SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id=draw(st.text(max_size=4))), height=height, width=width,
        fields=fields, is_bigendian=order == ">", point_step=step, row_step=row, data=data,
        is_dense=True,
    )  # fmt: skip
    for _ in range(draw(st.integers(0, 3)) if draw(st.integers(0, 3)) else 0):
        change(draw, message)
    if message.data.dtype == np.uint8:
        message.data = draw(st.sampled_from(CONTAINERS))(message.data)
    return message


def change(draw: st.DrawFn, message: Any) -> None:
    """One thing of a message that no longer fits the rest."""
    word = st.sampled_from(WORDS) | st.integers(0, 100)
    what = draw(
        st.sampled_from(["height", "width", "point_step", "row_step", "data", "type", "field", "fields", "end"])
    )
    if what in ("height", "width", "point_step", "row_step"):
        setattr(message, what, draw(word))
    elif what == "data":
        message.data = message.data[: draw(st.integers(0, max(0, len(message.data))))]
    elif what == "type":
        message.data = message.data.astype(draw(st.sampled_from(["f4", "u2", "i1"])))
    elif what == "end":
        message.is_bigendian = not message.is_bigendian
    elif what == "fields":
        message.fields = draw(st.lists(st.sampled_from(message.fields), max_size=6)) if message.fields else []
    elif message.fields:
        field = draw(st.sampled_from(message.fields))
        name = draw(st.sampled_from(["offset", "datatype", "count", "name"]))
        setattr(field, name, draw(st.text(max_size=3)) if name == "name" else draw(word))


def unpacked(message: Any, name: str, point: int) -> float:
    """A field of a point, by Python's own struct."""
    [field] = [field for field in message.fields if field.name == name]
    row, column = divmod(point, message.width)
    offset = row * message.row_step + column * message.point_step + field.offset
    code = (">" if message.is_bigendian else "<") + CODES[field.datatype]
    return float(struct.unpack_from(code, bytes(message.data), offset)[0])


def check_decoded(message: Any, cloud: DecodedCloud, features: list[str]) -> None:
    count = message.height * message.width
    assert cloud.xyz.shape == (count, 3)
    for point in range(min(count, 20)):
        with np.errstate(all="ignore"):
            expected = np.array([unpacked(message, axis, point) for axis in "xyz"]).astype(np.float32)
            channels = np.array([unpacked(message, name, point) for name in features]).astype(np.float32)
        np.testing.assert_array_equal(cloud.xyz[point], expected)
        np.testing.assert_array_equal(np.array([cloud.features[name][point] for name in features]), channels)
        assert (point in cloud.valid) == bool(np.isfinite(expected).all())


def check_sampled(sampled: SampledFrame, bundle: AdapterMetadata, count: int) -> None:
    wanted = bundle.sampling.points
    assert sampled.points.shape == (wanted, 3)
    assert np.isfinite(sampled.points).all()
    assert sampled.features.shape == (wanted, len(bundle.feature_names))
    assert np.isfinite(sampled.features).all()
    assert sampled.neighbours.shape == (wanted, bundle.sampling.point_neighbours)
    for index, limit in ((sampled.index, count), (sampled.used, count), (sampled.neighbours, wanted),
                         (sampled.first, len(sampled.used))):  # fmt: skip
        assert index.size == 0 or 0 <= index.min() <= index.max() < limit


@examples(short=400, full=20_000)
@given(messages(), st.sampled_from(BUNDLES), st.booleans())
def test_any_message_is_decoded_or_refused(watch: Watch, message: Any, bundle: AdapterMetadata, drop: bool) -> None:
    held = {field.name for field in message.fields}
    features = [name for name in bundle.feature_names if name in held]
    layout_key(message)
    watch.attempt(lambda: decode_field(message, "x"))
    cloud = watch.attempt(lambda: decode_cloud(message, features))
    if cloud is None:
        return
    check_decoded(message, cloud, features)
    frame = watch.attempt(cloud.frame)
    assert frame is not None
    sampled = watch.attempt(lambda: sample_frame(frame, bundle.sampling, bundle.feature_names, drop_zeros=drop))
    if sampled is not None:
        check_sampled(sampled, bundle, len(frame.points))
