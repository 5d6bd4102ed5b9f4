"""Several labels an image: thresholds are chosen on the validation images, on those alone, and hold for the test."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import alexnet
from alexnet.inference.data import dataset_for
from alexnet.inference.label_evaluation import evaluate_labels
from alexnet.inference.label_metrics import best_thresholds
from alexnet.inference.model import load_model


def test_the_thresholds_are_the_best_of_the_validation_images(tagged: Any) -> None:
    model = load_model(tagged.run, several=True)
    validation = evaluate_labels(model, dataset_for(model, split="validation"))
    best = best_thresholds(validation.targets, validation.probabilities)
    np.testing.assert_allclose(model.thresholds, best, atol=1e-4)
    assert not np.allclose(best, 0.5, atol=0.01)
    test = evaluate_labels(model, dataset_for(model, split="test"))
    assert not np.allclose(best_thresholds(test.targets, test.probabilities), model.thresholds, atol=0.01)
    kept = tagged.run.label_predictions
    assert kept.split == "test"
    np.testing.assert_allclose(kept.thresholds, model.thresholds, atol=1e-6)


@pytest.mark.usefixtures("bare")
def test_where_the_test_images_validate_nothing_is_chosen_on_them(tagged: Any, tmp_path: Path) -> None:
    settings = {"model.name": "alexnet-digits", "data.labels": str(tagged.table), "data.resize": 8,
                "data.name": "table", "train.least_steps": 0, "augment.pca_color": 0.0,
                "data.validation": "test"}  # fmt: skip
    run = alexnet.train("folder", out=tmp_path / "run", data=tagged.images, epochs=1, settings=settings)
    assert run.card.data.validation_is_test
    assert run.card.thresholds is None
    assert run.label_predictions is not None
    assert run.label_predictions.thresholds.tolist() == [0.5] * 3
