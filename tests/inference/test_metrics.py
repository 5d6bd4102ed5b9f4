"""Statistics of predictions, against scikit-learn and SciPy."""

import math
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from scipy import stats
from sklearn.calibration import calibration_curve

from alexnet.artifacts.figures import interval
from alexnet.inference import metrics

reference: Any = sklearn.metrics  # its annotations know fewer types than it takes
RANDOM = np.random.default_rng(0)
N, K = 400, 6
LABELS = RANDOM.choice(K - 1, N, p=[0.5, 0.2, 0.15, 0.1, 0.05])  # the last class is not there, but predicted
PREDICTIONS = np.where(RANDOM.random(N) < 0.6, LABELS, RANDOM.choice([0, 1, 2, 3, 5], N))
CONFUSION = metrics.confusion_of(LABELS, PREDICTIONS, K)


def test_per_class_is_scikit_learns() -> None:
    expected = reference.precision_recall_fscore_support(LABELS, PREDICTIONS, labels=range(K), zero_division=np.nan)
    found = metrics.per_class(CONFUSION)
    for ours, theirs in zip((found.precision, found.recall, found.f1, found.support), expected, strict=True):
        assert ours == pytest.approx(theirs, nan_ok=True)
    assert np.isnan(found.recall[-1])
    assert found.f1[-1] == 0
    for name, score in (("precision", reference.precision_score), ("recall", reference.recall_score)):
        assert found.macro(name) == pytest.approx(score(LABELS, PREDICTIONS, average="macro", zero_division=np.nan))
    assert found.macro("f1") == pytest.approx(reference.f1_score(LABELS, PREDICTIONS, average="macro", zero_division=0))


def test_a_class_that_is_neither_there_nor_predicted_is_left_out_of_the_mean() -> None:
    found = metrics.per_class(np.diag([3, 2, 0]))
    assert [found.macro(name) for name in ("precision", "recall", "f1")] == [1, 1, 1]
    lines = metrics.told_unknown(found.recall, found.f1, ("a", "b", "c"), "balanced accuracy")
    assert [text.format(**names) for text, names in lines] == [
        "No image has c: not in balanced accuracy.", "Not in macro F1, as never predicted either: c.",
    ]  # fmt: skip
    assert metrics.told_unknown(found.recall[:2], found.f1[:2], ("a", "b"), "balanced accuracy") == []
    assert metrics.unknown_of(found.precision, ("a", "b", "c")) == ["c"]
    assert metrics.known(float("nan")) is None


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_confusion_and_balanced_accuracy_are_scikit_learns() -> None:
    assert (reference.confusion_matrix(LABELS, PREDICTIONS, labels=range(K)) == CONFUSION).all()
    assert metrics.balanced_accuracy(CONFUSION) == pytest.approx(reference.balanced_accuracy_score(LABELS, PREDICTIONS))


def test_the_majority_is_the_accuracy_of_always_naming_it() -> None:
    most, share = metrics.majority(LABELS)
    assert most == 0
    assert share == (np.zeros(N, int) == LABELS).mean()
    assert metrics.majority(np.array([0, 2, 1, 2])) == (2, 0.5)


def test_top_confusions_are_sorted_and_none_is_invented() -> None:
    found = metrics.top_confusions(CONFUSION, 100)
    assert [each.images for each in found] == sorted((each.images for each in found), reverse=True)
    assert sum(each.images for each in found) == (LABELS != PREDICTIONS).sum()
    first = found[0]
    both = np.count_nonzero((first.true == LABELS) & (first.predicted == PREDICTIONS))
    assert first.share == pytest.approx(both / np.count_nonzero(first.true == LABELS))
    assert metrics.top_confusions(np.diag([3, 4])) == []


def test_reliability_is_scikit_learns_and_calibrated_predictions_have_no_error() -> None:
    probabilities = RANDOM.random(20_000)
    correct = RANDOM.random(20_000) < probabilities**2
    found = metrics.reliability(probabilities, correct)
    accuracy, confidence = calibration_curve(correct, probabilities, n_bins=metrics.BINS)
    assert found.accuracy == pytest.approx(accuracy)
    assert found.confidence == pytest.approx(confidence)
    assert found.ece == pytest.approx(np.abs(probabilities - probabilities**2).mean(), abs=0.01)
    assert metrics.reliability(probabilities, RANDOM.random(20_000) < probabilities).ece < 0.02


def test_reliability_holds_at_the_edges() -> None:
    found = metrics.reliability(np.array([0.0, 1.0, 1 / 15]), np.array([False, True, True]))
    assert found.count[0] == 2
    assert found.count[-1] == 1
    assert found.ece == pytest.approx((2 * abs(1 / 30 - 0.5) + 0) / 3)


def test_the_temperature_is_found_again() -> None:
    logits = RANDOM.normal(size=(5000, 4)) * 2
    probabilities = np.exp(logits - np.log(np.exp(logits).sum(1, keepdims=True)))
    labels = np.array([RANDOM.choice(4, p=row / row.sum()) for row in probabilities])
    for wanted in (0.5, 1.0, 3.0):
        assert metrics.fit_temperature(logits * wanted, labels) == pytest.approx(wanted, rel=0.08)


def test_rejection_counts_what_is_left() -> None:
    probabilities, correct = np.array([0.2, 0.5, 0.9, 1.0]), np.array([False, True, False, True])
    assert metrics.covered(probabilities, correct, 0.5) == (0.75, pytest.approx(2 / 3), 1)
    assert metrics.covered(probabilities, correct, 0.0) == (1.0, 0.5, 0)
    assert math.isnan(metrics.covered(probabilities, correct, 1.1).accuracy)


def test_all_right_or_all_wrong_of_a_few_images_is_not_certain() -> None:
    """It was '0.00% to 0.00%' of 8 images, where the report said up to 32 %."""
    for matrix in (np.diag([4, 4]), np.array([[0, 4], [4, 0]])):
        found = metrics.intervals_of(matrix)
        assert 0.3 < found["accuracy"].high - found["accuracy"].low < 0.35
        assert all(math.isnan(bound) for name in ("balanced_accuracy", "macro_f1") for bound in found[name])


def test_bootstrap_intervals_are_those_of_the_normal_approximation() -> None:
    correct = LABELS == PREDICTIONS
    half = 1.96 * math.sqrt(correct.mean() * (1 - correct.mean()) / N)
    for low, high in (metrics.bootstrap(correct), metrics.intervals_of(CONFUSION)["accuracy"]):
        assert low == pytest.approx(correct.mean() - half, abs=0.012)
        assert high == pytest.approx(correct.mean() + half, abs=0.012)
    assert metrics.bootstrap(correct) == metrics.bootstrap(correct), "the same draws every time"
    intervals = metrics.intervals_of(CONFUSION)
    assert intervals["accuracy"] == interval(float(correct.mean()), N), "as the report and the training say it"
    assert intervals["macro_f1"].low < metrics.per_class(CONFUSION).macro("f1") < intervals["macro_f1"].high


def test_mcnemar_is_the_binomial_test() -> None:
    """Where both have equally many images for themselves p is 1: a χ² with correction gave 0.86 for 15 and 15."""
    assert [metrics.mcnemar(n, n) for n in (0, 1, 5, 12, 13, 15, 50_000)] == pytest.approx([1] * 7)
    for b, c in ((1, 8), (5, 6), (12, 3), (12, 13), (40, 60), (200, 150), (1000, 1100)):
        tail = stats.binom.cdf(min(b, c), b + c, 0.5)
        assert metrics.mcnemar(b, c) == metrics.mcnemar(c, b) == pytest.approx(min(1.0, 2 * tail))
    assert metrics.mcnemar(40, 60) == pytest.approx(stats.chi2.sf((20 - 1) ** 2 / 100, 1), rel=0.06)  # approximates it


def test_two_models_on_the_same_images() -> None:
    first, second = np.array([True] * 60 + [False] * 40), np.array([True] * 40 + [False] * 60)
    found = metrics.paired(first, second)
    assert (found.difference, found.only_first, found.only_second) == (pytest.approx(0.2), 20, 0)
    assert 0.1 < found.low < 0.2 < found.high < 0.3
    assert found.p < 1e-4
    assert metrics.paired(first, first)[:3] == (0.0, 0.0, 0.0)


def test_the_bootstraps_interval_has_95_percent() -> None:
    values = np.random.default_rng(3).normal(size=400)
    low, high = metrics.bootstrap(values)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.08)  # 90 % would be 16 % narrower
