"""What the probabilities of several labels an image are worth: average precision, and F1 at thresholds.

Arrays: `targets` uint8 [n, classes], 1 where an image has the label; `probabilities` float [n, classes].
"""

import math
from dataclasses import dataclass

import numpy as np

from alexnet.inference import metrics
from alexnet.inference.metrics import Interval, mean_known, ratio, spread_of

HALF = 0.5
"""The threshold of a class for which nothing better is known."""
RESAMPLES = 200


@dataclass(frozen=True)
class PerLabel:
    """Of each class: fractions float64 [classes], counts int64 [classes]. What cannot be known is NaN, as in
    `metrics.PerClass`: the average precision of a class that no image has, too."""

    average_precision: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray
    """Images that have the label."""
    predicted: np.ndarray
    """Images that are given it."""


def average_precisions(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """float64 [classes]: Σ (recallₙ − recallₙ₋₁) · precisionₙ over the distinct probabilities, highest first, as
    sklearn.metrics.average_precision_score has it (no interpolation); NaN for a class that no image has."""
    return np.array([_average_precision(targets[:, k], probabilities[:, k]) for k in range(targets.shape[1])])


def _average_precision(target: np.ndarray, probability: np.ndarray) -> float:
    if not target.any():
        return math.nan
    found, seen, _ = _cumulated(target, probability)
    recall = found / target.sum(dtype=np.int64)
    return float((np.diff(recall, prepend=0.0) * (found / seen)).sum())


def _cumulated(target: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each distinct probability, highest first: how many images with the label reach it, how many images do, and
    the probability."""
    order = np.argsort(-probability, kind="stable")
    sorted_ = probability[order]
    last = np.flatnonzero(np.append(np.diff(sorted_) != 0, True))
    return np.cumsum(target[order], dtype=np.int64)[last], last + 1, sorted_[last]


def best_thresholds(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """float64 [classes]: the thresholds with the highest F1 on these images, each halfway between the probability of
    the last image that it takes and that of the next; HALF for a class that no image has, or that every image has."""
    return np.array([_best_threshold(targets[:, k], probabilities[:, k]) for k in range(targets.shape[1])])


def _best_threshold(target: np.ndarray, probability: np.ndarray) -> float:
    if not target.any() or target.all():
        return HALF
    found, seen, at = _cumulated(target, probability.astype(np.float64))
    best = int((2 * found / (seen + target.sum(dtype=np.int64))).argmax())
    below = at[best + 1] if best + 1 < len(at) else 0.0
    return float((at[best] + below) / 2)


def chosen(probabilities: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Which labels each image is given: bool [n, classes]."""
    return probabilities >= thresholds


def per_label(targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray) -> PerLabel:
    """The figures of each class at the thresholds, float [classes]."""
    given = chosen(probabilities, thresholds)
    right = (given & (targets > 0)).sum(0)
    support, predicted = targets.sum(0, dtype=np.int64), given.sum(0)
    return PerLabel(
        average_precisions(targets, probabilities),
        ratio(right, predicted),
        ratio(right, support),
        ratio(2 * right, support + predicted),
        support,
        predicted,
    )


def mean_average_precision(found: PerLabel) -> float:
    """Over the classes that an image has; NaN where no image has a label."""
    return mean_known(found.average_precision)


def micro_f1(found: PerLabel) -> float:
    """NaN where no image has a label or is given one."""
    right = np.nansum(np.rint(found.recall * found.support))
    whole = found.support.sum() + found.predicted.sum()
    return float(2 * right / whole) if whole else math.nan


def macro_f1(found: PerLabel) -> float:
    """Over the classes that are there or were predicted; NaN where there is none."""
    return mean_known(found.f1)


def reliability(targets: np.ndarray, probabilities: np.ndarray) -> metrics.Reliability:
    """Of all images and labels together: how often a label is there, by the probability that it was given."""
    return metrics.reliability(probabilities.ravel(), targets.ravel())


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """The temperature T that minimizes the binary cross-entropy of sigmoid(logit / T), between 0.05 and 20."""
    signed = np.where(targets > 0, logits, -logits).astype(np.float64)
    return metrics.least_temperature(lambda t: float(np.logaddexp(0, -signed / t).mean()))


def bootstrap(
    targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Interval]:
    """Percentile bootstrap intervals (95 %) of 'map' and 'micro_f1', images being drawn anew."""
    random, n = np.random.default_rng(seed), len(targets)
    drawn: dict[str, list[float]] = {"map": [], "micro_f1": []}
    for _ in range(resamples):
        rows = random.integers(0, n, n)
        again = per_label(targets[rows], probabilities[rows], thresholds)
        drawn["map"].append(mean_average_precision(again))
        drawn["micro_f1"].append(micro_f1(again))
    return {name: spread_of(values) for name, values in drawn.items()}
