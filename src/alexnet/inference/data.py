"""The images on which a trained model is measured."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.artifacts.card import Data, RunCard
from alexnet.artifacts.store import Model
from alexnet.data.dataset import Dataset, refitted
from alexnet.data.loading.decode import stored_size
from alexnet.data.pick import pick
from alexnet.data.sources import open_splits
from alexnet.errors import InputError
from alexnet.files import read_object


def dataset_for(model: Model, data: Path | None = None, split: str | None = None) -> Dataset:
    """The split `split` of `data`, or of the images that the model was trained on, as the model wants them.

    split None: 'test', else 'validation'; for `data` without splits, all of it. Images that the model was trained on,
    wherever `data` says that they are, are split as they were then, so that none that trained is measured on. Raises
    InputError when there is no such split.
    """
    wants, trained = model.preprocessing, model.card.data if isinstance(model.card, RunCard) else None
    if trained is None and data is None:
        raise InputError("this model's card does not say what it was trained on; give --data")
    name = trained.name if trained and (data is None or trained.name in _NAMED_ALIKE) else "auto"
    path = data if data is not None or trained is None else trained.path
    options: dict[str, Any] = {
        "fit": wants.fit,
        "resize": wants.resize,
        "channels": wants.channels,
        "size": wants.size,
        "antialias": wants.antialias,
        "samples": wants.samples,
    }
    if trained and isinstance(model.card, RunCard) and name == "synthetic":
        held = 0 if trained.validation_is_test else trained.validation
        options |= {"count": trained.train + held, "seed": model.card.seed}
    as_trained = options | (trained.protocol.to_json() if trained and trained.protocol else {})
    record = (model.path if model.path.is_dir() else model.path.parent) / "split.json"
    if trained and trained.validation_is_test:
        as_trained["validation"] = "test"
    elif record.is_file():
        # A set of its own validation images ignores the record, one that was cut is cut again exactly.
        as_trained["validation_names"] = read_object(record, ("validation",))["validation"]
    else:
        as_trained["validation"] = None
    if data is None:
        splits = open_splits(name, path, **as_trained)
    else:
        splits = open_splits(name, path, validation=None, **options)
        if trained and splits.test is splits.validation is None and len(splits.train) == _count(trained):
            with contextlib.suppress(InputError):  # of other images
                again = open_splits(name, path, **as_trained)
                splits = again if again.fingerprint == trained.fingerprint else splits
    if split is None:
        split = "test" if splits.test is not None else "validation" if splits.validation is not None else "train"
    return pick(splits, split)


def _count(trained: Data) -> int:
    """The images that a run had in all, by what its card says of them."""
    return trained.train + trained.test + (0 if trained.validation_is_test else trained.validation)


def fitted(model: Model, dataset: Dataset) -> Dataset:
    """The images with the model's classes, channels and stored size. InputError for a class that it never saw."""
    wants = model.preprocessing
    size = stored_size(wants.size, wants.resize)
    return refitted(dataset.relabeled(model.classes, "model"), wants.channels, size, wants.fit, wants.antialias)


def spread(total: int, count: int) -> np.ndarray:
    """Indices of `count` of `total` things, evenly spread (all of them when they are fewer), int64."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).astype(np.int64))


# Two sets in the same file format, which content does not tell apart but class names do.
_NAMED_ALIKE = ("mnist", "fashion-mnist", "cifar100-coarse")
