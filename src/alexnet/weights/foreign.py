"""Weights as another program stored them, once read: the same shape of thing whatever the file was."""

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.errors import InputError

MAX_BYTES = 2 * 2**30
"""The largest file that is read: eight times the largest of these networks in float32."""
MAX_NUMBERS = 150_000_000
"""The most numbers that a file may claim to hold; the largest network of the catalog has 88 million."""

Arrays = dict[str, np.ndarray]
"""One layer's tensors by what they are: weight, bias, running_mean, running_var (as torch names them)."""


@dataclass(frozen=True)
class Source:
    """A file, read once: what is checked, hashed and loaded is the same bytes, whatever happens to the file."""

    path: Path
    content: bytes

    @property
    def sha256(self) -> str:
        return self.digest("sha256")

    def digest(self, algorithm: str) -> str:
        return hashlib.new(algorithm, self.content).hexdigest()

    def wrong(self, reason: str) -> InputError:
        """An InputError about this file."""
        return InputError(f"{str(self.path)!r} {' '.join(reason.split())}")


def read(path: Path | str) -> Source:
    """The file's content. InputError when it is missing, empty, no regular file or larger than any weights."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{str(path)!r} is not a file" if path.exists() else f"no weights at {str(path)!r}")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise InputError(f"{str(path)!r} has {size:,} bytes; no weights of this family need more than 2 GiB")
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read ({error.strerror})") from None
    if not content:
        raise InputError(f"{str(path)!r} is empty")
    if len(content) > MAX_BYTES:
        raise InputError(f"{str(path)!r} grows while it is read")
    return Source(path, content)


@dataclass
class Foreign:
    """What a reader found. Arrays are in our layout: convolutions out × in/groups × h × w, dense layers out × in."""

    kind: str
    """What wrote it: 'npy', 'caffe', 'keras', 'torch' (torchvision's names) or 'own' (ours)."""
    layers: dict[str, Arrays]
    """By the origin's layer name, in the network's order."""
    flatten: str = "NCHW"
    """In which order the first dense layer's inputs count channels, rows and columns: 'NCHW' or 'NHWC'."""
    prefer: tuple[str, ...] = ()
    """Networks that files of this kind hold, when several of the catalog have these shapes."""
    pool_first: bool | None = None
    """Whether pooling precedes normalization; None: the file does not say."""
    lrn: tuple[int, float, float, float] | None = None
    """Size, alpha divided by size, beta and k of the normalization, where the file says."""
    card: dict[str, Any] = field(default_factory=dict)
    """Of our own files: the card beside it."""
    card_path: Path = Path()


def named(arrays: list[np.ndarray]) -> Arrays | None:
    """Tensors in the order in which frameworks list them: weight and bias, or a BatchNorm's four; None: neither."""
    if len(arrays) == 4 and all(array.ndim == 1 for array in arrays):
        return dict(zip(("weight", "bias", "running_mean", "running_var"), arrays, strict=True))
    if len(arrays) in (1, 2) and arrays[0].ndim in (2, 4) and all(array.ndim == 1 for array in arrays[1:]):
        return dict(zip(("weight", "bias"), arrays, strict=False))
    return None


def natural(name: object) -> list[tuple[int, str]]:
    """Sorts conv2 before conv10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(name))]
