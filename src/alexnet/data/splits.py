"""Training, validation and test images of one set, and how validation is cut from training."""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.data.dataset import Dataset
from alexnet.data.loading.samples import Range
from alexnet.data.readers.tree import same_name
from alexnet.errors import InputError, counted


@dataclass
class Splits:
    """The splits of a dataset; all have the same classes, channels and size."""

    train: Dataset
    validation: Dataset | None
    test: Dataset | None
    name: str
    """One of `sources.SETS`."""
    path: Path | None
    """Where on this machine the images were read; None for others, and for embedded and synthetic ones."""
    skipped: list[tuple[str, str]]
    """Files that were left out, images that could not be read among them: (name, reason)."""
    validation_is_test: bool = False
    protocol: dict[str, Any] = field(default_factory=dict)
    """The options of `open_splits` that drew classes and test images, where some did."""
    quarantined: tuple[str, ...] = ()
    """Names of images that would have trained and are in a quarantine list."""
    notes: list[str] = field(default_factory=list)
    """How the set was read, a line each: what as splits, what as classes, what was left out."""
    groups: dict[str, str] = field(default_factory=dict)
    """Image's name → its group, where a table of labels says: no group is parted by the cut for validation."""
    samples: Range | None = None
    """The range of samples of more than 8 bits that became 0–255, where there were some that do not use all bits."""
    address: str = ""
    """Where elsewhere the images were read, without what is secret in it."""
    index: str = ""
    """SHA-256 of the index of shards that lie elsewhere."""

    @property
    def place(self) -> str | None:
        """Where the images were read, as it is recorded; None for embedded and synthetic ones."""
        return self.address or (str(self.path.absolute()) if self.path else None)

    @property
    def content_notes(self) -> list[str]:
        """What the images' digests tell: images that several splits share, and equal ones under two classes."""
        notes = []
        parts = {name: getattr(self, name) for name in ("train", "validation", "test")}
        if self.validation_is_test:
            del parts["validation"]
        there = {name: (part, _keys(part)) for name, part in parts.items() if part is not None}
        for first, second in itertools.combinations(there, 2):
            shared = np.flatnonzero(np.isin(there[second][1], there[first][1]))
            if len(shared):
                example = there[second][0].names[shared[0]]
                also = f"are also {first} images" if len(shared) > 1 else f"is also a {first} image"
                notes.append(f"{counted(len(shared), f'{second} image')} {also}, such as {example}")
        keys = np.concatenate([own for _, own in there.values()])
        _, labels = np.unique(np.concatenate([part.targets for part, _ in there.values()]), axis=0, return_inverse=True)
        labels = labels.reshape(-1)
        names = [name for part, _ in there.values() for name in part.names]
        order = np.lexsort((labels, keys))
        keys, labels = keys[order], labels[order]
        twice = np.flatnonzero((keys[1:] == keys[:-1]) & (labels[1:] != labels[:-1]))
        if len(twice):
            under = "other labels" if self.train.multilabel else "two classes"
            pair = " and ".join(names[order[place]] for place in (twice[0], twice[0] + 1))
            notes.append(f"{counted(len(twice), 'image is', 'images are')} the same under {under}, such as {pair}")
        return notes

    @property
    def fingerprint(self) -> str:
        """Of all images and of how they are split."""
        parts = (self.train, self.validation, self.test)
        return hashlib.sha256("\n".join(part.fingerprint if part else "-" for part in parts).encode()).hexdigest()


def _keys(part: Dataset) -> np.ndarray:
    """A number for each image's content, uint64 [n]."""
    return np.ascontiguousarray(part.digests[:, :8]).view(np.uint64).ravel()


def stratified(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (training, validation), each ascending, with `fraction` of every class, to within one image, held out.

    `labels`: as `Dataset.targets`; of images with several labels, those with the same rarest label are a class, and one
    that has the only training image with some label stays in training. round(fraction · n) images validate, at least
    one; the last image of a class is never taken from training, so that training sees every class. (scikit-learn's
    splitter refuses sets with so small classes.) Raises InputError when nothing can be held out.
    """
    if not 0 < fraction < 1:
        raise InputError(f"validation is {fraction}; a fraction must lie between 0 and 1")
    random = np.random.default_rng(seed)
    place, classes = np.full(len(labels), np.inf), strata(labels)
    for label in np.unique(classes):
        members = random.permutation(np.flatnonzero(classes == label))
        # Evenly spaced from a random start: taking the lowest places takes the same share of every class.
        place[members[:-1]] = (np.arange(len(members) - 1) + random.random()) / len(members)
    count = min(max(1, round(fraction * len(labels))), int(np.isfinite(place).sum()))
    if count == 0:
        raise InputError("no image can be held out for validation: every class has one image only")
    chosen = np.argsort(place, kind="stable")[:count]
    if labels.ndim == 2:
        chosen = chosen[_spared(labels, chosen)]
    return np.setdiff1d(np.arange(len(labels)), chosen), np.sort(chosen)


def strata(targets: np.ndarray) -> np.ndarray:
    """The class by which each image is divided among splits, int64 [n]: its own; of images with several labels (uint8
    [n, K]) the rarest of its labels, K for none."""
    if targets.ndim == 1:
        return targets
    rarity = np.where(targets > 0, targets.sum(0, dtype=np.int64), np.iinfo(np.int64).max)
    return np.where(targets.any(1), rarity.argmin(1), targets.shape[1])


def _spared(targets: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Which of the rows `held` may be held out, so that every label, and its absence, stays in training; bool."""
    left = np.stack([targets, 1 - targets]).astype(np.int64).sum(1)
    left -= np.stack([targets[held], 1 - targets[held]]).astype(np.int64).sum(1)
    spared = np.ones(len(held), bool)
    for number, row in enumerate(held):
        own = np.stack([targets[row], 1 - targets[row]]).astype(np.int64)
        if (own[left == 0] > 0).any():
            left += own
            spared[number] = False
    return spared


def drawn(
    labels: np.ndarray, classes: Sequence[str], per_class: int | None, total: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Indices (training, test), each ascending: of each class `per_class` train, or of all `total`; the others test.

    Caltech-256's protocol is so many of each class (Griffin et al. 2007); one of the published write-ups shuffles all
    images by one seed and takes 4,000 of them. Raises InputError when a class has no image left to train or test.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    if per_class is not None:
        own = [order[labels[order] == label] for label in range(len(classes))]
        for name, members in zip(classes, own, strict=True):
            if len(members) <= per_class:
                raise InputError(f"{per_class} of each class train, and class {name!r} has {len(members)} in all")
        train = np.concatenate([members[:per_class] for members in own])
    else:
        if not 0 < (total or 0) < len(labels):
            raise InputError(f"data.train_images is {total}, and there are {counted(len(labels), 'image')} in all")
        train = order[:total]
        lost = np.setdiff1d(labels, labels[train])
        if len(lost):
            raise InputError(f"data.train_images is {total}, and none of them is of class {classes[lost[0]]!r}")
    return np.sort(train), np.setdiff1d(np.arange(len(labels)), train)


def by_names(names: Sequence[str], validation: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Indices (training, validation) that restore a recorded split; InputError when a recorded image is gone."""
    wanted = set(map(same_name, validation))
    names = list(map(same_name, names))
    lacking = wanted.difference(names)
    if lacking:
        raise InputError(
            f"{counted(len(lacking), 'image')} of the recorded validation split not found, such as {min(lacking)}"
        )
    held = np.array([name in wanted for name in names])
    return np.flatnonzero(~held), np.flatnonzero(held)
