"""How data are named: what a spec is taken apart into, and the kinds of its options."""

from pathlib import Path
from typing import Any, Literal

import pytest

from pointata import DataError
from pointata.data.open import open_recording
from pointata.data.spec import options_of, parse_spec, typed_options


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("walk.mcap", ("", "walk.mcap", {})),
        ("bags/run:3.mcap", ("", "bags/run:3.mcap", {})),
        ("walk.mcap?topic=/a=b&use_odometry=no", ("", "walk.mcap", {"topic": "/a=b", "use_odometry": "no"})),
        ("mars:~/data/mars", ("mars", "~/data/mars", {})),
        ("ntu-rgbd:/data/a:b?stride=2", ("ntu-rgbd", "/data/a:b", {"stride": "2"})),
        ("sim:room?", ("sim", "room", {})),
        ("sim:room?split=&seed=3", ("sim", "room", {"split": "", "seed": "3"})),
    ],
)
def test_the_parts_of_a_spec(text: str, parts: tuple[str, str, dict[str, str]]) -> None:
    spec = parse_spec(text)
    assert (spec.name, spec.target, spec.options) == parts
    assert str(spec) == text


def test_what_exists_is_a_path_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mars:x", "what?a=b"):
        assert parse_spec(name).options.keys() | {parse_spec(name).name} != {""}
        Path(name).touch()
        assert parse_spec(name) == parse_spec(Path(name))
        assert (parse_spec(name).name, parse_spec(name).target, parse_spec(name).options) == ("", name, {})


def test_a_spec_may_be_longer_than_any_path() -> None:
    assert parse_spec(f"sim:room?{'&'.join(f'option{number}=1' for number in range(1000))}").target == "room"


def test_a_home_that_does_not_exist_is_a_sentence() -> None:
    with pytest.raises(DataError, match=r"mars:~nobody-at-all/x: .*; write the path out"):
        _ = parse_spec("mars:~nobody-at-all/x").path


def opener(
    path: Path,
    stride: int = 1,
    hz: float = 30.0,
    loud: bool = False,
    topic: str | None = None,
    count: int | None = None,
    features: tuple[str, ...] | None = (),
    split: Literal["train", "test"] = "train",
) -> None:
    """Options of every kind."""


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("stride", "-2", -2), ("hz", "2", 2.0), ("hz", "1e-3", 1e-3), ("loud", "Yes", True), ("loud", "false", False),
        ("topic", "3", "3"), ("count", "3", 3), ("features", "doppler,intensity", ("doppler", "intensity")),
        ("features", "", ()), ("split", "test", "test"), ("count", None, None), ("stride", 4, 4),
    ],
)  # fmt: skip
def test_an_option_becomes_what_its_reader_takes(option: str, text: Any, value: object) -> None:
    found = typed_options("x", {option: text}, options_of(opener))
    assert found == {option: value}
    assert type(found[option]) is type(value)


@pytest.mark.parametrize(
    ("option", "text", "sentence"),
    [
        ("stride", "1.5", "x: stride must be a whole number, not '1.5'"),
        ("hz", "nan", "x: hz must be a number, not 'nan'"),
        ("loud", "2", "x: loud must be true or false, not '2'"),
        ("count", "", "x: count must be a whole number, not ''"),
        ("split", "val", "x: split must be one of train, test, not 'val'"),
        (
            "strid",
            "1",
            "x: unknown option strid; did you mean stride?; known: stride (a whole number, 1 by default); hz (",
        ),
        ("zzz", "1", "x: unknown option zzz; known: stride (a whole number, 1 by default); hz ("),
    ],
)
def test_an_option_that_is_not_one_is_a_sentence(option: str, text: str, sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        typed_options("x", {option: text}, options_of(opener))
    assert str(caught.value).startswith(sentence)


def test_an_option_that_must_be_given_is_asked_for() -> None:
    def scenes(scene: str, recordings: int) -> None: ...

    with pytest.raises(DataError, match=r"^sim:room lacks recordings \(a whole number\)$"):
        typed_options("sim:room", {}, options_of(scenes))
    with pytest.raises(DataError, match="write recordings as recordings=VALUE"):
        parse_spec("sim:room?recordings")


def test_options_in_python_are_not_part_of_the_advised_spec() -> None:
    with pytest.raises(DataError, match=r"as in sim:room\?video="):
        open_recording("sim:room", recordings=3)
