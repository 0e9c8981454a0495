"""`open_recording` and `open_dataset`: what a spec names is found and opened by the reader that knows its layout."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pointata.data.dataset import Dataset
from pointata.data.layout import Layout, dataset_layouts, recording_layouts
from pointata.data.recording import Recording
from pointata.data.spec import Spec, parse_spec, typed_options
from pointata.errors import DataError
from pointata.text import did_you_mean, some

#: The option of every data set that names one of its videos.
_VIDEO = "video"


def open_recording(spec: str | Path, features: Sequence[str] | str | None = (), **options: Any) -> Recording:
    """Open one recording: whatever lies at a path, a scene of the simulator, or a video of a data set.

    Args:
        spec: a path, recognised by its layout; "NAME:PATH" to name the layout; "sim:room?seed=3&split=test&frames=100";
            "hoi4d:~/hoi4d?video=train1_0000". `known_layouts()` lists all.
        features: point channels to read besides x, y, z, or their names with commas between; None for all that there
            are, which a reader whose format fixes them returns anyway.
        options: as after the question mark of a spec (topic, stride, ...; see the reader classes).

    Raises:
        DataError: nothing there, not recognised, damaged, or an option that the reader does not have.
    """
    given = _parsed(spec)
    given = replace(given, options={**given.options, **options})
    layout = _recording_layout(given)
    if layout is None:
        return _only_video(given)
    known = layout.options(given)
    names = {"features": features if features is None or isinstance(features, str) else tuple(features)}
    taken = {**(names if "features" in known else {}), **given.options}
    recording: Recording = layout.opener(_target(given, layout), **typed_options(given, taken, known))
    return recording


def open_dataset(spec: str | Path) -> Dataset:
    """Open a data set.

    Args:
        spec: "NAME:PATH", as "mars:~/data/mars", or the path of a folder with a manifest. Options may follow as in
            "ntu-rgbd:/data/ntu?stride=2" and "sim:room?recordings=20&frames=100"; `video=NAME` leaves one video.

    Raises:
        DataError: no such name, path or option, or the data set is not as it should be.
    """
    return _opened_dataset(_parsed(spec))


def _opened_dataset(spec: Spec) -> Dataset:
    layout = _dataset_layout(spec)
    if layout is None:
        raise _not_a_dataset(spec)
    wanted = spec.options.get(_VIDEO)
    options = {name: value for name, value in spec.options.items() if name != _VIDEO}
    dataset: Dataset = layout.opener(_target(spec, layout), **typed_options(spec, options, layout.options(spec)))
    return dataset if wanted is None else replace(dataset, videos=(dataset.video(wanted),))


def names_dataset(spec: str | Path) -> bool:
    """Whether a spec is a data set, of which nothing is read; a recording otherwise. DataError: an unknown NAME."""
    return _dataset_layout(_parsed(spec)) is not None


def names_video(spec: str | Path) -> bool:
    """Whether a spec of a data set names one of its videos."""
    return _VIDEO in _parsed(spec).options


def takes_option(spec: str | Path, option: str) -> bool:
    """Whether the reader of a recording has an option."""
    given = _parsed(spec)
    layout = _recording_layout(given)
    return layout is not None and option in layout.options(given)


def known_layouts() -> str:
    """All that can be opened, a line each."""
    return f"recordings, by their path:\n{_listed(recording_layouts())}\n{known_datasets()}"


def known_datasets() -> str:
    """All data sets, a line each."""
    return f"data sets, by NAME:PATH, one recording of them by NAME:PATH?{_VIDEO}=...:\n{_listed(dataset_layouts())}"


def _listed(layouts: Mapping[str, Layout]) -> str:
    return "\n".join(f"  {name}: {layout.text}" for name, layout in layouts.items())


def _parsed(spec: str | Path) -> Spec:
    """The parts of a spec whose name, if it has one, is known."""
    given = parse_spec(spec)
    known = {**recording_layouts(), **dataset_layouts()}
    if given.name and given.name not in known:
        mend = did_you_mean(given.name, known) or f"; known are\n{known_layouts()}"
        raise DataError(f"{given}: there is no format {given.name}{mend}")
    return given


def _recording_layout(spec: Spec) -> Layout | None:
    """The layout of the single recording that a spec names; None where it names a data set.

    Raises:
        DataError: nothing there, or nothing known.
    """
    layouts = recording_layouts()
    if spec.name:
        layout = layouts.get(spec.name)
        of_dataset = _dataset_layout(spec) is not None
        return None if of_dataset and (_VIDEO in spec.options or not (layout and layout.recognises(spec))) else layout
    if not spec.path.exists():
        raise DataError(f"{spec.path} does not exist; known are\n{known_layouts()}")
    found = _recognised(spec, layouts)
    if found is None and _dataset_layout(spec) is None:
        inside = [str(child) for child in sorted(spec.path.glob("*/")) if _recognised(parse_spec(child), layouts)]
        hint = f" Did you mean {inside[0]}?" if inside else ""
        raise DataError(f"{spec.path} is not a recording that pointata knows.{hint} Known are\n{known_layouts()}")
    return found


def _dataset_layout(spec: Spec) -> Layout | None:
    """The layout of the data set that a spec names, with all that it takes to be one; None where it names none."""
    if not spec.name:
        is_recording = _recognised(spec, recording_layouts()) is not None
        return None if is_recording else _recognised(spec, dataset_layouts())
    layout = dataset_layouts().get(spec.name)
    return None if layout is None or _lacking(spec, layout) else layout


def _lacking(spec: Spec, layout: Layout) -> list[str]:
    """Options that a spec must give and does not."""
    options = layout.options(spec).values()
    return [option.name for option in options if option.default is option.empty and option.name not in spec.options]


def _recognised(spec: Spec, layouts: Mapping[str, Layout]) -> Layout | None:
    return next((layout for layout in layouts.values() if layout.recognises(spec)), None)


def _target(spec: Spec, layout: Layout) -> str | Path:
    """What the opener of a layout is given."""
    if not layout.on_disk:
        return spec.target
    if not spec.target or not spec.path.exists():
        raise DataError(f"{spec.target or spec} does not exist; {layout.name} needs {layout.text}")
    return spec.path


def _not_a_dataset(spec: Spec) -> DataError:
    layout = dataset_layouts().get(spec.name)
    if layout is not None:
        lacking = f"{_lacking(spec, layout)[0]}=..."
        return DataError(f"{spec} is one recording; a data set also needs {lacking}: {layout.text}")
    problem = "is not a data set" if spec.name or spec.path.exists() else "does not exist"
    return DataError(f"{spec} {problem}; known are\n{known_datasets()}")


def _only_video(spec: Spec) -> Recording:
    """The one video of a data set, or the one that is named."""
    dataset = _opened_dataset(spec)
    first, *others = dataset.videos
    if others:
        choice = f"{spec}{'&' if '?' in spec.text else '?'}{_VIDEO}={first.name}"
        names = some([video.name for video in dataset.videos])
        raise DataError(f"{spec} has {len(others) + 1} videos ({names}); name one, as in {choice}")
    return dataset.open(first)
