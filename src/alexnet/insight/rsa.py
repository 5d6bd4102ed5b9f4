"""Representational similarity: dissimilarity matrices (RDMs), how they agree, and CKA.

Kriegeskorte et al. 2008 for RSA; Kornblith et al. 2019 (arXiv 1905.00414) for CKA, in its debiased form (Song et al.
2012, as thingsvision's and the authors' code have it). parity/test_rsa.py compares with rsatoolbox.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alexnet.errors import InputError, unknown
from alexnet.insight import view as views
from alexnet.insight.plots import INK, drawable

DISTANCES = ("correlation", "cosine", "euclidean")
COMPARISONS = ("spearman", "kendall", "pearson", "cka", "rbf-cka")
MOST = 5_000
"""Images of a matrix at most: 200 MB in float64."""


def rdm(rows: np.ndarray, distance: str = "correlation") -> np.ndarray:
    """float64 n × n dissimilarities of n rows of features.

    correlation: 1 − Pearson's r; cosine: 1 − cosine; euclidean: the length of the difference. InputError for another
    distance, fewer than 3 rows, and rows that have no direction (all numbers alike).
    """
    if distance not in DISTANCES:
        raise unknown("distance", distance, DISTANCES)
    x = rows.reshape(len(rows), -1).astype(np.float64)
    if not 3 <= len(x) <= MOST:
        raise InputError(f"a dissimilarity matrix needs 3 to {MOST:,} images, not {len(x):,}")
    if distance == "euclidean":
        squares = (x**2).sum(1)
        return np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * x @ x.T, 0)) * (1 - np.eye(len(x)))
    if distance == "correlation":
        x = x - x.mean(1, keepdims=True)
    length = np.linalg.norm(x, axis=1)
    if not (length > 0).all():
        raise InputError(f"image {int(np.argmin(length))} has constant features: its {distance} is not defined")
    x /= length[:, None]
    return (1 - np.clip(x @ x.T, -1, 1)) * (1 - np.eye(len(x)))


def compare(one: np.ndarray, other: np.ndarray, how: str = "spearman") -> float:
    """The agreement of two RDMs (their parts above the diagonal): Spearman's, Kendall's (tau-b) or Pearson's."""
    from scipy import stats

    functions = {"spearman": stats.spearmanr, "kendall": stats.kendalltau, "pearson": stats.pearsonr}
    if how not in functions:
        raise unknown("comparison", how, functions)
    if one.shape != other.shape:
        raise InputError(f"the matrices are of {len(one)} and of {len(other)} images; they must be of the same ones")
    upper = np.triu_indices(len(one), 1)
    return float(functions[how](one[upper], other[upper])[0])


def bootstrap(
    one: np.ndarray, other: np.ndarray, how: str = "spearman", draws: int = 200, seed: int = 0
) -> tuple[float, float]:
    """A 95 % interval of `compare`: images drawn with replacement; pairs of an image with itself are left out."""
    random, found = np.random.default_rng(seed), []
    from scipy import stats

    functions = {"spearman": stats.spearmanr, "kendall": stats.kendalltau, "pearson": stats.pearsonr}
    for _ in range(draws):
        chosen = random.integers(0, len(one), len(one))
        i, j = np.triu_indices(len(one), 1)
        i, j = chosen[i], chosen[j]
        kept = i != j
        found.append(float(functions[how](one[i[kept], j[kept]], other[i[kept], j[kept]])[0]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def cka(one: np.ndarray, other: np.ndarray, kernel: str = "linear") -> float:
    """Debiased centered kernel alignment of two sets of rows over the same images.

    kernel: 'linear', or 'rbf' with the median distance as its width. InputError for fewer than 4 images.
    """
    if len(one) != len(other) or len(one) < 4:
        raise InputError(f"CKA needs the same images, 4 or more, not {len(one)} and {len(other)}")
    first, second = (_kernel(x.reshape(len(x), -1).astype(np.float64), kernel) for x in (one, other))
    return float(_hsic(first, second) / np.sqrt(_hsic(first, first) * _hsic(second, second)))


def _kernel(x: np.ndarray, kernel: str) -> np.ndarray:
    if kernel == "linear":
        return x @ x.T
    if kernel != "rbf":
        raise unknown("kernel", kernel, ("linear", "rbf"))
    squares = (x**2).sum(1)
    distance = np.maximum(squares[:, None] + squares[None] - 2 * x @ x.T, 0)
    return np.exp(-0.5 * distance / np.median(distance[~np.eye(len(x), dtype=bool)]))


def _hsic(one: np.ndarray, other: np.ndarray) -> float:
    """The unbiased estimator (Song et al. 2012, equation 5), times n (n − 3)."""
    n, k, other = len(one), one.copy(), other.copy()
    np.fill_diagonal(k, 0)
    np.fill_diagonal(other, 0)
    shared = k.sum() * other.sum() / ((n - 1) * (n - 2)) - 2 * (k.sum(0) @ other.sum(0)) / (n - 2)
    return float((k * other).sum() + shared)


@dataclass(frozen=True)
class Analysis:
    """Sets of features against each other."""

    names: tuple[str, ...]
    how: str
    table: np.ndarray
    """float64 sets × sets."""
    images: int

    def to_json(self) -> dict[str, object]:
        return {"names": list(self.names), "comparison": self.how, "images": self.images, "table": self.table.tolist()}


def analyze(
    sets: dict[str, np.ndarray], how: str = "spearman", distance: str = "correlation", given: Sequence[str] = ()
) -> Analysis:
    """Every set of rows with every other. `given` names those that are RDMs already (n × n).

    InputError when the sets are not of the same number of images, and for CKA of a bare RDM.
    """
    if how not in COMPARISONS:
        raise unknown("comparison", how, COMPARISONS)
    counts = {name: len(values) for name, values in sets.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        raise InputError(f"the features must be of the same images: {told}")
    if how.endswith("cka"):
        if given:
            raise InputError(f"CKA needs features; {given[0]} is a dissimilarity matrix: choose spearman")
        kernel = "rbf" if how.startswith("rbf") else "linear"
        table = np.array([[cka(a, b, kernel) for b in sets.values()] for a in sets.values()])
    else:
        rdms = [values if name in given else rdm(values, distance) for name, values in sets.items()]
        table = np.array([[compare(a, b, how) for b in rdms] for a in rdms])
    return Analysis(tuple(sets), how, table, next(iter(counts.values())))


def checked_rdm(values: np.ndarray, origin: str) -> np.ndarray:
    """A user's own RDM. InputError unless it is square, symmetric, finite and zero on its diagonal."""
    ok = values.ndim == 2 and values.shape[0] == values.shape[1] and np.isfinite(values).all()
    if not ok or not np.allclose(values, values.T, atol=1e-5) or not np.allclose(np.diag(values), 0, atol=1e-5):
        raise InputError(f"{origin} is no dissimilarity matrix: it must be square, symmetric and 0 on its diagonal")
    return values.astype(np.float64)


def draw(found: Analysis, out: Path, title: str = "") -> None:
    """The table as a heat map with its numbers."""
    side = max(2.8, 0.62 * len(found.names) + 1.2)
    figure, (axes,) = views.panels(1, 1, title, side + 0.8, side)
    axes.set_axis_on()
    axes.imshow(found.table, vmin=min(0, float(found.table.min())), vmax=1, cmap="viridis")
    names = [drawable(name, 18) for name in found.names]
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", size=8)
    axes.set_yticks(range(len(names)), names, size=8)
    axes.tick_params(length=0, colors=INK)
    for i, j in np.ndindex(*found.table.shape):
        value = float(found.table[i, j])
        axes.text(j, i, f"{value:.2f}", ha="center", va="center", size=7.5, color="white" if value < 0.7 else INK)
    axes.set_xlabel(f"{found.how}, {found.images:,} images", size=8, color=INK)
    views.write(figure, out)
