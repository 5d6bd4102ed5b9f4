"""Features with the names of their images and where they come from: what every feature file holds."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.errors import InputError

ROWS = 1024
"""Rows that are moved at a time."""


@dataclass
class Layer:
    """One layer's features, which may lie on the disk."""

    shape: tuple[int, ...]
    """Of one image's features."""
    blocks: Callable[[], Iterator[np.ndarray]]
    """The rows in order, float32, in blocks of at most ROWS."""

    @property
    def width(self) -> int:
        return int(np.prod(self.shape))


@dataclass
class Table:
    """What is written."""

    layers: Mapping[str, Layer]
    names: list[str]
    labels: np.ndarray
    """int64 [n]; −1: not known."""
    classes: tuple[str, ...]
    digests: np.ndarray
    """uint8 n × 32: SHA-256 of each image."""
    provenance: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def provenance_json(self) -> str:
        return json.dumps(self.provenance, ensure_ascii=True)

    @property
    def hex_digests(self) -> list[str]:
        return [row.tobytes().hex() for row in self.digests]


@dataclass
class Features:
    """What is read; of a file of another program perhaps only the numbers."""

    path: Path
    layers: dict[str, np.ndarray]
    """float32 or float64 n × …, perhaps on the disk."""
    names: list[str] | None = None
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    digests: list[str] | None = None
    """Hexadecimal SHA-256 of each image."""
    provenance: dict[str, Any] | None = None

    def layer(self, name: str | None = None) -> np.ndarray:
        """A layer's features as rows, n × numbers; None: the only one, or fc7."""
        if name is None:
            name = next(iter(self.layers)) if len(self.layers) == 1 else "fc7"
        if name not in self.layers:
            raise InputError(f"{str(self.path)!r} has no layer {name!r}; it has: {', '.join(self.layers)}")
        values = self.layers[name]
        return values.reshape(len(values), -1)

    def verify(self) -> None:
        """InputError when the numbers are not those that the provenance's SHA-256 is of."""
        said = (self.provenance or {}).get("sha256")
        if not isinstance(said, dict):
            return
        for name, values in self.layers.items():
            if name in said and said[name] != digest(_blocks(values)):
                raise InputError(
                    f"{str(self.path)!r} is not as it was written: the SHA-256 of {name} does not fit its record"
                )


def digest(blocks: Iterator[np.ndarray]) -> str:
    """Hexadecimal SHA-256 of the numbers as little-endian float32, in C order."""
    total = hashlib.sha256()
    for block in blocks:
        total.update(np.ascontiguousarray(block, "<f4").data)
    return total.hexdigest()


def in_memory(values: np.ndarray) -> Layer:
    return Layer(values.shape[1:], lambda: _blocks(values))


def _blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(values), ROWS):
        yield np.asarray(values[start : start + ROWS], np.float32)
