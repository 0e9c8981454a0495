"""manifest.yaml of a folder of own recordings: what it says, checked line by line; see docs/own_recordings.md."""

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

from pointata.classes import ClassInfo
from pointata.data.dataset import Split
from pointata.data.formats.npz_recording import RESERVED
from pointata.data.manifest.classes import class_id, read_classes
from pointata.data.manifest.located_yaml import Section, read_section
from pointata.errors import DataError
from pointata.preprocessing.merging import MOST

FILE_NAME = "manifest.yaml"

#: Frame periods that a sensor may have, seconds: 10 kHz to a frame a day.
_SHORTEST_S, _LONGEST_S = 1e-4, 86_400.0

#: (from, to, action id): seconds since the first frame of the recording, `to` excluded.
Span = tuple[float, float, int]


@dataclass(frozen=True)
class Entry:
    """One recording of the manifest.

    Attributes:
        place: file, line and number of the entry, for messages.
        name: the path as written.
        path: where the recording lies; exists.
        topic: cloud topic of a bag; None for its only one.
        labels: folder of .npy files with the labels of the points, one a frame; None where frames bring their own.
        spans: actions in the order of time, not overlapping; one without end for a recording of one action.
        action: class of a recording of one action, -1 otherwise.
        subject: who is seen; "" where not said.
        split: part of the set; None where the manifest leaves the split to the subjects.
    """

    place: str
    name: str
    path: Path
    topic: str | None
    labels: Path | None
    spans: tuple[Span, ...]
    action: int
    subject: str
    split: Split | None


@dataclass(frozen=True)
class Manifest:
    """What a manifest says; attributes as in `Dataset`."""

    file: Path
    name: str
    frame_period_s: float
    actions: tuple[ClassInfo, ...]
    point_classes: tuple[ClassInfo, ...]
    features: tuple[str, ...]
    mirrored: Mapping[int, int] | None
    merge: int
    entries: tuple[Entry, ...]


def read_manifest(root: Path) -> Manifest:
    """Read and check `manifest.yaml` of a folder; recordings must exist, but are not opened.

    Raises:
        DataError: with the file, the line and the entry that is wrong.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; give the folder that holds {FILE_NAME}")
    file = root / FILE_NAME
    if not file.is_file():
        raise DataError(f"{root} has no {FILE_NAME}; write one as docs/own_recordings.md shows")
    top = read_section(file)
    top.allow(
        "name", "frame_period_s", "rate_hz", "actions", "point_classes", "features", "mirror", "merge", "recordings"
    )
    actions, point_classes = read_classes(top, "actions"), read_classes(top, "point_classes")
    sections = top.items("recordings")
    if not sections:
        raise top.error("recordings is missing or empty: list at least one")
    entries = [_entry(top, root, index, section, actions) for index, section in enumerate(sections)]
    _refuse_overlapping_paths(entries)
    return Manifest(
        file=file,
        name=top.text("name") if "name" in top else root.resolve().name,
        frame_period_s=_frame_period(top),
        actions=actions,
        point_classes=point_classes,
        features=_features(top),
        mirrored=_mirrored(top, actions),
        merge=_merge(top),
        entries=tuple(_with_splits(file, entries)),
    )


def _frame_period(top: Section) -> float:
    given = [key for key in ("frame_period_s", "rate_hz") if key in top]
    if len(given) != 1:
        raise top.error("give either frame_period_s (seconds between frames) or rate_hz")
    value = top.number(given[0])
    if value == 0:
        raise top.error("must be above 0", given[0])
    period = value if given[0] == "frame_period_s" else 1.0 / value
    if not _SHORTEST_S <= period <= _LONGEST_S:
        raise top.error(f"is a frame every {period:g} s; {_SHORTEST_S:g} to {_LONGEST_S:g} s are possible", given[0])
    return period


def _features(top: Section) -> tuple[str, ...]:
    names = top.items("features")
    for name in names:
        if not isinstance(name, str) or not name.strip() or name in RESERVED:
            raise top.error(f"features are names of per-point channels other than {', '.join(RESERVED)}", "features")
    if len(set(names)) < len(names):
        raise top.error("a feature is named twice", "features")
    return tuple(names)


def _merge(top: Section) -> int:
    if "merge" not in top:
        return 1
    text = top.text("merge")
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise top.error(f"must be a whole number from 1 to {MOST}: frames that are joined into one", "merge")
    return int(text)


def _mirrored(top: Section, actions: Sequence[ClassInfo]) -> Mapping[int, int] | None:
    """Both directions of every pair; None where the manifest does not say that mirroring is harmless."""
    if "mirror" not in top:
        return None
    result: dict[int, int] = {}
    for left, right in top.pairs("mirror").items():
        one, other = (class_id(top, "mirror", name, actions) for name in (left, right))
        if result.get(one, other) != other or result.get(other, one) != one:
            raise top.error(f"{left} and {right}: an action has one mirror image", "mirror")
        result |= {one: other, other: one}
    return result


def _entry(top: Section, root: Path, index: int, section: object, actions: Sequence[ClassInfo]) -> Entry:
    if not isinstance(section, Section):
        raise top.error(f"recordings[{index}] must be a mapping with at least a path", "recordings")
    section.allow("path", "topic", "action", "subject", "split", "labels")
    spans = _spans(section, actions)
    whole = "action" in section and not section.is_list("action")
    split = section.text("split") if "split" in section else None
    if split is not None and split not in get_args(Split):
        raise section.error(f"must be one of {', '.join(get_args(Split))}, not {split}", "split")
    return Entry(
        place=section.place(),
        name=section.text("path"),
        path=_existing(section, root, "path"),
        topic=section.text("topic") if "topic" in section else None,
        labels=_existing(section, root, "labels") if "labels" in section else None,
        spans=spans,
        action=spans[0][2] if whole else -1,
        subject=section.text("subject") if "subject" in section else "",
        split=cast("Split | None", split),
    )


def _existing(section: Section, root: Path, key: str) -> Path:
    try:
        path = root / Path(section.text(key)).expanduser()
        found = path.exists()
    except (OSError, RuntimeError) as error:  # a name too long for the file system, or ~ of an unknown user
        raise section.error(f"is not a path ({error})", key) from error
    if not found:
        raise section.error(f"{path} does not exist; paths are relative to the manifest's folder", key)
    return path


def _spans(section: Section, actions: Sequence[ClassInfo]) -> tuple[Span, ...]:
    if "action" not in section:
        return ()
    if not section.is_list("action"):
        return ((0.0, float("inf"), class_id(section, "action", section.text("action"), actions)),)
    spans: list[Span] = []
    for part in section.items("action"):
        if not isinstance(part, Section):
            raise section.error("segments are written {from: 0.0, to: 2.5, action: NAME}", "action")
        part.allow("from", "to", "action")
        start, stop = part.number("from"), part.number("to")
        if stop <= start:
            raise part.error(f"ends at {stop:g} s, which is not after its beginning at {start:g} s")
        span = (start, stop, class_id(part, "action", part.text("action"), actions))
        place = bisect(spans, span)
        for earlier, later, _ in spans[max(0, place - 1) : place + 1]:  # none overlaps, so only neighbours can
            if start < later and earlier < stop:
                raise part.error(f"{start:g} to {stop:g} s overlaps the segment from {earlier:g} to {later:g} s")
        spans.insert(place, span)
    if not spans:
        raise section.error("lists no segments; leave it out where nothing is labelled", "action")
    return tuple(spans)


def _refuse_overlapping_paths(entries: Sequence[Entry]) -> None:
    """A recording counts once, so that no split can cut through it."""
    seen: dict[Path, Entry] = {}
    for entry in entries:
        path = entry.path.resolve()
        if path in seen:
            raise DataError(f"{entry.place}: {entry.name} is listed already, at {seen[path].place}")
        seen[path] = entry
    for path, entry in seen.items():
        for parent in path.parents:
            if parent in seen:
                raise DataError(f"{entry.place}: {entry.name} lies inside the recording at {seen[parent].place}")


def _with_splits(file: Path, entries: Sequence[Entry]) -> Sequence[Entry]:
    """The entries, each with a split that does not cut through a subject.

    Where no entry names a split, the subjects are divided in the order in which they first appear: the last fifth (at
    least one) is for testing, the fifth before (from three subjects on, at least one) for validation.
    """
    unsplit = [entry for entry in entries if entry.split is None]
    if len(unsplit) == len(entries):
        entries = _split_by_subject(file, entries)
    elif unsplit:
        raise DataError(f"{unsplit[0].place}: split is missing, while other recordings have one: give all or none")
    first: dict[str, Entry] = {}
    for entry in entries:
        known = first.setdefault(entry.subject, entry)
        if entry.subject and known.split != entry.split:
            raise DataError(
                f"{entry.place}: subject {entry.subject} is in {entry.split} here and in {known.split} at "
                f"{known.place}; a subject belongs to one split (leave subject out to split by recording)"
            )
    return entries


def _split_by_subject(file: Path, entries: Sequence[Entry]) -> Sequence[Entry]:
    nobody = [entry for entry in entries if not entry.subject]
    if nobody:
        raise DataError(f"{nobody[0].place}: give a subject, by which to split, or a split to every recording")
    subjects = list(dict.fromkeys(entry.subject for entry in entries))
    if len(subjects) < 2:
        raise DataError(f"{file}: the only subject is {subjects[0]}; give every recording a split instead")
    share = max(1, len(subjects) // 5)
    held_out: dict[str, Split] = dict.fromkeys(subjects[-share:], "test")
    if len(subjects) > 2:
        held_out |= dict.fromkeys(subjects[-2 * share : -share], "val")
    return [replace(entry, split=held_out.get(entry.subject, "train")) for entry in entries]
