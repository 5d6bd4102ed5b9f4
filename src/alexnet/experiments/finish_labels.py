"""What a run on images with several labels leaves behind: thresholds, figures, and what its report is drawn from."""

import numpy as np

from alexnet.artifacts.figures import LabelFigures, Thresholds
from alexnet.artifacts.label_predictions import LabelPredictions
from alexnet.artifacts.predictions import THUMBNAILS, thumbnails
from alexnet.data.dataset import Dataset
from alexnet.data.loading.loader import Loader
from alexnet.data.transforms.augment import Augmenter
from alexnet.inference import label_evaluation
from alexnet.inference.label_evaluation import LabelEvaluation
from alexnet.inference.label_metrics import best_thresholds
from alexnet.training.setup import Setup


def judged(
    setup: Setup, augmenter: Augmenter, chosen: np.ndarray
) -> tuple[LabelPredictions, LabelFigures, LabelFigures | None, Thresholds | None]:
    """What is kept for the report, the figures on the validation images and on the test images, and the thresholds.

    Thresholds are chosen on the validation images; where the test images validate, none are: 0.5 holds. `chosen`:
    indices of the training images that the report shows.
    """
    views, apart = setup.recipe.train.test_views, None if setup.validation_is_test else setup.test
    validated = label_evaluation.run(setup.model, setup.validation, augmenter, views=views if apart is None else 1)
    thresholds = None
    if not setup.validation_is_test:
        best = best_thresholds(validated.targets, validated.probabilities)
        thresholds = Thresholds(values=tuple(best.tolist()), split="validation", count=len(validated.targets))
        validated = validated.at(best)
    held = setup.validation.dataset
    if apart is None:
        split = "test" if setup.validation_is_test else "validation"
        return _kept(split, held, validated, setup, chosen), validated.figures, None, thresholds
    tested = label_evaluation.run(setup.model, Loader(apart, setup.device, setup.train.workers), augmenter, views=views)
    tested = tested.at(validated.thresholds)
    return _kept("test", apart, tested, setup, chosen), validated.figures, tested.figures, thresholds


def _kept(split: str, dataset: Dataset, seen: LabelEvaluation, setup: Setup, chosen: np.ndarray) -> LabelPredictions:
    """With thumbnails of the worst mistakes and of images evenly spread."""
    others = np.linspace(0, len(dataset) - 1, min(THUMBNAILS // 2, len(dataset))).astype(np.int64)
    shown = np.array(list(dict.fromkeys([*seen.worst(THUMBNAILS // 2).tolist(), *others.tolist()])), np.int64)
    train = setup.train.dataset
    return LabelPredictions(
        split=split,
        names=dataset.names,
        targets=seen.targets,
        probabilities=seen.probabilities.astype(np.float32),
        losses=seen.losses.astype(np.float32),
        thresholds=seen.thresholds.astype(np.float32),
        shown=shown,
        thumbnails=thumbnails(dataset, shown),
        samples=thumbnails(train, chosen),
        sample_labels=train.targets[chosen],
    )
