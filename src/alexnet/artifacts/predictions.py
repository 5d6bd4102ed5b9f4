"""predictions.npz: what a finished run answered on the images it was evaluated on, to draw its report from anywhere."""

import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from alexnet.data.dataset import Dataset
from alexnet.data.loading.decode import refit
from alexnet.errors import InputError
from alexnet.files import ARCHIVE_ERRORS

T = TypeVar("T")
MAX_BYTES = 2**29
"""Of all arrays together, compressed or not."""
THUMBNAILS = 240
"""Of them at most: the worst mistakes, then images evenly spread."""
SIDE = 64
"""Pixels of a thumbnail's longer side at most."""


@dataclass(frozen=True)
class Predictions:
    """One evaluated split of n images and k classes."""

    split: str
    """validation or test."""
    names: tuple[str, ...]
    labels: np.ndarray
    """int64 [n]: the true classes."""
    predictions: np.ndarray
    """int64 [n]: the likeliest classes."""
    probabilities: np.ndarray
    """float32 [n]: of the likeliest classes."""
    losses: np.ndarray
    """float32 [n]: cross-entropy of the true classes, in nats."""
    confusion: np.ndarray
    """int64 [k, k]: rows true, columns predicted."""
    shown: np.ndarray
    """int64 [m], m ≤ THUMBNAILS: which images have a thumbnail, the worst mistakes first."""
    thumbnails: np.ndarray
    """uint8 [m, height, width, 1 or 3], sides ≤ SIDE."""
    samples: np.ndarray
    """uint8 [s, height, width, 1 or 3]: training images, sides ≤ SIDE."""
    sample_labels: np.ndarray
    """int64 [s]: their classes."""

    def packed(self) -> bytes:
        """The content of predictions.npz."""
        return pack(self, _KINDS)


Kinds = Mapping[str, tuple[str, int]]
"""Array → its type and its dimensions."""

_KINDS: Kinds = {
    "names": ("uint8", 1),
    "labels": ("int64", 1),
    "predictions": ("int64", 1),
    "probabilities": ("float32", 1),
    "losses": ("float32", 1),
    "confusion": ("int64", 2),
    "shown": ("int64", 1),
    "thumbnails": ("uint8", 4),
    "samples": ("uint8", 4),
    "sample_labels": ("int64", 1),
}


def parse(content: bytes, origin: str) -> Predictions:
    """What `packed` gave. InputError, before anything large is made, when it is not that; runs no code from it."""
    return unpack(content, origin, Predictions, _KINDS, _check)


def pack(said: Any, kinds: Kinds) -> bytes:
    """The content of an .npz with these fields of `said`; `names` begins with its split."""
    content = io.BytesIO()
    text = json.dumps([said.split, *said.names]).encode("ascii")
    arrays = {name: getattr(said, name) for name in kinds if name != "names"}
    np.savez_compressed(content, names=np.frombuffer(text, np.uint8), **arrays)
    return content.getvalue()


def unpack(content: bytes, origin: str, kind: Callable[..., T], kinds: Kinds, check: Callable[[T], None]) -> T:
    """What `pack` was given, of class `kind`, once `check` (which raises ValueError) accepts it. Raises InputError."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            if sizes.keys() != {f"{name}.npy" for name in kinds} or sum(sizes.values()) > MAX_BYTES:
                raise ValueError("it holds other arrays, or larger ones")
            arrays = {name: _array(archive.read(f"{name}.npy"), *form) for name, form in kinds.items()}
        split, *names = json.loads(arrays.pop("names").tobytes())
        found = kind(split, tuple(names), **arrays)
        check(found)
    except (TypeError, KeyError, *ARCHIVE_ERRORS) as error:
        raise InputError(f"{origin} does not hold a run's predictions: {' '.join(str(error).split())[:200]}") from None
    return found


def _array(content: bytes, dtype: str, dimensions: int) -> np.ndarray:
    """An .npy file's array. NumPy's own reader allocates what the header claims before it looks for the numbers."""
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array is of another version of .npy")
    shape, columns_first, found = np.lib.format.read_array_header_1_0(file, max_header_size=10_000)
    data = content[file.tell() :]
    if found != np.dtype(dtype) or len(shape) != dimensions or (columns_first and dimensions > 1):
        raise ValueError(f"an array is {found} {shape}, not {dtype} with {dimensions} dimensions")
    if min(shape) < 0 or math.prod(shape) * found.itemsize != len(data):
        raise ValueError("an array is cut short")
    return np.frombuffer(data, found).reshape(shape)


def _check(found: Predictions) -> None:
    n, k = len(found.names), len(found.confusion)
    lengths = {len(each) for each in (found.labels, found.predictions, found.probabilities, found.losses)}
    if lengths != {n} or found.confusion.shape != (k, k):
        raise ValueError("its arrays are not of one length")
    check_shown(found)
    for indices, end in ((found.labels, k), (found.predictions, k), (found.sample_labels, k), (found.shown, n)):
        if indices.size and not 0 <= indices.min() <= indices.max() < end:
            raise ValueError("a class or an image is out of range")


def check_shown(found: Any) -> None:
    """ValueError unless the names are text and the thumbnails are as many and as small as they may be."""
    if not isinstance(found.split, str) or not all(isinstance(name, str) for name in found.names):
        raise ValueError("a name is not text")
    if len(found.shown) != len(found.thumbnails) or len(found.samples) != len(found.sample_labels):
        raise ValueError("its arrays are not of one length")
    if max(len(found.shown), len(found.samples)) > THUMBNAILS:
        raise ValueError("it holds too many thumbnails")
    for images in (found.thumbnails, found.samples):
        if images.size and (max(images.shape[1:3]) > SIDE or images.shape[3] not in (1, 3)):
            raise ValueError("its thumbnails are too large")


def thumbnails(dataset: Dataset, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """The images at `indices`, scaled down to sides of SIDE pixels at most: uint8 m × height × width × channels."""
    height, width = dataset.size
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    images = dataset.batch(np.asarray(indices, np.int64))
    if size == (height, width):
        return images
    small = [refit(image, dataset.channels, size, "squash") for image in images]
    return np.stack(small) if small else np.zeros((0, *size, dataset.channels), np.uint8)
