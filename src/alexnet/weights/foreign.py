"""Weights as another program stored them, once read: the same shape of thing whatever the file was."""

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from alexnet.artifacts.card import Card
from alexnet.errors import InputError, escaped

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
        line = " ".join(reason.split())
        return InputError(f"{str(self.path)!r} {escaped(line)}")

    def damaged(self, error: Exception) -> InputError:
        """An InputError about what a reader met in this file."""
        return self.wrong(f"is damaged or cut short ({type(error).__name__}: {str(error)[:200]})")


class Budget:
    """What one file may make of its content, counted before it is made: MAX_NUMBERS, however often it names them."""

    def __init__(self, source: Source):
        self._source, self._spent = source, 0

    def take(self, count: int) -> None:
        """Counts numbers that are about to be made; InputError when the file claims too many."""
        self._spent += count
        if self._spent > MAX_NUMBERS:
            raise self._source.wrong(f"claims {self._spent:,} numbers, more than any network of this family has")

    def floats(self, array: np.ndarray) -> np.ndarray:
        """The array as float32; shared where it is that already."""
        self.take(array.size)
        return array.astype(np.float32, copy=False)


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
    """In which order the first dense layer's inputs count channels, rows and columns: 'NCHW', 'NHWC', or '', where the
    file does not say."""
    prefer: tuple[str, ...] = ()
    """Networks that files of this kind hold, when several of the catalog have these shapes."""
    pool_first: bool | None = None
    """Whether pooling precedes normalization; None: the file does not say."""
    lrn: tuple[int, float, float, float] | None = None
    """Size, alpha divided by size, beta and k of the normalization, where the file says."""
    names: dict[str, str] = field(default_factory=dict)
    """Layers as the file names them, where `layers` cuts what wraps them ('module.')."""
    taken: str = ""
    """Which of several things in the file these weights are; empty where it holds nothing else."""
    left: tuple[str, ...] = ()
    """Tensors of the file that are not of the network and were left out."""
    card: Card | None = None
    """Of our own files: the card beside it; None: there is none."""
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
    parts = re.split(r"(\d+)", str(name))
    digits = [part.lstrip("0") if place % 2 else part for place, part in enumerate(parts)]
    return [(len(part) if place % 2 else 0, part) for place, part in enumerate(digits)]


def check(source: Source, layers: dict[str, Arrays]) -> None:
    """InputError unless every tensor has numbers, all of them finite, and a shape that layers have.

    What no reader has to ask of its own format again.
    """
    if not layers:
        raise source.wrong("holds no weights")
    for layer, arrays in layers.items():
        if len(layer) > 200:
            raise source.wrong(f"names a layer in {len(layer):,} characters: {layer[:40]!r}…")
        for role, array in arrays.items():
            name = f"{layer}.{role}"[:80]
            if array.ndim > 4 or not array.size or (role == "weight" and not array.ndim):
                shape = "×".join(map(str, array.shape)) or "one number"
                raise source.wrong(f"holds {name!r} of the shape {shape[:80]}, which no layer of this family has")
            bad = array.size - np.count_nonzero(np.isfinite(array))
            if bad:
                raise source.wrong(f"holds {bad:,} numbers in {layer}.{role} that are not finite")
