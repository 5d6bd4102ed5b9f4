"""Errors under corruptions, the mean corruption error, and figures without copies."""

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest

from alexnet.artifacts.run import Run
from alexnet.data.dataset import ArrayDataset
from alexnet.errors import InputError
from alexnet.inference.data import dataset_for, repeated
from alexnet.inference.evaluate import evaluate
from alexnet.inference.measures import measure
from alexnet.inference.model import Model
from alexnet.inference.robustness import Robustness, robustness


def test_corrupted_images_are_harder_and_a_model_is_as_robust_as_itself(opened: Model) -> None:
    steps: list[tuple[int, int]] = []
    dataset = dataset_for(opened)
    found = robustness(opened, dataset, images=12, baseline=opened, progress=lambda *at: steps.append(at))
    assert found.count == 12
    assert found.errors.shape == (15, 5)
    assert found.mean > found.clean
    assert found.baseline is not None
    np.testing.assert_array_equal(found.errors, found.baseline.errors)
    assert found.mce == pytest.approx(1)
    assert steps[-1] == (152, 152)
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert content["strengths"] == "CIFAR-10-C"
    assert content["errors"]["snow"] == found.errors[7].tolist()


def test_the_mean_corruption_error_is_the_mean_of_ratios_of_sums() -> None:
    ours, theirs = np.full((15, 5), 0.2), np.full((15, 5), 0.4)
    ours[0], theirs[0] = [0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.5, 0.5, 0.75, 0.75]
    theirs[1] = 0  # nothing to divide by
    found = Robustness(ours, 0.1, 10, "CIFAR-10-C", Robustness(theirs, 0.1, 10, "CIFAR-10-C"))
    assert found.mce == pytest.approx((0.5 + 13 * 0.5) / 14)
    assert found.to_json()["ce"]["shot_noise"] is None
    assert dataclasses.replace(found, baseline=None).mce is None


def test_a_baseline_of_another_size_is_refused(opened: Model, make: Callable[..., Model]) -> None:
    other = dataclasses.replace(make("alexnet-digits", size=(12, 12), classes=10), classes=opened.classes)
    other.preprocessing = dataclasses.replace(other.preprocessing, size=(12, 12))
    with pytest.raises(InputError, match=r"12 × 12 × 1 and the model of 8 × 8 × 1"):
        robustness(opened, dataset_for(opened), images=4, baseline=other)
    with pytest.raises(InputError, match="at least 1"):
        robustness(opened, dataset_for(opened), images=0)


def test_copies_of_training_images_and_of_each_other_are_counted_out(opened: Model) -> None:
    train, own = dataset_for(opened, split="train"), dataset_for(opened)
    images = np.concatenate([own.batch(np.arange(20)), own.batch(np.array([3])), train.batch(np.array([0, 1]))])
    labels = np.concatenate([own.labels[:20], own.labels[3:4], train.labels[:2]])
    mixed = ArrayDataset(images, labels, own.classes, [str(i) for i in range(23)])
    copies = repeated(opened, mixed)
    assert np.flatnonzero(copies).tolist() == [20, 21, 22]
    assert not repeated(opened, train.subset(np.arange(5))).any()  # all of them trained: nothing would be left
    measures = measure(evaluate(opened, mixed), labels, opened.classes, copies=copies)
    content = measures.to_json()["without_duplicates"]
    assert content == {"count": 20, "top1": float(measures.correct[:20].mean())}


def test_the_command(command: Callable, refused: Callable, trained: Run) -> None:
    ended = command("evaluate", trained.path, "--corruptions", "--corruption-images", 5, "--baseline", trained.path)
    assert ended.code == 0
    assert "elastic_transform" in ended.out
    assert "5 images, strengths of CIFAR-10-C" in ended.out
    assert "of the baseline's" in ended.out
    refused("add --corruptions", "evaluate", trained.path, "--baseline", trained.path)
