"""What is done to rows of features before they are written: column means off, principal components, unit length."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.artifacts import store
from alexnet.errors import InputError, counted
from alexnet.inference.feature_table import Layer

_MOST = 12_000  # columns, or rows if they are fewer, of a matrix whose eigenvectors are computed: 1.2 GB


@dataclass(frozen=True)
class Transform:
    """In this order: `center` takes each column's mean off, `pca` keeps so many principal components of the centered
    rows (signs such that each component's largest entry is positive), `l2` divides each row by its length."""

    center: bool = False
    pca: int | None = None
    l2: bool = False


NOTHING = Transform()


@dataclass
class Fitted:
    """What a transform took from the images, without which the same cannot be done to others."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    """'LAYER/mean' float32 [width], 'LAYER/components' float32 [N, width]."""
    said: dict[str, Any] = field(default_factory=dict)
    """For the provenance."""

    def save(self, out: Path) -> Path:
        """Writes the arrays beside the feature file."""
        import torch

        path = beside(out)
        store.save(path, {name: torch.from_numpy(array) for name, array in self.arrays.items()})
        return path


def beside(out: Path) -> Path:
    """F.transform.safetensors, where the means and components of F lie."""
    return out.with_name(out.name + ".transform.safetensors")


def fit(layers: Mapping[str, Layer], transform: Transform, count: int) -> tuple[dict[str, Layer], Fitted]:
    """The layers transformed, block by block when they are read, and what was taken from them."""
    fitted, result = Fitted(), {}
    for name, layer in layers.items():
        arrays = _fit_one(layer, transform, count, name, fitted)
        fitted.arrays |= {f"{name}/{what}": array for what, array in arrays.items()}
        shape = (transform.pca,) if transform.pca else layer.shape
        result[name] = Layer(shape, _Blocks(layer, transform, arrays, shape)) if transform != NOTHING else layer
    return result, fitted


def apply(values: np.ndarray, transform: Transform, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Rows n × … as transformed, with the 'mean' and 'components' that were taken from the images of a file."""
    rows = values.reshape(len(values), -1).astype(np.float32)
    if "mean" in arrays:
        rows = rows - arrays["mean"]
    if "components" in arrays:
        rows = rows @ arrays["components"].T
    if transform.l2:
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return rows if transform.pca else rows.reshape(values.shape)


@dataclass
class _Blocks:
    layer: Layer
    transform: Transform
    arrays: dict[str, np.ndarray]
    shape: tuple[int, ...]

    def __call__(self) -> Iterator[np.ndarray]:
        for block in self.layer.blocks():
            yield apply(block, self.transform, self.arrays).astype(np.float32)


def _fit_one(layer: Layer, transform: Transform, count: int, name: str, fitted: Fitted) -> dict[str, np.ndarray]:
    if not transform.center and not transform.pca:
        return {}
    total = np.zeros(layer.width)
    for block in layer.blocks():
        total += block.reshape(len(block), -1).sum(0, dtype=np.float64)
    mean = total / count
    arrays = {"mean": mean.astype(np.float32)}
    if transform.pca:
        components, share = _components(layer, mean, transform.pca, count, name)
        arrays["components"] = components.astype(np.float32)
        fitted.said.setdefault("variance_kept", {})[name] = share
    return arrays


def check_components(name: str, shape: tuple[int, ...], wanted: int, count: int) -> None:
    """InputError unless so many principal components can be taken of `count` images' features."""
    width = math.prod(shape)
    most = min(count - 1, width)
    if not 1 <= wanted <= most:
        raise InputError(
            f"--pca {wanted}: {counted(count, 'image')} with {width:,} features ({name}) have at most "
            f"{counted(max(0, most), 'component')}"
        )
    if min(count, width) > _MOST:
        raise InputError(f"--pca: {name} has {width:,} features; pool it first (--pool mean)")


def _components(layer: Layer, mean: np.ndarray, wanted: int, count: int, name: str) -> tuple[np.ndarray, float]:
    """The first principal components, [wanted, width], and the share of the variance that they keep; exact.

    From the covariance of the columns, or, when the images are fewer, from the products of the rows.
    """
    from scipy.linalg import eigh

    check_components(name, layer.shape, wanted, count)
    if layer.width <= count:
        covariance = np.zeros((layer.width, layer.width))
        for block in layer.blocks():
            centered = block.reshape(len(block), -1) - mean
            covariance += centered.T @ centered
        first = layer.width - wanted
        values, vectors = eigh(covariance, subset_by_index=[first, layer.width - 1])
        components, total = vectors.T[::-1], float(np.trace(covariance))
    else:
        rows = np.concatenate([block.reshape(len(block), -1) for block in layer.blocks()]) - mean
        values, vectors = eigh(rows @ rows.T, subset_by_index=[count - wanted, count - 1])
        total = float((rows**2).sum())
        components = (rows.T @ vectors / np.sqrt(np.maximum(values, 1e-30))).T[::-1]
    signs = np.sign(components[np.arange(wanted), np.abs(components).argmax(1)])
    return components * signs[:, None], float(values.sum() / total) if total else 1.0
