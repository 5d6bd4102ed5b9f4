"""Likely label errors by features."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import Ridge

import alexnet
from alexnet.artifacts.run import Run
from alexnet.inference.data import dataset_for
from alexnet.inference.model import Model
from alexnet.insight.check import labels
from alexnet.insight.check.check import check


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """300 digits in class folders, of which 12 lie in a wrong one; and these."""
    root, digits = tmp_path_factory.mktemp("noisy"), alexnet.dataset("digits")
    random, wrong = np.random.default_rng(0), set[str]()
    for i in range(300):
        image, label = digits[i]
        name = label
        if i % 25 == 7:
            name = (label + 1 + int(random.integers(9))) % 10
            wrong.add(f"{name}/{i:03}.png")
        (root / str(name)).mkdir(exist_ok=True)
        Image.fromarray(image[..., 0]).save(root / str(name) / f"{i:03}.png")
    return root, wrong


def test_planted_label_errors_are_found_first(noisy: tuple[Path, set[str]], opened: Model) -> None:
    root, wrong = noisy
    checked = check(root, model=opened)
    fault = next(fault for fault in checked.faults if fault.kind == "likely label error")
    assert not fault.serious
    named = [checked.listed.names[item.images[0]] for item in fault.items]
    assert len(wrong & {*named[: len(wrong)]}) >= len(wrong) - 2
    assert len(wrong & set(named)) >= len(wrong) - 1
    assert len(named) <= 2 * len(wrong)
    assert "by fc7 of alexnet-digits" in checked.notes[0]
    assert not any(name in checked.quarantine for name in wrong)  # a guess: somebody is to look first
    first = fault.items[0].text
    assert first.startswith("looks like ")


def test_clean_labels_raise_few_doubts(opened: Model) -> None:
    from alexnet.insight.check.listing import Listed, _Arrays

    digits = dataset_for(opened)
    n = len(digits)
    listed = Listed(Path(), "digits", digits.names, np.ones(n, np.int8), digits.labels.astype(np.int32), digits.classes,
                    _Arrays([(0, digits)]))  # fmt: skip
    found, notes = labels.doubts(listed, opened)
    assert len(found) <= 0.05 * n
    assert notes == [f"labels of {n:,} images were judged by fc7 of alexnet-digits"]


@pytest.mark.parametrize("width", [6, 60])
def test_probabilities_are_those_of_a_classifier_that_left_the_image_out(width: int) -> None:
    random = np.random.default_rng(width)
    own = np.repeat(np.arange(3), 12)
    features = random.normal(size=(36, width)) + 2 * np.eye(3, width)[own]
    found = labels.unseen_probabilities(features, own)
    assert found.sum(1) == pytest.approx(1)
    x = (features - features.mean(0)) / features.std(0)
    x = np.c_[x / np.linalg.norm(x, axis=1, keepdims=True), np.ones(36)]
    scores = np.empty((36, 3))
    for i in range(36):
        kept = np.arange(36) != i
        model = Ridge(alpha=labels.RIDGE, fit_intercept=False).fit(x[kept], np.eye(3)[own][kept])
        scores[i] = model.predict(x[i : i + 1])[0]
    ratio = np.log(found[:, :1] / found[:, 1:]) / (scores[:, :1] - scores[:, 1:])  # one temperature for all
    assert ratio == pytest.approx(ratio[0, 0], rel=1e-6)


def test_who_is_doubted() -> None:
    said = np.array([[0.9, 0.1], [0.2, 0.8], [0.55, 0.45], [0.1, 0.9], [0.3, 0.7], [0.05, 0.95]])
    given = np.array([0, 0, 0, 1, 1, 1])
    # Class 1 is sure at a mean of 0.85: 0.8 for the second image is not enough.
    assert labels.confident(given, said) == []
    said[1] = [0.1, 0.9]
    assert labels.confident(given, said) == [(1, 1)]


def test_wide_features_are_projected_and_narrow_ones_left() -> None:
    wide = np.random.default_rng(0).normal(size=(30, 5000)).astype(np.float32)
    found = labels.narrowed(wide)
    assert found.shape == (30, labels.WIDEST)
    before = np.linalg.norm(wide[:1] - wide[1:], axis=1)
    assert np.linalg.norm(found[:1] - found[1:], axis=1) == pytest.approx(before, rel=0.15)
    assert labels.narrowed(found) is found


def test_the_command(command: Callable, refused: Callable, noisy: tuple[Path, set[str]], trained: Run) -> None:
    root, wrong = noisy
    ended = command("check", "--data", root, "--weights", trained.path)
    assert "likely label error" in ended.out
    assert "judged by fc7 of alexnet-digits" in ended.out
    content = json.loads(command("check", "--data", root, "--weights", trained.path, "--json").out)
    fault = next(fault for fault in content["faults"] if fault["kind"] == "likely label error")
    assert len(wrong & {item["images"][0] for item in fault["items"]}) >= len(wrong) - 1
    assert "conv9" in refused("check", "--data", root, "--weights", trained.path, "--layer", "conv9")
    assert "add --weights" in refused("check", "--data", root, "--layer", "fc7")
