"""A picture set: labelled uint8 pictures of one size, with class names and a stable name for each picture."""

import copy
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
BLOCK = 1024
"""Pictures that are moved or refitted at a time."""


class PictureSet(ABC):
    """Pictures with labels; what a subclass adds is where the pictures come from.

    Pictures are uint8, height × width × channels, all of one size; labels are int64 indices into `classes`.
    `digests` is the SHA-256 of each picture as it was stored, uint8 n × 32; None: of its pixels, when asked for.
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
        self.labels = np.asarray(labels, dtype=np.int64)
        self.classes = tuple(classes)
        self.names = tuple(names)
        """A name for each picture that stays the same from run to run: its file's, or the file's and its number."""
        self.channels = channels
        self.size = size
        """(height, width) in pixels."""
        self._digests = digests
        if len(self.names) != len(self.labels):
            raise InputError(f"{len(self.names)} names for {len(self.labels)} labels")
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise InputError(f"labels {self.labels.min()}–{self.labels.max()} for {len(self.classes)} classes")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def bytes(self) -> int:
        """What all pictures take when they are decoded."""
        return len(self) * self.size[0] * self.size[1] * self.channels

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """Picture (uint8 H×W×C) and label."""
        return self.batch(np.array([range(len(self))[index]]))[0], int(self.labels[index])

    @abstractmethod
    def batch(self, indices: np.ndarray) -> np.ndarray:
        """Pictures at `indices` (int64 [n]), uint8 n × height × width × channels, in that order."""

    def subset(self, indices: np.ndarray) -> Self:
        """The pictures at `indices` (int64 [n]) as a set of their own, with the same classes."""
        part = copy.copy(self)
        vars(part).pop("fingerprint", None)
        part.labels = self.labels[indices]
        part.names = tuple(self.names[index] for index in indices)
        part._digests = None if self._digests is None else self._digests[indices]
        return part

    @property
    def digests(self) -> np.ndarray:
        """SHA-256 of each picture, uint8 n × 32; equal rows are duplicates."""
        if self._digests is None:
            pictures = (self.batch(np.array([index]))[0] for index in range(len(self)))
            self._digests = stack_digests([hashlib.sha256(picture.tobytes()).digest() for picture in pictures])
        return self._digests

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 over each picture's name, class name and content, in the set's order."""
        total = hashlib.sha256()
        for name, label, digest in zip(self.names, self.labels, self.digests, strict=True):
            total.update(f"{name}\0{self.classes[label]}\0".encode(errors="surrogateescape") + digest.tobytes())
        return total.hexdigest()

    def relabelled(self, classes: Sequence[str], kind: str = "network") -> Self:
        """The same pictures with labels into `classes`, which a `kind` of thing knows; joined by class name.

        Raises InputError when a picture's class is not among them.
        """
        number = {name: index for index, name in enumerate(classes)}
        unseen = [self.classes[label] for label in np.unique(self.labels) if self.classes[label] not in number]
        if unseen:
            raise InputError(
                f"the pictures have classes that the {kind} never saw: {_some(unseen)}; it knows: {_some(classes)}"
            )
        part = copy.copy(self)
        part.labels = np.array([number.get(name, -1) for name in self.classes], dtype=np.int64)[self.labels]
        part.classes = tuple(classes)
        return part


class ArrayPictures(PictureSet):
    """Pictures in memory: `images` is uint8 n × height × width × channels."""

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
        height, width, channels = images.shape[1:]
        super().__init__(labels, classes, names, channels=channels, size=(height, width), digests=digests)
        self.images = images

    def batch(self, indices: np.ndarray) -> np.ndarray:
        return self.images[indices]

    def subset(self, indices: np.ndarray) -> Self:
        part = super().subset(indices)
        part.images = self.images[indices]
        return part

    def closed_up(self, indices: np.ndarray) -> Self:
        """As `subset` by ascending indices, in the same memory: this set's own pictures are lost."""
        part = super().subset(indices)
        for start in range(0, len(indices), BLOCK):  # index k of an ascending list is at least k: none is overwritten
            rows = indices[start : start + BLOCK]
            self.images[start : start + len(rows)] = self.images[rows]
        part.images = self.images[: len(indices)]
        return part


class RefittedPictures(PictureSet):
    """Another set with other channels or size, by the decoder's rules, computed when asked for."""

    def __init__(self, base: PictureSet, channels: int, size: tuple[int, int], fit: str) -> None:
        super().__init__(base.labels, base.classes, base.names, channels=channels, size=size, digests=base.digests)
        self.base = base
        self.fit = fit
        self.rows = np.arange(len(base))

    def batch(self, indices: np.ndarray) -> np.ndarray:
        out = np.empty((len(indices), *self.size, self.channels), np.uint8)
        for start in range(0, len(indices), BLOCK):
            own = self.base.batch(self.rows[indices[start : start + BLOCK]])
            for place, one in enumerate(pool().map(lambda p: refit(p, self.channels, self.size, self.fit), own), start):
                out[place] = one
        return out

    def subset(self, indices: np.ndarray) -> Self:
        part = super().subset(indices)
        part.rows = self.rows[indices]
        return part


def parted(pictures: PictureSet, kept: np.ndarray, taken: np.ndarray) -> tuple[PictureSet, PictureSet]:
    """The set in two, by ascending indices; `pictures` itself is used up, so that no picture is held twice."""
    part = pictures.subset(taken)
    if not isinstance(pictures, ArrayPictures) or not pictures.images.flags.writeable:
        return pictures.subset(kept), part
    return pictures.closed_up(kept), part


def refitted(pictures: PictureSet, channels: int, size: tuple[int, int], fit: str) -> PictureSet:
    """The set with these channels and this size: itself when it has them already, in memory when that is small."""
    if (channels, size) == (pictures.channels, tuple(pictures.size)):
        return pictures
    result = RefittedPictures(pictures, channels, size, fit)
    return result if result.bytes >= MEMORY_LIMIT else held(result)


def held(pictures: PictureSet) -> ArrayPictures:
    """The same set in memory."""
    images = pictures.batch(np.arange(len(pictures)))
    return ArrayPictures(images, pictures.labels, pictures.classes, pictures.names, pictures.digests)


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
