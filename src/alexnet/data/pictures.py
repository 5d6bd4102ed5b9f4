"""A picture set: labelled uint8 pictures of one size, with class names and a stable name for each picture."""

import functools
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import numpy as np

from alexnet.data.decode import refit
from alexnet.errors import InputError

MEMORY_LIMIT = 2**30
"""Sets whose pictures take fewer bytes than this are kept in memory."""


class PictureSet(ABC):
    """Pictures with labels; what a subclass adds is where the pictures come from.

    Pictures are uint8, height × width × channels, all of one size; labels are int64 indices into `classes`.
    """

    in_memory = False

    def __init__(
        self, labels: np.ndarray, classes: Sequence[str], names: Sequence[str], channels: int, size: tuple[int, int]
    ) -> None:
        self.labels = np.asarray(labels, dtype=np.int64)
        self.classes = tuple(classes)
        self.names = tuple(names)
        self.channels = channels
        self.size = size
        """(height, width) in pixels."""
        if len(self.names) != len(self.labels):
            raise InputError(f"{len(self.names)} names for {len(self.labels)} labels")
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise InputError(f"labels {self.labels.min()}–{self.labels.max()} for {len(self.classes)} classes")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """Picture (uint8 H×W×C) and label."""
        return self.batch(np.array([range(len(self))[index]]))[0], int(self.labels[index])

    @abstractmethod
    def batch(self, indices: np.ndarray) -> np.ndarray:
        """Pictures at `indices` (int64 [n]), uint8 n × height × width × channels, in that order."""

    @abstractmethod
    def subset(self, indices: np.ndarray) -> "PictureSet":
        """The pictures at `indices` (int64 [n]) as a set of their own, with the same classes."""

    @property
    @abstractmethod
    def digests(self) -> np.ndarray:
        """SHA-256 of each picture as it was stored, uint8 n × 32; equal rows are duplicates."""

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 over each picture's name, class name and content, in the set's order."""
        total = hashlib.sha256()
        for name, label, digest in zip(self.names, self.labels, self.digests, strict=True):
            total.update(f"{name}\0{self.classes[label]}\0".encode(errors="surrogateescape") + digest.tobytes())
        return total.hexdigest()

    def relabelled(self, classes: Sequence[str], kind: str = "network") -> Self:
        """Changes the labels, in place, to indices into `classes`, joined by class name; returns the set.

        Raises InputError when a picture's class is not among them: the `kind` (who owns `classes`) never saw it.
        """
        number = {name: index for index, name in enumerate(classes)}
        lacking = [self.classes[label] for label in np.unique(self.labels) if self.classes[label] not in number]
        if lacking:
            listed = ", ".join(repr(name) for name in lacking[:5]) + (", …" if len(lacking) > 5 else "")
            known = ", ".join(list(number)[:10]) + (", …" if len(number) > 10 else "")
            raise InputError(f"the pictures have classes that the {kind} never saw: {listed}; it knows: {known}")
        self.labels = np.array([number.get(name, -1) for name in self.classes], dtype=np.int64)[self.labels]
        self.classes = tuple(classes)
        self.__dict__.pop("fingerprint", None)
        return self


class ArrayPictures(PictureSet):
    """Pictures in memory: `images` is uint8 n × height × width × channels."""

    in_memory = True

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        classes: Sequence[str],
        names: Sequence[str],
        digests: np.ndarray | None = None,
    ) -> None:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
            raise InputError(f"pictures must be uint8 n×H×W×1 or n×H×W×3, not {images.dtype} {images.shape}")
        if len(images) != len(labels):
            raise InputError(f"{len(images)} pictures for {len(labels)} labels")
        super().__init__(labels, classes, names, images.shape[3], images.shape[1:3])
        self.images = images
        self._digests = digests

    def batch(self, indices: np.ndarray) -> np.ndarray:
        return self.images[indices]

    def subset(self, indices: np.ndarray) -> "ArrayPictures":
        names = [self.names[index] for index in indices]
        digests = None if self._digests is None else self._digests[indices]
        return ArrayPictures(self.images[indices], self.labels[indices], self.classes, names, digests)

    @property
    def digests(self) -> np.ndarray:
        if self._digests is None:
            self._digests = stack_digests([hashlib.sha256(image.tobytes()).digest() for image in self.images])
        return self._digests


class RefittedPictures(PictureSet):
    """Another set with other channels or size, by the decoder's rules, computed when asked for."""

    def __init__(self, base: PictureSet, channels: int, size: tuple[int, int], fit: str) -> None:
        super().__init__(base.labels, base.classes, base.names, channels, size)
        self.base = base
        self.fit = fit

    def batch(self, indices: np.ndarray) -> np.ndarray:
        pictures = self.base.batch(indices)
        if not len(pictures):
            return np.empty((0, *self.size, self.channels), np.uint8)
        return np.stack(list(pool().map(lambda one: refit(one, self.channels, self.size, self.fit), pictures)))

    def subset(self, indices: np.ndarray) -> "RefittedPictures":
        return RefittedPictures(self.base.subset(indices), self.channels, self.size, self.fit)

    @property
    def digests(self) -> np.ndarray:
        return self.base.digests


def refitted(pictures: PictureSet, channels: int, size: tuple[int, int], fit: str) -> PictureSet:
    """The set with these channels and this size: itself when it has them already, in memory when that is small."""
    if (channels, size) == (pictures.channels, tuple(pictures.size)):
        return pictures
    result = RefittedPictures(pictures, channels, size, fit)
    if len(pictures) * channels * size[0] * size[1] >= MEMORY_LIMIT:
        return result
    images = result.batch(np.arange(len(pictures)))
    return ArrayPictures(images, result.labels, result.classes, result.names, result.digests)


def stack_digests(digests: list[bytes]) -> np.ndarray:
    """SHA-256 digests as the rows of a uint8 array."""
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)


@functools.cache
def pool() -> ThreadPoolExecutor:
    """The threads that decode: Pillow frees Python's lock while it works."""
    return ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
