"""Images that belong together (a patient, a burst) stay on one side of a split; quarantined images stay out of it."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from alexnet.data.dataset import Dataset
from alexnet.data.readers.tree import same_name
from alexnet.errors import InputError, counted
from alexnet.files import content_of

_MOST = 2**28
"""Bytes of a quarantine list."""


def grouping(pattern: str) -> Callable[[str], str | None]:
    """An image's group by its name; None where the pattern does not occur. InputError for an invalid pattern."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"{pattern!r} is not a regular expression: {error}") from None

    def group_of(name: str) -> str | None:
        found = compiled.search(name)
        return None if found is None else found.group(1 if compiled.groups else 0)

    return group_of


def of(names: Sequence[str], table: Mapping[str, str], pattern: str | None) -> np.ndarray | None:
    """The group of each image, int64 [n], by `pattern` or by the group column of a table of labels; None: no groups.

    An image without a group is one of its own. InputError where both say groups.
    """
    if pattern is not None and table:
        raise InputError("data.group_by and the group column of the table of labels both say groups; leave one out")
    if pattern is not None:
        return numbered(names, pattern)
    if not table:
        return None
    keys = [(0, table[name]) if name in table else (1, name) for name in names]
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return np.array([number[key] for key in keys], np.int64)


def numbered(names: Sequence[str], pattern: str) -> np.ndarray:
    """The group of each image as int64 [n]; an image in which the pattern does not occur is a group of its own.

    InputError when it occurs nowhere: the groups would be those of no pattern at all.
    """
    group_of = grouping(pattern)
    found = [group_of(name) for name in names]
    if not any(group is not None for group in found):
        raise InputError(f"data.group_by {pattern!r} occurs in no image's name, such as {names[0]!r}")
    keys = [(0, group) if group is not None else (1, name) for group, name in zip(found, names, strict=True)]
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return np.array([number[key] for key in keys], np.int64)


def cut(labels: np.ndarray, groups: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (training, validation), each ascending, no group in both, with nearly `fraction` of every class held out.

    Groups are drawn by `seed`, one after the other; each is held out if that brings the held images of the classes
    nearer to their shares, and leaves every class an image to train on. InputError when no group can be.
    """
    if not 0 < fraction < 1:
        raise InputError(f"validation is {fraction}; a fraction must lie between 0 and 1")
    counts = _counts(labels, groups)
    wanted, left = fraction * counts.sum(0), counts.sum(0)
    held, chosen = np.zeros_like(wanted), []
    for group in np.random.default_rng(seed).permutation(len(counts)):
        own = counts[group]
        nearer = np.abs(wanted - held - own).sum() < np.abs(wanted - held).sum()
        if nearer and ((left - own > 0) | (left == 0)).all():
            held, left = held + own, left - own
            chosen.append(group)
    if not chosen:  # groups larger than what is wanted: the smallest that leaves every class something
        sizes = np.where(((left - counts > 0) | (left == 0)).all(1), counts.sum(1), np.iinfo(np.int64).max)
        if sizes.min() == np.iinfo(np.int64).max:
            raise InputError("no group can be held out for validation: every group has all images of some class")
        chosen = [int(sizes.argmin())]
    inside = np.isin(groups, chosen)
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def parts(labels: np.ndarray, groups: np.ndarray, of: int, seed: int) -> np.ndarray:
    """For each image the part from 0 to `of` − 1 that it falls into, int64 [n]; a group lies in one part.

    Groups are dealt by size, in an order drawn by `seed`, each to the part in which its classes are fewest so far.
    """
    counts = _counts(labels, groups)
    if len(counts) < of:
        raise InputError(f"data.folds is {of}, but data.group_by finds only {counted(len(counts), 'group')}")
    shuffled = np.random.default_rng(seed).permutation(len(counts))
    order = shuffled[np.argsort(-counts[shuffled].sum(1), kind="stable")]
    held, part = np.zeros((of, counts.shape[1])), np.empty(len(counts), np.int64)
    for group in order:
        share = (held * (counts[group] > 0)).sum(1)
        part[group] = np.lexsort((held.sum(1), share))[0]
        held[part[group]] += counts[group]
    return part[groups]


def _counts(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """int64 [groups, classes]; of images with several labels a last column counts those without any."""
    if labels.ndim == 2:
        labels = np.column_stack([labels, ~labels.any(1)]).astype(np.int64)
        counts = np.zeros((int(groups.max()) + 1, labels.shape[1]), np.int64)
        np.add.at(counts, groups, labels)
        return counts
    counts = np.zeros((int(groups.max()) + 1, int(labels.max()) + 1), np.int64)
    np.add.at(counts, (groups, labels), 1)
    return counts


def shared(parts: Iterable[tuple[str, Dataset]], pattern: str) -> list[str]:
    """A line for groups that lie in several splits: measured images are then not independent of training."""
    group_of = grouping(pattern)
    first: dict[str, str] = {}
    several: dict[str, set[str]] = {}
    for split, dataset in parts:
        for name in dataset.names:
            if (group := group_of(name)) is not None and first.setdefault(group, split) != split:
                several.setdefault(group, {first[group]}).add(split)
    if not several:
        return []
    example = next(iter(several))
    where = " and ".join(sorted(several[example]))
    return [f"{counted(len(several), 'group')} of data.group_by in several splits, such as {example} in {where}"]


def read_quarantine(path: Path | str) -> tuple[str, ...]:
    """The names of a list that `alexnet check --quarantine` wrote: one a line, up to a tab, behind which is why."""
    try:
        text = content_of(Path(path).expanduser(), _MOST).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        raise InputError(f"no quarantine list {str(path)!r}; `alexnet check --quarantine FILE` writes one") from None
    if "\0" in text:
        raise InputError(
            f"{str(path)!r} is no quarantine list, which is text: `alexnet check --quarantine FILE` writes one"
        )
    names = (line.split("\t")[0] for line in text.splitlines())
    return tuple(dict.fromkeys(name for name in names if name))


def without(dataset: Dataset, quarantine: Collection[str]) -> tuple[Dataset, tuple[str, ...]]:
    """The training images that are not in the list, and the names of those that are.

    The list has names as the dataset has them, or with the split before ('train/…'). InputError when a class would
    have no training image left.
    """
    listed = set(map(same_name, quarantine))
    inside = np.array([same_name(n) in listed or f"train/{same_name(n)}" in listed for n in dataset.names], bool)
    kept = dataset.subset(np.flatnonzero(~inside))
    lost = np.setdiff1d(dataset.present, kept.present)
    if len(lost):
        raise InputError(f"the quarantine list leaves class {dataset.classes[lost[0]]!r} without a training image")
    return kept, tuple(name for name, out in zip(dataset.names, inside, strict=True) if out)
