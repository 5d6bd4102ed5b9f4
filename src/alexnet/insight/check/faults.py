"""Faults of a dataset: each kind once, with what it means, and every image that it concerns."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from alexnet.errors import counted
from alexnet.insight.check import duplicates
from alexnet.insight.check.inspect import Seen
from alexnet.insight.check.listing import SPLITS, Listed

IMBALANCE = 10.0  # times as many training images in the largest class as in the smallest
RARE = 0.1  # share below which a mode is the exception, and the rest the rule


@dataclass(frozen=True)
class Item:
    """One image, or several that belong together."""

    images: tuple[int, ...]
    """Indices into the dataset's images; empty: the fault is of a class or a folder."""
    text: str
    quarantine: tuple[int, ...] = ()
    """Those of `images` that training is better without."""


@dataclass(frozen=True)
class Fault:
    kind: str
    serious: bool
    """Whether figures measured on this dataset would be wrong, or training would not start."""
    about: str
    items: tuple[Item, ...]


# What each kind means, and whether it is serious. Kinds that `inspect` names come first.
KINDS: dict[str, tuple[bool, str]] = {
    "damaged": (True, "These files cannot be decoded to the end; training leaves them out."),
    "not an image": (True, "These files are named like images and hold none; training leaves them out."),
    "empty file": (True, "These files hold nothing."),
    "wrong extension": (False, "The content is read as what it is; other programs may refuse it."),
    "CMYK": (False, "Colors of print are converted to RGB, and may look unlike the others."),
    "transparency": (False, "Transparent places become white."),
    "more than 8 bits": (False, "Samples are reduced to 8 bits; see how the range is chosen before training."),
    "rotated by EXIF": (False, "These are turned upright here; programs that ignore EXIF see them turned."),
    "animated": (False, "Only the first frame is read."),
    "tiny": (False, "There is little in these images; they are enlarged many times."),
    "huge": (False, "Reading these takes most of the time of an epoch; `alexnet pack` makes small copies."),
    "slender": (False, "A square crop loses most of such an image; `data.fit = 'squash'` keeps all of it."),
    "one color": (False, "Nothing is to be seen in these images."),
    "gray among color": (False, "Few images are gray, most are not: a network may learn just that."),
    "color among gray": (False, "Few images have color, most do not: a network may learn just that."),
    "contradictory labels": (True, "The same image has different labels: at most one of them is right."),
    "duplicates across splits": (True, "Images that train are measured on: accuracy comes out too high."),
    "near duplicates across splits": (True, "Nearly what trains is measured on: accuracy comes out too high."),
    "groups across splits": (True, "Images of one group (a patient, a burst) train and are measured on."),
    "duplicates": (False, "The same file several times in one split counts several times."),
    "near duplicates": (False, "Nearly the same image several times in one split."),
    "class never trained": (True, "Images of a class that training never sees are all counted as wrong, or refused."),
    "class missing in a split": (True, "Nothing is measured for this class."),
    "one image only": (True, "A class with one training image cannot be validated, and hardly be learned."),
    "empty class": (True, "A folder of a class holds no image; training refuses it."),
    "imbalance": (False, "Accuracy favors the large classes: look at balanced accuracy; `train.class_weights` helps."),
    "imbalance of a label": (False, "Look at the average precision of each label: the mean hides the rare ones."),
    "names that differ by case": (True, "On other systems these are one folder; they are probably one class."),
    "names that differ by spaces": (True, "They are probably one class."),
    "names that differ by Unicode form": (True, "They look alike and are written differently: probably one class."),
    "image outside of any class": (False, "Training does not use these."),
    "file that is no image": (False, "Training leaves these out; they may have been meant as images."),
    "refused": (True, "Training would not start on this dataset."),
    "likely label error": (False, "By its features, each of these images looks like one of another class."),
}  # fmt: skip


def find(listed: Listed, seen: Sequence[Seen], group_of: Callable[[str], str | None] | None = None) -> list[Fault]:
    """Every fault of a dataset that was looked at, the serious ones first. `group_of`: an image's group by its name."""
    found: dict[str, list[Item]] = defaultdict(list)
    for kind, item in _all(listed, seen, group_of):
        found[kind].append(item)
    faults = [Fault(kind, KINDS[kind][0], KINDS[kind][1], tuple(found[kind])) for kind in KINDS if kind in found]
    return sorted(faults, key=lambda fault: not fault.serious)


def _all(
    listed: Listed, seen: Sequence[Seen], group_of: Callable[[str], str | None] | None
) -> Iterator[tuple[str, Item]]:
    if listed.refused:
        yield "refused", Item((), listed.refused)
    for row, each in enumerate(seen):
        for kind, detail in each.problems:
            lost = kind in ("damaged", "not an image", "empty file", "one color")
            yield kind, Item((row,), detail, (row,) if lost else ())
    yield from _modes(listed, seen)
    yield from _copies(listed, seen)
    yield from _groups(listed, group_of)
    yield from _classes(listed)
    yield from _names(listed.classes)
    for row in np.flatnonzero(listed.labels < 0):
        yield "image outside of any class", Item((int(row),), "in no class folder")
    for name in listed.others:
        yield "file that is no image", Item((), name)
    for name in listed.empty:
        yield "empty class", Item((), name)


def _modes(listed: Listed, seen: Sequence[Seen]) -> Iterator[tuple[str, Item]]:
    """Gray images among colored ones, or the other way round, where they are the exception."""
    rows = {mode: [row for row, each in enumerate(seen) if each.mode == mode] for mode in ("gray", "color")}
    for few, many in (("gray", "color"), ("color", "gray")):
        if 0 < len(rows[few]) <= RARE * len(rows[many]):
            yield from ((f"{few} among {many}", Item((row,), f"stored in {few}")) for row in rows[few])


def _copies(listed: Listed, seen: Sequence[Seen]) -> Iterator[tuple[str, Item]]:
    for groups, near in ((duplicates.equal(seen), ""), (duplicates.alike(seen), "near ")):
        for group in groups:
            rows = [row for row in group if listed.labels[row] >= 0]
            if len(rows) < 2:
                continue
            labels = sorted({int(listed.labels[row]) for row in rows})
            text = _where(listed, rows)
            if len(labels) > 1:
                names = " and ".join((listed.sets or listed.classes)[label] for label in labels)
                yield "contradictory labels", Item(tuple(rows), f"{near}equal, in {names}", tuple(rows))
            splits = {int(listed.splits[row]) for row in rows}
            trained = tuple(row for row in rows if listed.splits[row] == 0)
            if len(splits) > 1:
                yield f"{near}duplicates across splits", Item(tuple(rows), text, trained)
            elif len(labels) == 1:
                yield f"{near}duplicates", Item(tuple(rows), text, () if near else tuple(rows[1:]))


def _where(listed: Listed, rows: Sequence[int]) -> str:
    counts = np.bincount([listed.splits[row] for row in rows], minlength=len(SPLITS))
    return ", ".join(f"{count} in {split}" for split, count in zip(SPLITS, counts, strict=True) if count)


def _groups(listed: Listed, group_of: Callable[[str], str | None] | None) -> Iterator[tuple[str, Item]]:
    if group_of is None:
        return
    groups: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(listed.names):
        if listed.splits[row] >= 0 and (group := group_of(name)) is not None:
            groups[group].append(row)
    for group, rows in groups.items():
        if len({int(listed.splits[row]) for row in rows}) > 1:
            trained = tuple(row for row in rows if listed.splits[row] == 0)
            yield "groups across splits", Item(tuple(rows), f"{group}: {_where(listed, rows)}", trained)


def _classes(listed: Listed) -> Iterator[tuple[str, Item]]:
    counts = counts_of(listed)
    there = [split for split in range(len(SPLITS)) if counts[split].sum()]
    for label, name in enumerate(listed.classes):
        trained = int(counts[0, label])
        if not trained and counts[:, label].sum():
            where = ", ".join(f"{counts[s, label]} in {SPLITS[s]}" for s in there if counts[s, label])
            yield "class never trained", Item((), f"{name}: {where}")
        for split in there:
            if split and trained and not counts[split, label]:
                yield "class missing in a split", Item((), f"{name}: none in {SPLITS[split]}")
        if trained == 1:
            row = int(np.flatnonzero(listed.having(label) & (listed.splits == 0))[0])
            yield "one image only", Item((row,), name)
    if listed.targets is not None:
        yield from _rare(listed, counts[0])
        return
    trained = counts[0][counts[0] > 0]
    if len(trained) > 1 and trained.max() > IMBALANCE * trained.min():
        most, least = int(counts[0].argmax()), int(np.where(counts[0] > 0, counts[0], counts[0].max() + 1).argmin())
        text = (
            f"{listed.classes[most]} has {counted(int(counts[0, most]), 'training image')}, "
            f"{listed.classes[least]} has {counts[0, least]:,}"
        )
        yield "imbalance", Item((), text)


def _rare(listed: Listed, counts: np.ndarray) -> Iterator[tuple[str, Item]]:
    """Labels that hardly a training image has, or hardly one has not. `counts`: of training images with each label."""
    total = int((listed.splits == 0).sum())
    for name, count in zip(listed.classes, counts.tolist(), strict=True):
        if max(count, total - count) > IMBALANCE * min(count, total - count):
            yield "imbalance of a label", Item((), f"{name}: {count:,} of {total:,} training images")


def counts_of(listed: Listed) -> np.ndarray:
    """int64 [splits, classes]: how many images have each class, or label."""
    counts = np.zeros((len(SPLITS), max(1, len(listed.classes))), np.int64)
    if listed.targets is not None:
        np.add.at(counts, listed.splits, listed.targets)
        return counts
    known = listed.labels >= 0
    np.add.at(counts, (listed.splits[known], listed.labels[known]), 1)
    return counts


def _names(classes: Sequence[str]) -> Iterator[tuple[str, Item]]:
    """Class names that become one when Unicode forms, spaces or case are made alike; told by the first that does."""
    forms: list[tuple[str, Callable[[str], Any]]] = [
        ("names that differ by Unicode form", lambda name: unicodedata.normalize("NFKC", name)),
        ("names that differ by spaces", lambda name: _spaced(unicodedata.normalize("NFKC", name))),
        ("names that differ by case", lambda name: _spaced(unicodedata.normalize("NFKC", name)).casefold()),
    ]
    told: set[frozenset[str]] = set()
    for kind, form in forms:
        groups: dict[str, list[str]] = defaultdict(list)
        for name in classes:
            groups[form(name)].append(name)
        for names in groups.values():
            if len(names) > 1 and frozenset(names) not in told:
                told.add(frozenset(names))
                yield kind, Item((), " and ".join(repr(name) for name in names))


def _spaced(name: str) -> str:
    """Without spaces, and with no difference between the signs that stand for one."""
    return "".join(c for c in name if not c.isspace() and c not in "_-")
