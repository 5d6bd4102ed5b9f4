"""Training, validation and test pictures of one set, and how validation is cut from training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alexnet.data.pictures import PictureSet
from alexnet.errors import InputError


@dataclass
class Splits:
    """The splits of a picture set; all have the same classes, channels and size."""

    train: PictureSet
    validation: PictureSet | None
    test: PictureSet | None
    set: str
    """One of `sources.SETS`."""
    path: Path | None
    """Where the pictures were read; None for embedded and synthetic ones."""
    skipped: list[tuple[str, str]]
    """Pictures that could not be read and were left out: (name, reason)."""
    validation_is_test: bool = False


def stratified(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (training, validation), each ascending, with `fraction` of every class, to within one picture, held out.

    `labels` is int64 [n]. round(fraction · n) pictures validate, at least one; the last picture of a class is never
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
        raise InputError("no picture can be held out for validation: every class has one picture only")
    chosen = np.argsort(place, kind="stable")[:count]
    return np.setdiff1d(np.arange(len(labels)), chosen), np.sort(chosen)


def by_names(names: Sequence[str], validation: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Indices (training, validation) that restore a recorded split; InputError when a recorded picture is gone."""
    wanted = set(validation)
    lacking = wanted.difference(names)
    if lacking:
        raise InputError(f"{len(lacking)} pictures of the recorded validation split are gone, such as {min(lacking)}")
    held = np.array([name in wanted for name in names])
    return np.flatnonzero(~held), np.flatnonzero(held)
