"""What a linear classifier, and the nearest neighbors, read from each layer of a frozen network."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from alexnet import arguments
from alexnet.artifacts.figures import interval
from alexnet.device import own_settings
from alexnet.errors import InputError, counted
from alexnet.inference.features import want
from alexnet.inference.images import Images
from alexnet.inference.model import Model
from alexnet.insight import view as views
from alexnet.insight.collect import collect, labeled
from alexnet.insight.fonts import drawable
from alexnet.insight.plots import BLUE, FAINT, INK, VERMILION

STRENGTHS = (1e-4, 1e-2, 1.0)
"""Inverse strengths of the probe's L2 penalty; the best on a fifth of the training images is taken."""
FOLDS = 5


@dataclass(frozen=True)
class Probed:
    """What is read from one layer."""

    layer: str
    width: int
    linear: float
    """Top-1 accuracy, 0 to 1, on images that trained no probe."""
    linear_interval: tuple[float, float]
    """95 %, Wilson."""
    knn: float
    knn_interval: tuple[float, float]
    strength: float
    """Of STRENGTHS, the one that was taken (of several folds the last one's)."""


@dataclass(frozen=True)
class Probe:
    layers: tuple[Probed, ...]
    trained_on: int
    measured_on: int
    folds: int
    """0: the dataset's own splits."""
    neighbors: int
    majority: float
    """The accuracy of the most frequent class."""
    skipped: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@own_settings()
def probe(
    model: Model,
    images: Images,
    held_out: Images | None = None,
    layers: Sequence[str] = ("fc7",),
    *,
    pool: str = "mean",
    neighbors: int = 5,
    most: int = 5000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Probe:
    """Top-1 accuracy of a logistic regression and of `neighbors` nearest neighbors (cosine) on each layer's features.

    They are fitted to `images` and measured on `held_out`; None: by stratified cross-validation in FOLDS parts. At most
    `most` images of each are used, evenly spread. Features are standardized by the training images; maps are pooled
    ('mean', 'max', 'none'). InputError when there are too few classes or images.
    """
    wanted = want(model, layers, pool=pool)
    train = collect(model, labeled(images), wanted, most, progress)
    test = collect(model, labeled(held_out), wanted, most, progress) if held_out is not None else None
    parts = _parts(train.images, test.images if test else None, seed)
    neighbors = arguments.whole("neighbors", neighbors)
    if neighbors > (there := min(len(fit) for fit, _ in parts)):
        raise InputError(f"{counted(neighbors, 'neighbor is', 'neighbors are')} not among {there:,} training images")
    rows = []
    for layer in wanted.layers:
        values = train.layers[layer] if test is None else np.concatenate([train.layers[layer], test.layers[layer]])
        labels = np.concatenate([train.images.labels, test.images.labels]) if test else train.images.labels
        rows.append(_probed(layer, values, labels, parts, neighbors, seed))
    labels = test.images.labels if test else train.images.labels
    return Probe(
        tuple(rows),
        len(parts[0][0]),
        len(labels),
        0 if test else len(parts),
        neighbors,
        float(np.unique(labels, return_counts=True)[1].max() / len(labels)),
        train.failed + (test.failed if test else ()),
    )


def _parts(train: Images, test: Images | None, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit on and rows to measure on, of the images one after the other."""
    from sklearn.model_selection import StratifiedKFold

    if test is not None:
        if train.classes != test.classes:
            raise InputError("the images to fit on and those to measure on are of other classes")
        return [(np.arange(len(train)), len(train) + np.arange(len(test)))]
    fewest = int(np.unique(train.labels, return_counts=True)[1].min())
    if fewest < 2:
        raise InputError("without a test split each class needs two images or more, for cross-validation")
    folds = StratifiedKFold(min(FOLDS, fewest), shuffle=True, random_state=seed)
    return list(folds.split(np.zeros(len(train)), train.labels))


def _probed(
    layer: str, values: np.ndarray, labels: np.ndarray, parts: list, neighbors: int, seed: int
) -> Probed:  # fmt: skip
    right, near, strength, count = 0, 0, STRENGTHS[0], 0
    for fit, measure in parts:
        mean, deviation = values[fit].mean(0, dtype=np.float64), values[fit].std(0, dtype=np.float64)
        x = ((values - mean) / np.where(deviation > 1e-8, deviation, 1)).astype(np.float32)
        strength = _best(x[fit], labels[fit], seed)
        right += int((_regression(strength, x[fit], labels[fit]).predict(x[measure]) == labels[measure]).sum())
        near += int((_nearest(values[fit], labels[fit], values[measure], neighbors) == labels[measure]).sum())
        count += len(measure)
    linear, knn = right / count, near / count
    return Probed(
        layer, values.shape[1], linear, interval(linear, count), knn, interval(knn, count), strength
    )  # fmt: skip


def _best(x: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """The strength that does best on a fifth of the training images; the strongest penalty among equals."""
    order = np.random.default_rng(seed).permutation(len(x))
    kept, rest = order[: max(1, len(x) // 5)], order[max(1, len(x) // 5) :]
    if len(np.unique(labels[rest])) < 2:
        return STRENGTHS[0]
    scores = [float((_regression(c, x[rest], labels[rest]).predict(x[kept]) == labels[kept]).mean()) for c in STRENGTHS]
    return STRENGTHS[int(np.argmax(scores))]


def _regression(strength: float, x: np.ndarray, labels: np.ndarray) -> Any:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 200 steps of L-BFGS: further ones move no answer
        return LogisticRegression(C=strength, max_iter=200).fit(x, labels)


def _nearest(train: np.ndarray, labels: np.ndarray, test: np.ndarray, neighbors: int) -> np.ndarray:
    """The class of most of the nearest by cosine; of equally many the nearest one's."""
    from alexnet.insight.similar import Nearest

    found = np.empty(len(test), labels.dtype)
    for start in range(0, len(test), 256):
        block = Nearest(test[start : start + 256], neighbors, "cosine")
        block.add(train, np.arange(len(train)))
        for at, near in enumerate(block.result()):
            own = labels[[row for row, _ in near]]
            names, counts = np.unique(own, return_counts=True)
            most = set(names[counts == counts.max()].tolist())
            found[start + at] = next(label for label in own.tolist() if label in most)
    return found


def draw(found: Probe, out: Path | str, title: str = "") -> None:
    """Accuracy by layer with its 95 % intervals, beside the most frequent class."""
    names = [each.layer for each in found.layers]
    figure = Figure(figsize=(max(4.6, 0.75 * len(names) + 2.2), 3.6))
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    kinds = (("linear probe", "linear", BLUE, -0.06, "o"), (f"{found.neighbors} nearest", "knn", VERMILION, 0.06, "s"))
    for label, key, color, shift, mark in kinds:
        values = np.array([getattr(each, key) for each in found.layers])
        bounds = np.array([getattr(each, f"{key}_interval") for each in found.layers])
        errors = np.abs(np.stack([values - bounds[:, 0], bounds[:, 1] - values]))
        at = np.arange(len(names)) + shift
        axes.errorbar(at, values, errors, color=color, marker=mark, ms=5, lw=1.6, elinewidth=1, capsize=2, label=label)
    axes.axhline(found.majority, color=FAINT, lw=1, ls=(0, (5, 3)), label="most frequent class")
    axes.set_xticks(range(len(names)), [drawable(name, 14) for name in names], size=8, color=INK)
    axes.set_xlim(-0.4, len(names) - 0.6)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.tick_params(labelsize=8, colors=INK, length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#eef1f4")
    how = f"{found.folds}-fold cross-validation" if found.folds else "held out"
    axes.set_ylabel("top-1 accuracy", size=8, color=INK)
    axes.set_xlabel(f"{found.measured_on:,} images, {how}; bars: 95 %", size=8, color=FAINT)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    if title:
        axes.set_title(drawable(title, 70), size=9, color=INK, weight="bold", loc="left")
    views.write(figure, out)
