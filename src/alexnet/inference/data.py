"""The images on which a trained model is measured."""

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.artifacts.card import Data, RunCard
from alexnet.artifacts.rows import Split, digests
from alexnet.artifacts.run import Run
from alexnet.data.dataset import Dataset, refitted
from alexnet.data.loading.decode import stored_size
from alexnet.data.pick import SPLITS, pick
from alexnet.data.readers.shards import Shards
from alexnet.data.readers.tree import same_name
from alexnet.data.remote.address import is_url, recorded
from alexnet.data.sources import open_splits
from alexnet.data.splits import Splits
from alexnet.errors import InputError, counted
from alexnet.inference.model import Model


class LeftOut(UserWarning):
    """Images were left out of a measurement, because the model was trained on them."""


@dataclass(frozen=True)
class Measured:
    """Which images are measured, and which others of the same data are not."""

    split: str | None
    """train, validation or test; None: the data has no splits."""
    count: int
    left_out: int
    """Images of the data that are not measured."""
    trained: int | None = None
    """Of those that are measured: how many trained the model; None: not recorded."""
    chose_epoch: int | None = None
    """Of those that are measured: how many chose the epoch whose weights these are."""
    left_out_trained: int | None = None
    """Of those that are left out: how many trained the model."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        which = f"{self.split} image" if self.split else "image"
        said = f"measured: the {counted(self.count, which)}"
        said += _of_these(self.trained, self.count, "trained the model")
        said += _of_these(self.chose_epoch, self.count, "chose the epoch")
        if self.left_out:
            said += f"; {counted(self.left_out, 'other is', 'others are')} left out"
            said += _of_these(self.left_out_trained, self.left_out, "trained the model")
        return said


def _of_these(some: int | None, count: int, did: str) -> str:
    return "" if not some else f", which {did}" if some == count else f", {some:,} of which {did}"


def dataset_for(
    model: Model,
    data: Path | str | None = None,
    split: str | None = None,
    tell: Callable[[str], None] | None = None,
    labels: Path | None = None,
    separator: str | None = None,
) -> Dataset:
    """The images of `measured_images`."""
    return measured_images(model, data, split, tell, labels, separator)[0]


def measured_images(
    model: Model,
    data: Path | str | None = None,
    split: str | None = None,
    tell: Callable[[str], None] | None = None,
    labels: Path | None = None,
    separator: str | None = None,
) -> tuple[Dataset, Measured]:
    """The split `split` of `data`, or of the images that the model was trained on, as the model wants them;
    and what it is of the data.

    split None: 'test', else 'validation'; for `data` without splits, all of it. The images of `data` that the model was
    trained on are left out, told apart one by one by their digests, unless `split` is 'train'.
    labels: a table with the labels of the images in `data`; separator: between several labels of an image, None: as
    in training.
    tell: gets a line that says what was left out (None: a warning, `LeftOut`), and the recorded path that is opened.
    Raises InputError when there is no such split, when every image trained the model, and without `data` when the run
    was not made here by this user: a card never decides what is opened.
    """
    wants, trained = model.preprocessing, model.card.data if isinstance(model.card, RunCard) else None
    if trained is None and data is None:
        raise InputError("this model's card does not say what it was trained on; give --data")
    if labels is not None and data is None:
        raise InputError("--labels needs --data, the folder of the images that the table lists")
    here = None if data is None or is_url(data) else Path(data)
    if here is not None and here.exists() and not (here.is_dir() or here.is_file()):
        raise InputError(f"{str(data)!r} is neither a file nor a folder")
    run = Run(model.path if model.path.is_dir() else model.path.parent)
    record = run.split if run.is_run else None
    name = trained.name if trained and (data is None or trained.name in _NAMED_ALIKE) else "auto"
    path = data
    if data is None and trained and trained.path:
        path = trained.path
        if not run.opens(trained.path):
            raise InputError(
                f"{str(run.path)!r} was not trained here by you, so that the data path in its card is not opened; "
                "give --data"
            )
        if not is_url(path) and not Path(path).exists():
            raise InputError(
                f"the images of this run were in {str(path)!r}, which is gone; add --data with their place"
            )
        if tell:
            tell(f"images: {path}, as the run recorded")
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
    if model.multilabel and labels is None and here is not None and here.is_dir() and not Shards().recognize(here):
        raise InputError("this model names several labels an image; give their table as --labels, or as --data")
    if labels is not None or (here is not None and here.is_file()):
        said = trained.protocol if trained else None
        options["label_separator"] = separator if separator is not None else said and said.label_separator
    if model.multilabel:
        options["label_classes"] = model.classes
    protocol = trained.protocol.to_json() if trained and trained.protocol else {}
    if (table := protocol.get("labels")) and not run.opens(table):
        if data is None:
            raise InputError(
                f"{str(run.path)!r} was not trained here by you, so that the table of labels in its card is not "
                "opened; give --data and --labels"
            )
        protocol = {}
    if labels is not None:
        name, options["labels"] = "table", labels
    as_trained = options | protocol
    if trained and trained.validation_is_test:
        as_trained["validation"] = "test"
    elif record is not None:
        # A set of its own validation images ignores the record, one that was cut is cut again exactly.
        as_trained |= {"validation_names": record.validation, "quarantine": record.quarantined}
    else:
        as_trained["validation"] = None
    if data is None:
        splits = open_splits(name, path, **as_trained)
        if "missing_shards" in splits.protocol and splits.skipped:
            (tell or _warn)(f"{counted(len(splits.skipped), 'image')} of shards that cannot be had: left out")
    else:
        splits = open_splits(name, path, validation=None, **options)
        if trained and splits.test is splits.validation is None and len(splits.train) == _count(trained):
            with contextlib.suppress(InputError):  # of other images
                again = open_splits(name, path, **as_trained)
                same = again.fingerprint == trained.fingerprint and _labeled(again) == _labeled(splits)
                splits = again if same else splits  # a table that is given may have other labels than the recorded one
    asked = split
    if split is None:
        split = "test" if splits.test is not None else "validation" if splits.validation is not None else "train"
    found = pick(splits, split)
    if data is not None and asked != "train":
        found = _unseen(found, record, recorded(data) if is_url(data) else str(data), tell or _warn)
    chose = isinstance(model.card, RunCard) and model.card.figures.selection == "validation"
    return found, _measured(found, splits, split, record, chose)


def _labeled(splits: Splits) -> set[tuple[str, tuple[str, ...]]]:
    """Each image's name and labels, whatever split it is in."""
    parts = [part for name in SPLITS if (part := getattr(splits, name)) is not None]
    return {
        (name, tuple(part.classes[label] for label in (np.flatnonzero(target) if part.multilabel else [target])))
        for part in parts
        for name, target in zip(part.names, part.targets, strict=True)
    }


def _measured(dataset: Dataset, splits: Splits, split: str, record: Split | None, chose: bool) -> Measured:
    """chose: whether the images that validated chose the epoch."""
    there = {name: part for name in SPLITS if (part := getattr(splits, name)) is not None}
    if splits.validation_is_test:
        there.pop("validation", None)
        split = "test" if split == "validation" else split
    left_out = sum(map(len, there.values())) - len(dataset)
    named = split if len(there) > 1 else None
    if record is None:
        return Measured(named, len(dataset), left_out)
    trained, chosen = (frozenset(record.digests.get(name, ())) for name in ("train", "validation"))
    own = digests(dataset.digests)
    seen = sum(digest in trained for digest in own)
    of_all = sum(digest in trained for part in there.values() for digest in digests(part.digests))
    validated = sum(digest in chosen for digest in own) if chose else 0
    return Measured(named, len(dataset), left_out, seen, validated, of_all - seen)


def _unseen(dataset: Dataset, record: Split | None, origin: str, tell: Callable[[str], None]) -> Dataset:
    """The images that did not train the model, whatever their names and whatever else lies beside them."""
    if record is None:
        return dataset
    seen = frozenset(record.digests.get("train", ()))
    kept = np.array([digest not in seen for digest in digests(dataset.digests)], bool)
    listed = frozenset(map(same_name, record.quarantined))
    if listed and (kept & (out := np.array([same_name(name) in listed for name in dataset.names], bool))).any():
        tell(f"{counted(int((kept & out).sum()), 'image')} of {origin} in the run's quarantine list: left out")
        dataset, kept = dataset.subset(np.flatnonzero(~out)), kept[~out]
    if kept.all():
        return dataset
    if not kept.any():
        raise InputError(
            f"the model was trained on all of {origin!r} ({counted(len(dataset), 'image')}): nothing is left to "
            "measure it on (--split train measures it on them)"
        )
    left = len(dataset) - int(kept.sum())
    are = "is" if left == 1 else "are"
    tell(f"{left:,} of {counted(len(dataset), 'image')} of {origin} trained the model and {are} left out")
    return dataset.subset(np.flatnonzero(kept))


def repeated(model: Model, dataset: Dataset) -> np.ndarray:
    """Which images are copies: of an image that trained the model, by the digests that its run recorded, or of an
    earlier one of the set; bool [n]. Where every image trained the model, only the latter."""
    found = digests(dataset.digests)
    first = {digest: row for row, digest in reversed(list(enumerate(found)))}
    again = np.array([first[digest] != row for row, digest in enumerate(found)], bool)
    run = Run(model.path if model.path.is_dir() else model.path.parent)
    record = run.split if run.is_run else None
    seen = frozenset(record.digests.get("train", ())) if record else frozenset[str]()
    trained = np.array([digest in seen for digest in found], bool)
    return again if trained.all() else again | trained


def _warn(text: str) -> None:
    warnings.warn(text, LeftOut, stacklevel=4)


def _count(trained: Data) -> int:
    """The images that a run had in all, by what its card says of them."""
    return trained.train + trained.test + (0 if trained.validation_is_test else trained.validation)


def fitted(model: Model, dataset: Dataset) -> Dataset:
    """The images with the model's classes, channels and stored size. InputError for a class that it never saw."""
    if model.multilabel != dataset.multilabel:
        own, theirs = ("several labels", "one") if model.multilabel else ("one class", "several labels")
        raise InputError(f"the model names {own} an image, and these images have {theirs}; docs/DATA.md has both forms")
    wants = model.preprocessing
    size = stored_size(wants.size, wants.resize)
    return refitted(dataset.relabeled(model.classes, "model"), wants.channels, size, wants.fit, wants.antialias)


def spread(total: int, count: int) -> np.ndarray:
    """Indices of `count` of `total` things, evenly spread (all of them when they are fewer), int64."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).astype(np.int64))


# Two sets in the same file format, which content does not tell apart but class names do.
_NAMED_ALIKE = ("mnist", "fashion-mnist", "cifar100-coarse")
