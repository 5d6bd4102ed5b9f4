"""One split of a dataset."""

from pathlib import Path
from typing import Any

from alexnet.data.dataset import Dataset
from alexnet.data.sources import open_splits
from alexnet.data.splits import Splits
from alexnet.errors import InputError

SPLITS = ("train", "validation", "test")


def dataset(name: str | None = None, split: str = "train", data: Path | str | None = None, **options: Any) -> Dataset:
    """The images of one split: len(), [i] → (uint8 H×W×C, label), .classes.

    name: one of sources.SETS; None: recognized by what lies at `data`; a public set that is not on this machine is
    fetched. options: as open_splits takes them, such as size=(64, 64): without it the images of class folders keep
    their own sizes. A set is given whole: no validation images are cut from training.
    Raises InputError for an unknown set or a split that it does not have.
    """
    options.setdefault("validation", None)
    options.setdefault("fetching", lambda done, total: None)
    return pick(open_splits(name, data, **options), split)


def pick(splits: Splits, split: str) -> Dataset:
    """The split called `split`; InputError names those that are there."""
    there = {name: getattr(splits, name) for name in SPLITS if getattr(splits, name) is not None}
    if split not in there:
        raise InputError(f"{splits.name} has no split {split!r}; it has: {', '.join(there)}")
    return there[split]
