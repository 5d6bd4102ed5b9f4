"""What predictions are worth, beyond accuracy: per class, balanced, calibrated, with intervals, and side by side.

Everything is computed from labels, predicted classes and the probabilities that they were given, as NumPy arrays of one
length; nothing here needs the network again.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats

from alexnet.artifacts.figures import interval

BINS = 15
"""Of confidence, equally wide: as Guo et al. 2017 ('On calibration of modern neural networks') have them."""
RESAMPLES = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class PerClass:
    """Of each class: fractions float64 [classes], support int64 [classes]. What cannot be known is NaN: the recall of a
    class that no image has, the precision of one that is never predicted, the F1 of one for which both hold
    (scikit-learn's zero_division=nan)."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray
    predicted: np.ndarray
    """int64: how often the class was predicted."""

    def macro(self, name: str) -> float:
        """The mean of 'precision', 'recall' or 'f1' over the classes of which it is known; NaN where there is none."""
        return mean_known(getattr(self, name))


def mean_known(values: np.ndarray) -> float:
    """The mean of the values that are not NaN; NaN where there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def unknown_of(values: np.ndarray, classes: Sequence[str]) -> list[str]:
    """The classes whose value cannot be known, which a mean over classes leaves out."""
    return [name for name, value in zip(classes, values, strict=True) if np.isnan(value)]


def known(value: float) -> float | None:
    """A figure for JSON: null where it cannot be known."""
    return None if math.isnan(value) else float(value)


Lines = list[tuple[str, dict[str, str]]]
"""Sentences with {names}, and what stands there."""


def told_unknown(recall: np.ndarray, f1: np.ndarray, classes: Sequence[str], mean: str) -> Lines:
    """Which classes are left out of `mean`, a mean over the classes that an image has, and of macro F1."""
    unseen, unmet = (unknown_of(values, classes) for values in (recall, f1))
    lines: Lines = [(f"No image has {{names}}: not in {mean}.", {"names": _some(unseen)})] if unseen else []
    if unmet:
        lines.append(("Not in macro F1, as never predicted either: {names}.", {"names": _some(unmet)}))
    return lines


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10:,} more" if len(names) > 10 else "")


def confusion_of(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """int64 [classes, classes]: rows true, columns predicted."""
    return np.bincount(labels * classes + predictions, minlength=classes * classes).reshape(classes, classes)


def per_class(confusion: np.ndarray) -> PerClass:
    """From int64 [classes, classes], rows true, columns predicted."""
    right, support, predicted = np.diagonal(confusion), confusion.sum(1), confusion.sum(0)
    precision, recall = ratio(right, predicted), ratio(right, support)
    return PerClass(precision, recall, ratio(2 * right, support + predicted), support, predicted)


def balanced_accuracy(confusion: np.ndarray) -> float:
    """The mean recall of the classes that are there: what a model that always names one class gets is 1 / classes."""
    return per_class(confusion).macro("recall")


def majority(labels: np.ndarray) -> tuple[int, float]:
    """The most frequent class and its share: the accuracy of always naming it."""
    counts = np.bincount(labels)
    most = int(counts.argmax())
    return most, float(counts[most] / counts.sum())


class Confused(NamedTuple):
    true: int
    predicted: int
    images: int
    share: float
    """Of the true class's images."""


def top_confusions(confusion: np.ndarray, count: int = 10) -> list[Confused]:
    """The most frequent confusions, most frequent first."""
    off = confusion * (1 - np.eye(len(confusion), dtype=confusion.dtype))
    order = np.argsort(-off, axis=None, kind="stable")[:count]
    pairs = [divmod(int(at), len(confusion)) for at in order]
    support = confusion.sum(1)
    return [Confused(i, j, int(off[i, j]), float(off[i, j] / support[i])) for i, j in pairs if off[i, j]]


# Calibration ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy in BINS equal bins; NaN where a bin is empty."""

    confidence: np.ndarray
    """float64 [bins]: mean probability of the predicted class."""
    accuracy: np.ndarray
    """float64 [bins]."""
    count: np.ndarray
    """int64 [bins]."""

    @property
    def ece(self) -> float:
        """Expected calibration error: the mean distance of the two, weighted by images."""
        filled = self.count > 0
        gaps = np.abs(self.confidence[filled] - self.accuracy[filled])
        return float((gaps * self.count[filled]).sum() / self.count.sum())


def reliability(probabilities: np.ndarray, correct: np.ndarray, bins: int = BINS) -> Reliability:
    """`probabilities`: of the predicted classes; a bin holds its upper bound, as Guo et al.'s code has it."""
    place = np.clip(np.ceil(probabilities.astype(np.float64) * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(place, probabilities, minlength=bins) / count
        accuracy = np.bincount(place, correct, minlength=bins) / count
    return Reliability(confidence, accuracy, count)


def fit_temperature(log_probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature T that minimizes the cross-entropy of softmax(log p / T); above 1 softens (Guo et al. 2017).

    `log_probabilities`: float [n, classes], or logits. Searched between 0.05 and 20.
    """
    said = log_probabilities.astype(np.float64)

    def loss(temperature: float) -> float:
        scaled = said / temperature
        return float((np.asarray(special.logsumexp(scaled, 1)) - scaled[np.arange(len(labels)), labels]).mean())

    return least_temperature(loss)


def least_temperature(loss: Callable[[float], float]) -> float:
    """The temperature between 0.05 and 20 at which a loss is least."""
    found = optimize.minimize_scalar(
        lambda log_t: loss(math.exp(log_t)), bounds=(math.log(0.05), math.log(20)), method="bounded"
    )
    return math.exp(found.x)  # pyright: ignore[reportAttributeAccessIssue]


# Rejection ------------------------------------------------------------------------------------------------------------


class Covered(NamedTuple):
    coverage: float
    """Share of the images whose probability reaches the threshold."""
    accuracy: float
    """On those; NaN where there is none."""
    rejected: int


def covered(probabilities: np.ndarray, correct: np.ndarray, threshold: float) -> Covered:
    """What is left when predictions with a probability below `threshold` are rejected."""
    kept = probabilities >= threshold
    accuracy = float(correct[kept].mean()) if kept.any() else math.nan
    return Covered(float(kept.mean()), accuracy, int((~kept).sum()))


# Intervals and tests --------------------------------------------------------------------------------------------------


class Interval(NamedTuple):
    low: float
    high: float


def bootstrap(values: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The percentile bootstrap interval (95 %) of the mean of `values`, one per image."""
    means = _resampled_means(values[None].astype(np.float64), seed, resamples)[0]
    return percentiles(means)


def intervals_of(confusion: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> dict[str, Interval]:
    """Intervals (95 %): of 'accuracy' Wilson's, of 'balanced_accuracy' and 'macro_f1' by bootstrap over images."""
    filled = np.flatnonzero(confusion)
    counts = confusion.reshape(-1)[filled]
    total = int(counts.sum())
    drawn = np.random.default_rng(seed).multinomial(total, counts / total, resamples)
    found: dict[str, list[float]] = {"balanced_accuracy": [], "macro_f1": []}
    sample = np.zeros(confusion.size, np.int64)
    for row in drawn:
        sample[filled] = row
        again = sample.reshape(confusion.shape)
        found["balanced_accuracy"].append(balanced_accuracy(again))
        found["macro_f1"].append(per_class(again).macro("f1"))
    wilson = Interval(*interval(float(np.trace(confusion)) / total, total))
    return {"accuracy": wilson} | {name: spread_of(values) for name, values in found.items()}


class Paired(NamedTuple):
    """Two models on the same images."""

    difference: float
    """Accuracy of the first minus that of the second."""
    low: float
    high: float
    """Of the difference: percentile bootstrap over images, 95 %."""
    only_first: int
    """Images that only the first got right."""
    only_second: int
    p: float
    """McNemar's test that both err alike, in its exact, binomial form."""


def paired(first: np.ndarray, second: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> Paired:
    """`first`, `second`: bool [n], whether each model was right on each of the same images."""
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    difference = first.astype(np.float64) - second
    low, high = bootstrap(difference, seed, resamples)
    return Paired(float(difference.mean()), low, high, b, c, mcnemar(b, c))


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p-value that the images which only one of two models got right are split evenly (McNemar 1947)."""
    n = only_first + only_second
    return float(stats.binomtest(only_first, n).pvalue) if n else 1.0


def _resampled_means(values: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """float64 [rows, resamples]: the means of each row's values, the same images drawn for each row."""
    random, n = np.random.default_rng(seed), values.shape[1]
    means = np.empty((len(values), resamples))
    for number in range(resamples):  # one at a time: memory stays that of one sample
        means[:, number] = values[:, random.integers(0, n, n)].mean(1)
    return means


def spread_of(values: Sequence[float]) -> Interval:
    """`percentiles`; NaN where all are the same: what is right (or wrong) on each of a few images is not certain."""
    return percentiles(np.array(values)) if len(set(values)) > 1 else Interval(math.nan, math.nan)


def percentiles(values: np.ndarray) -> Interval:
    """The bounds of the middle 95 % of resampled figures."""
    low, high = np.nanpercentile(values, (100 * (1 - CONFIDENCE) / 2, 100 * (1 + CONFIDENCE) / 2))
    return Interval(float(low), float(high))


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """float64 [n]: part / whole; NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full(len(part), math.nan), where=whole > 0)
