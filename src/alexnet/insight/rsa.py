"""Representational similarity: dissimilarity matrices (RDMs), how they agree, and CKA.

Kriegeskorte et al. 2008 for RSA; Kornblith et al. 2019 (arXiv 1905.00414) for CKA, in its debiased form (Song et al.
2012, as thingsvision's and the authors' code have it). parity/test_rsa.py compares with rsatoolbox.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alexnet.errors import InputError, unknown
from alexnet.insight import view as views
from alexnet.insight.fonts import drawable
from alexnet.insight.plots import FAINT, INK, PALETTE

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


Pair = tuple[str, str, float, tuple[float, float] | None]
"""Two sets, their agreement, and its interval, where it was asked for."""


@dataclass(frozen=True)
class Analysis:
    """Sets of features against each other."""

    names: tuple[str, ...]
    how: str
    table: np.ndarray
    """float64 sets × sets."""
    images: int
    intervals: np.ndarray | None = None
    """float64 sets × sets × 2: 95 %, where they were asked for."""

    def value(self, one: str, other: str) -> tuple[float, tuple[float, float] | None]:
        """The agreement of two sets, and its interval."""
        place = self.names.index(one), self.names.index(other)
        bounds = None if self.intervals is None else (float(each) for each in self.intervals[place])
        return float(self.table[place]), None if bounds is None else (next(bounds), next(bounds))

    @property
    def pairs(self) -> Iterator[Pair]:
        """Every two sets, once."""
        for one, other in combinations(self.names, 2):
            yield one, other, *self.value(one, other)

    def to_json(self) -> dict[str, object]:
        more = {} if self.intervals is None else {"intervals": self.intervals.tolist()}
        return {
            "names": list(self.names),
            "comparison": self.how,
            "images": self.images,
            "table": self.table.tolist(),
            **more,
        }


def analyze(
    sets: dict[str, np.ndarray],
    how: str = "spearman",
    distance: str = "correlation",
    given: Sequence[str] = (),
    draws: int = 0,
) -> Analysis:
    """Every set of rows with every other. `given` names those that are RDMs already (n × n); `draws`: of a bootstrap
    over the images, for 95 % intervals.

    InputError when the sets are not of the same number of images, and for CKA of a bare RDM or with intervals.
    """
    if how not in COMPARISONS:
        raise unknown("comparison", how, COMPARISONS)
    counts = {name: len(values) for name, values in sets.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        raise InputError(f"the features must be of the same images: {told}")
    names, intervals = tuple(sets), None
    if how.endswith("cka"):
        if given:
            raise InputError(f"CKA needs features; {given[0]} is a dissimilarity matrix: choose spearman")
        if draws:
            raise InputError("bootstrap intervals are those of RSA; an image drawn twice would count as alike in CKA")
        kernel = "rbf" if how.startswith("rbf") else "linear"
        table = np.array([[cka(a, b, kernel) for b in sets.values()] for a in sets.values()])
    else:
        rdms = [values if name in given else rdm(values, distance) for name, values in sets.items()]
        table, intervals = np.eye(len(names)), np.ones((len(names), len(names), 2))
        for i, j in zip(*np.triu_indices(len(names), 1), strict=True):
            table[i, j] = table[j, i] = compare(rdms[i], rdms[j], how)
            if draws:
                intervals[i, j] = intervals[j, i] = bootstrap(rdms[i], rdms[j], how, draws)
    return Analysis(names, how, table, next(iter(counts.values())), intervals if draws else None)


def noise(
    seeds: Sequence[dict[str, np.ndarray]], how: str = "spearman", distance: str = "correlation"
) -> dict[str, tuple[float, float]]:
    """By layer the least and the greatest agreement between two of several seeds of one network, which is what training
    noise alone leaves. seeds: for each the features by layer. InputError for fewer than two, and for two with equal
    features: one seed twice."""
    if len(seeds) < 2:
        raise InputError("a noise band needs the features of two seeds or more")
    layers = [name for name in seeds[0] if all(name in each for each in seeds)]
    for (i, one), (j, other) in combinations(enumerate(seeds, 1), 2):
        if layers and all(np.array_equal(one[name], other[name]) for name in layers):
            raise InputError(f"numbers {i} and {j} of the seeds have the same features: a noise band needs two seeds")
    found = {}
    for layer in layers:
        table = analyze({str(n): each[layer] for n, each in enumerate(seeds)}, how, distance).table
        values = table[np.triu_indices(len(seeds), 1)]
        found[layer] = (float(values.min()), float(values.max()))
    return found


def checked_rdm(values: np.ndarray, origin: str) -> np.ndarray:
    """A user's own RDM. InputError unless it is square, symmetric, finite and zero on its diagonal."""
    ok = values.ndim == 2 and values.shape[0] == values.shape[1] and np.isfinite(values).all()
    if not ok or not np.allclose(values, values.T, atol=1e-5) or not np.allclose(np.diag(values), 0, atol=1e-5):
        raise InputError(f"{origin} is no dissimilarity matrix: it must be square, symmetric and 0 on its diagonal")
    return values.astype(np.float64)


@dataclass(frozen=True)
class Curve:
    """The agreement of a set's layers with something, layer by layer."""

    name: str
    values: dict[str, tuple[float, tuple[float, float] | None]]
    """Layer → agreement and its interval."""


def draw(
    found: Analysis,
    out: Path,
    title: str = "",
    curves: Sequence[Curve] = (),
    band: dict[str, tuple[float, float]] | None = None,
) -> None:
    """The table as a heat map with its numbers; beside it the curves by layer over the seeds' noise band."""
    side = max(3.2, 0.56 * len(found.names) + 1.6)
    figure = Figure(figsize=(side + 0.5 + (4.6 if curves else 0), side + 0.3))
    figure.set_layout_engine("constrained", w_pad=0.08)
    if title:
        figure.suptitle(drawable(title, 100), x=0.01, ha="left", size=10, color=INK, weight="bold")
    axes, *more = figure.subplots(1, 2 if curves else 1, squeeze=False, width_ratios=(side, 4.6) if curves else None)[0]
    _heat(axes, found)
    if curves:
        _by_layer(more[0], found, curves, band or {})
    views.write(figure, out)


def _heat(axes: Axes, found: Analysis) -> None:
    low = min(0.0, float(found.table.min()))
    axes.imshow(found.table, vmin=low, vmax=1, cmap="viridis")
    names = [drawable(name, 18) for name in found.names]
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor", size=8)
    axes.set_yticks(range(len(names)), names, size=8)
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    for i, j in np.ndindex(*found.table.shape):
        value = float(found.table[i, j])
        bright = (value - low) / (1 - low) > 0.6
        axes.text(j, i, f"{value:.2f}", ha="center", va="center", size=7.5, color=INK if bright else "white")
    axes.set_xlabel(f"{found.how}, {found.images:,} images", size=8, color=FAINT)


def _by_layer(axes: Axes, found: Analysis, curves: Sequence[Curve], band: dict[str, tuple[float, float]]) -> None:
    layers = list(dict.fromkeys(layer for each in curves for layer in each.values))
    for number, each in enumerate(curves):
        at = [layers.index(layer) for layer in each.values]
        values = np.array([value for value, _ in each.values.values()])
        bounds = np.array([interval or (value, value) for value, interval in each.values.values()])
        errors = np.clip(np.stack([values - bounds[:, 0], bounds[:, 1] - values]), 0, None)
        color = PALETTE[number % len(PALETTE)]
        axes.errorbar(at, values, errors, color=color, marker="o", ms=4, lw=1.6, elinewidth=1, capsize=2,
                      label=drawable(each.name, 34))  # fmt: skip
    known = [layer for layer in layers if layer in band]
    if known:
        at = [layers.index(layer) for layer in known]
        low, high = zip(*(band[layer] for layer in known), strict=True)
        axes.fill_between(at, low, high, color="#c5ced6", alpha=0.6, lw=0, label="between seeds")
        axes.vlines(at, low, high, color="#c5ced6", lw=4, alpha=0.6)
    axes.set_xticks(range(len(layers)), [drawable(layer, 14) for layer in layers], rotation=40, ha="right", size=8,
                    rotation_mode="anchor")  # fmt: skip
    axes.set_ylabel(found.how, size=8, color=INK)
    axes.set_ylim(top=1.03)
    axes.tick_params(labelsize=8, colors=INK, length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#eef1f4")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
