"""Training, validation and test images of one set, and how validation is cut from training."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.data.dataset import Dataset
from alexnet.errors import InputError


@dataclass
class Splits:
    """The splits of a dataset; all have the same classes, channels and size."""

    train: Dataset
    validation: Dataset | None
    test: Dataset | None
    name: str
    """One of `sources.SETS`."""
    path: Path | None
    """Where the images were read; None for embedded and synthetic ones."""
    skipped: list[tuple[str, str]]
    """Files that were left out, images that could not be read among them: (name, reason)."""
    validation_is_test: bool = False
    protocol: dict[str, Any] = field(default_factory=dict)
    """The options of `open_splits` that drew classes and test images, where some did."""

    @property
    def fingerprint(self) -> str:
        """Of all images and of how they are split."""
        parts = (self.train, self.validation, self.test)
        return hashlib.sha256("\n".join(part.fingerprint if part else "-" for part in parts).encode()).hexdigest()


def stratified(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (training, validation), each ascending, with `fraction` of every class, to within one image, held out.

    `labels` is int64 [n]. round(fraction · n) images validate, at least one; the last image of a class is never
    taken from training, so that training sees every class. (scikit-learn's splitter refuses sets with so small
    classes.) Raises InputError when nothing can be held out.
    """
    if not 0 < fraction < 1:
        raise InputError(f"validation is {fraction}; a fraction must lie between 0 and 1")
    random = np.random.default_rng(seed)
    place = np.full(len(labels), np.inf)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        # Evenly spaced from a random start: taking the lowest places takes the same share of every class.
        place[members[:-1]] = (np.arange(len(members) - 1) + random.random()) / len(members)
    count = min(max(1, round(fraction * len(labels))), int(np.isfinite(place).sum()))
    if count == 0:
        raise InputError("no image can be held out for validation: every class has one image only")
    chosen = np.argsort(place, kind="stable")[:count]
    return np.setdiff1d(np.arange(len(labels)), chosen), np.sort(chosen)


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
            raise InputError(f"{total} images train, and there are {len(labels):,} in all")
        train = order[:total]
        lost = np.setdiff1d(labels, labels[train])
        if len(lost):
            raise InputError(f"{total} images train, and none of them is of class {classes[lost[0]]!r}")
    return np.sort(train), np.setdiff1d(np.arange(len(labels)), train)


def by_names(names: Sequence[str], validation: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Indices (training, validation) that restore a recorded split; InputError when a recorded image is gone."""
    wanted = set(validation)
    lacking = wanted.difference(names)
    if lacking:
        raise InputError(f"{len(lacking)} images of the recorded validation split are gone, such as {min(lacking)}")
    held = np.array([name in wanted for name in names])
    return np.flatnonzero(~held), np.flatnonzero(held)
