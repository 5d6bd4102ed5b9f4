"""Average precision and F1 beside scikit-learn; thresholds beside trying all of them."""

import numpy as np
import pytest
from sklearn import metrics as theirs

from alexnet.inference import label_metrics as ours


def drawn(seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    targets = (random.random((60, 4)) < (0.5, 0.2, 0.05, 0.9)).astype(np.uint8)
    targets[0] = 1
    probabilities = random.random((60, 4)).astype(np.float32) * 0.7 + 0.3 * targets * random.random((60, 4))
    return targets, (np.round(probabilities, 1) if ties else probabilities).astype(np.float32)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_figures_are_scikit_learns(seed: int, ties: bool) -> None:
    targets, probabilities = drawn(seed, ties)
    thresholds = np.array([0.5, 0.3, 0.6, 0.4])
    found = ours.per_label(targets, probabilities, thresholds)
    expected = theirs.average_precision_score(targets, probabilities, average=None)  # pyright: ignore
    np.testing.assert_allclose(found.average_precision, expected, rtol=1e-12)
    assert ours.mean_average_precision(found) == pytest.approx(
        theirs.average_precision_score(targets, probabilities, average="macro"), rel=1e-12
    )
    given = probabilities >= thresholds
    precision, recall, f1, support = theirs.precision_recall_fscore_support(targets, given, zero_division=0)  # pyright: ignore
    for name, values in {"precision": precision, "recall": recall, "f1": f1, "support": support}.items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-12)
    assert ours.micro_f1(found) == pytest.approx(theirs.f1_score(targets, given, average="micro"), rel=1e-12)
    assert ours.macro_f1(found) == pytest.approx(theirs.f1_score(targets, given, average="macro"), rel=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_no_other_threshold_has_a_higher_f1(ties: bool) -> None:
    targets, probabilities = drawn(7, ties)
    thresholds = ours.best_thresholds(targets, probabilities)
    best = ours.per_label(targets, probabilities, thresholds).f1
    for k in range(4):
        tried = [theirs.f1_score(targets[:, k], probabilities[:, k] >= at) for at in np.linspace(0, 1, 400)]
        assert best[k] >= max(tried) - 1e-12
        assert not np.isclose(probabilities[:, k], thresholds[k], rtol=1e-6).any()  # between two images, not on one


def test_classes_that_tell_nothing() -> None:
    targets = np.array([[0, 1, 0], [0, 1, 1], [0, 1, 0]], np.uint8)
    probabilities = np.array([[0.2, 0.9, 0.1], [0.1, 0.8, 0.7], [0.3, 0.7, 0.3]], np.float32)
    assert ours.best_thresholds(targets, probabilities).tolist() == [0.5, 0.5, pytest.approx(0.5)]
    found = ours.per_label(targets, probabilities, np.full(3, 0.5))
    assert np.isnan(found.average_precision[0])
    assert ours.mean_average_precision(found) == 1.0  # of the two that are there
    nothing = ours.per_label(np.zeros((3, 2), np.uint8), probabilities[:, :2], np.full(2, 2.0))
    assert np.isnan(ours.mean_average_precision(nothing))
    assert np.isnan([ours.micro_f1(nothing), ours.macro_f1(nothing)]).all()  # 0 / 0 is not 0
    assert [np.isnan(values).tolist() for values in (found.recall, found.precision, found.f1)] == [
        [True, False, False], [True, False, False], [True, False, False],
    ]  # fmt: skip


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(true: float) -> None:
    random = np.random.default_rng(1)
    logits = random.normal(0, 3, (20_000, 2))
    targets = (random.random(logits.shape) < 1 / (1 + np.exp(-logits / true))).astype(np.uint8)
    found = ours.fit_temperature(logits, targets)
    assert found == pytest.approx(true, rel=0.05)
    assert ours.reliability(targets, 1 / (1 + np.exp(-logits / found))).ece < 0.01


def test_calibration_error_by_hand() -> None:
    targets, probabilities = np.array([[1, 0], [0, 0]], np.uint8), np.array([[0.9, 0.05], [0.9, 0.05]], np.float32)
    assert ours.reliability(targets, probabilities).ece == pytest.approx((2 * 0.4 + 2 * 0.05) / 4)


def test_the_interval_holds_the_figure_and_narrows() -> None:
    targets, probabilities = drawn(1, False)
    half = np.full(4, 0.5)
    low, high = ours.bootstrap(targets, probabilities, half)["map"]
    assert low < ours.mean_average_precision(ours.per_label(targets, probabilities, half)) < high
    more = ours.bootstrap(np.tile(targets, (8, 1)), np.tile(probabilities, (8, 1)), half)["map"]
    assert more[1] - more[0] < high - low
