"""A dataset: labeled uint8 images of one size, with class names and a stable name for each image."""

import copy
import functools
import hashlib
import json
import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np

from alexnet import arguments
from alexnet.data.loading.decode import refit
from alexnet.errors import InputError, counted

MEMORY_LIMIT = 2**30
"""Sets whose images take fewer bytes than this are kept in memory."""
BLOCK = 1024
"""Images that are moved or refitted at a time."""
NO_LABEL = "(no label)"
"""The set of labels of an image that has none."""


class Dataset(ABC):
    """Images with labels; what a subclass adds is where the images come from.

    Images are uint8, height × width × channels, all of one size; labels are int64 indices into `classes`. Of images
    with several labels each (`multilabel`), `targets` has the labels.
    `digests` is the SHA-256 of each image as it was stored, uint8 n × 32; None: of its pixels, when asked for.
    """

    def __init__(
        self,
        labels: np.ndarray,
        classes: Sequence[str],
        names: Sequence[str],
        *,
        channels: int,
        size: tuple[int, int],
        digests: np.ndarray | None = None,
    ) -> None:
        self.targets = np.asarray(labels, dtype=np.uint8 if np.ndim(labels) == 2 else np.int64)
        """int64 [n], each image's class; of images with several labels uint8 [n, classes], 1 where it has the label."""
        self.classes = tuple(classes)
        self.names = tuple(names)
        """A name for each image that stays the same from run to run: its file's, or the file's and its number."""
        self.channels = channels
        self.size = size
        """(height, width) in pixels."""
        self._digests = digests
        if len(self.names) != len(self.targets):
            raise InputError(f"{counted(len(self.names), 'name')} for {counted(len(self.targets), 'label')}")
        classes_ = counted(len(self.classes), "class", "classes")
        if self.multilabel:
            if self.targets.shape[1] != len(self.classes) or (self.targets.size and self.targets.max() > 1):
                raise InputError(f"{counted(self.targets.shape[1], 'column')} of 0 and 1 for {classes_}")
        elif len(self) and not 0 <= self.targets.min() <= self.targets.max() < len(self.classes):
            raise InputError(f"labels {self.targets.min()}–{self.targets.max()} for {classes_}")

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def multilabel(self) -> bool:
        """Whether an image may have several labels, or none."""
        return self.targets.ndim == 2

    @property
    def labels(self) -> np.ndarray:
        """int64 [n]: each image's class. InputError where an image may have several: what asks for these needs one."""
        if self.multilabel:
            raise InputError(
                "these images have several labels each, and one label an image is wanted here; train, evaluate, "
                "predict, report and export take several"
            )
        return self.targets

    @property
    def present(self) -> np.ndarray:
        """The classes that an image has, int64, ascending."""
        return np.flatnonzero(self.targets.any(0)) if self.multilabel else np.unique(self.targets)

    @property
    def bytes(self) -> int:
        """What all images take when they are decoded."""
        return len(self) * self.size[0] * self.size[1] * self.channels

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        """Image (uint8 H×W×C) and label; of images with several labels the row of `targets`."""
        row = range(len(self))[operator.index(index)]
        return self._batch(np.array([row]))[0], self.target(row)

    def target(self, index: int) -> Any:
        """The label of an image as an int, or its row of `targets`."""
        return self.targets[index] if self.multilabel else int(self.targets[index])

    def batch(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Images at `indices`, as in `subset`: uint8 n × height × width × channels, in that order."""
        return self._batch(rows_of(indices, len(self)))

    @abstractmethod
    def _batch(self, rows: np.ndarray) -> np.ndarray:
        """As `batch` for int64 [n], each the number of an image."""

    def subset(self, indices: Sequence[int] | np.ndarray) -> Self:
        """The images at `indices` (int64 [n]) as a set of their own, with the same classes; of a mask (bool, one for
        each image) those where it is True. InputError for anything else."""
        return self._part(rows_of(indices, len(self)))

    def _part(self, rows: np.ndarray) -> Self:
        """As `subset` for int64 [n], each the number of an image."""
        part = copy.copy(self)
        vars(part).pop("fingerprint", None)
        part.targets = self.targets[rows]
        part.names = tuple(self.names[row] for row in rows)
        part._digests = None if self._digests is None else self._digests[rows]
        return part

    @property
    def digests(self) -> np.ndarray:
        """SHA-256 of each image, uint8 n × 32; equal rows are duplicates."""
        if self._digests is None:
            dataset = (self.batch(np.array([index]))[0] for index in range(len(self)))
            self._digests = stack_digests([hashlib.sha256(image.tobytes()).digest() for image in dataset])
        return self._digests

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 over each image's name, class name and content, in the set's order."""
        total = hashlib.sha256()
        if self.multilabel:  # also the classes that no image has
            total.update("\1".join(self.classes).encode(errors="surrogateescape"))
        for name, target, digest in zip(self.names, self.targets, self.digests, strict=True):
            labels = np.flatnonzero(target) if self.multilabel else [target]
            said = "\1".join(self.classes[label] for label in labels)
            total.update(f"{name}\0{said}\0".encode(errors="surrogateescape") + digest.tobytes())
        return total.hexdigest()

    def relabeled(self, classes: Sequence[str], kind: str = "network") -> Self:
        """The same images with labels into `classes`, which a `kind` of thing knows; joined by class name.

        Raises InputError when an image's class is not among them, and for images with several labels when it is not
        said which of them have one of `classes`.
        """
        classes = arguments.texts("classes", classes, "['cat', 'dog']")
        if self.multilabel and self.classes == classes:
            return self
        number = {name: index for index, name in enumerate(classes)}
        unseen = [self.classes[label] for label in self.present if self.classes[label] not in number]
        if unseen:
            raise InputError(
                f"the images have classes that the {kind} never saw: {_some(unseen)}; it knows: {_some(classes)}"
            )
        part = copy.copy(self)
        if self.multilabel:
            if untold := [name for name in classes if name not in self.classes]:
                raise InputError(
                    f"the images' table does not say which of them are {_some(untold)}, as the {kind} does"
                )
            part.targets = self.targets[:, [self.classes.index(name) for name in classes]]
        else:
            part.targets = np.array([number.get(name, -1) for name in self.classes], dtype=np.int64)[self.targets]
        part.classes = classes
        return part


class ArrayDataset(Dataset):
    """Images in memory: `images` is uint8 n × height × width × channels."""

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        classes: Sequence[str],
        names: Sequence[str],
        digests: np.ndarray | None = None,
    ) -> None:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
            raise InputError(f"images must be uint8 n×H×W×1 or n×H×W×3, not {images.dtype} {images.shape}")
        if len(images) != len(labels):
            raise InputError(f"{counted(len(images), 'image')} for {counted(len(labels), 'label')}")
        height, width, channels = images.shape[1:]
        super().__init__(labels, classes, names, channels=channels, size=(height, width), digests=digests)
        self.images = images

    def _batch(self, rows: np.ndarray) -> np.ndarray:
        return self.images[rows]

    def _part(self, rows: np.ndarray) -> Self:
        part = super()._part(rows)
        part.images = self.images[rows]
        return part

    def closed_up(self, indices: np.ndarray) -> Self:
        """As `subset` by ascending indices, in the same memory: this set's own images are lost."""
        part = super()._part(indices)
        for start in range(0, len(indices), BLOCK):  # index k of an ascending list is at least k: none is overwritten
            rows = indices[start : start + BLOCK]
            self.images[start : start + len(rows)] = self.images[rows]
        part.images = self.images[: len(indices)]
        return part


class RefittedDataset(Dataset):
    """Another set with other channels or size, by the decoder's rules, computed when asked for."""

    def __init__(self, base: Dataset, channels: int, size: tuple[int, int], fit: str, antialias: bool = True) -> None:
        super().__init__(base.targets, base.classes, base.names, channels=channels, size=size, digests=base.digests)
        self.base = base
        self.fit, self.antialias = fit, antialias
        self.rows = np.arange(len(base))

    def _batch(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), *self.size, self.channels), np.uint8)
        for start in range(0, len(rows), BLOCK):
            own = self.base.batch(self.rows[rows[start : start + BLOCK]])
            for place, one in enumerate(pool().map(self._refit, own), start):
                out[place] = one
        return out

    def _refit(self, image: np.ndarray) -> np.ndarray:
        return refit(image, self.channels, self.size, self.fit, self.antialias)

    def _part(self, rows: np.ndarray) -> Self:
        part = super()._part(rows)
        part.rows = self.rows[rows]
        return part


def rows_of(indices: object, count: int) -> np.ndarray:
    """The rows, int64 [n], of `count` that indices or a mask choose. InputError where they choose none of them."""
    takes = f"numbers of {count:,} images, or a mask with {count:,} of True and False"
    try:
        given = np.asarray(indices)
    except (TypeError, ValueError):
        raise arguments.refusal("indices", takes, indices) from None
    if given.dtype == bool and given.shape == (count,):
        return np.flatnonzero(given)
    if given.ndim == 1 and (given.dtype.kind in "iu" or not len(given)):
        rows = given.astype(np.int64)
        if not len(rows) or -count <= rows.min() <= rows.max() < count:
            return np.where(rows < 0, rows + count, rows)
    raise arguments.refusal("indices", takes, indices)


def parted(dataset: Dataset, kept: np.ndarray, taken: np.ndarray) -> tuple[Dataset, Dataset]:
    """The set in two, by ascending indices; `images` itself is used up, so that no image is held twice."""
    part = dataset.subset(taken)
    if not isinstance(dataset, ArrayDataset) or not dataset.images.flags.writeable:
        return dataset.subset(kept), part
    return dataset.closed_up(kept), part


def refitted(dataset: Dataset, channels: int, size: tuple[int, int], fit: str, antialias: bool = True) -> Dataset:
    """The set with these channels and this size: itself when it has them already, in memory when that is small."""
    if (channels, size) == (dataset.channels, tuple(dataset.size)):
        return dataset
    result = RefittedDataset(dataset, channels, size, fit, antialias)
    return result if result.bytes >= MEMORY_LIMIT else held(result)


def held(dataset: Dataset) -> ArrayDataset:
    """The same set in memory."""
    images = dataset.batch(np.arange(len(dataset)))
    return ArrayDataset(images, dataset.targets, dataset.classes, dataset.names, dataset.digests)


def label_sets(targets: np.ndarray, classes: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Images with several labels each (`targets`: as `Dataset.targets`, uint8 [n, classes]) as images of one class,
    which is the whole set of its labels: the class of each, int64 [n], and the sets' names, such as 'left|right'."""
    rows, own = np.unique(targets, axis=0, return_inverse=True)
    sets = [[classes[int(label)] for label in np.flatnonzero(row)] for row in rows]
    names = ["|".join(each) or NO_LABEL for each in sets]
    if len(set(names)) < len(names):  # classes whose own names hold the sign
        names = [json.dumps(each, ensure_ascii=False) for each in sets]
    return own.reshape(-1).astype(np.int64), tuple(names)


def stack_digests(digests: list[bytes]) -> np.ndarray:
    """SHA-256 digests as the rows of a uint8 array."""
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "")


@functools.cache
def pool() -> ThreadPoolExecutor:
    """The threads that decode: Pillow frees Python's lock while it works."""
    return ThreadPoolExecutor(threads())


def threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
