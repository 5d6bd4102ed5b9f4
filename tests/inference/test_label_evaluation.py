"""Several labels an image, evaluated: figures by hand, views, exports, and what does not fit."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import alexnet
from alexnet.data.dataset import ArrayDataset
from alexnet.data.transforms.augment import Augmenter
from alexnet.errors import InputError
from alexnet.inference import evaluate as one_class
from alexnet.inference.data import dataset_for
from alexnet.inference.label_evaluation import LabelEvaluation, evaluate_labels
from alexnet.inference.model import Model, load_model, one_label
from alexnet.inference.views import label_logits, views_of


@pytest.fixture(scope="module")
def model(tagged: Any) -> Model:
    return load_model(tagged.run, several=True)


def images_of(tagged: Any, model: Model) -> ArrayDataset:
    found = dataset_for(model, tagged.images, "test", labels=tagged.table)
    assert isinstance(found, ArrayDataset)
    return found


def test_every_figure_by_hand(tagged: Any, model: Model) -> None:
    dataset = images_of(tagged, model)
    found = alexnet.evaluate(model, dataset)
    assert isinstance(found, LabelEvaluation)
    inputs = Augmenter(model.preprocessing).evaluate(torch.from_numpy(dataset.batch(np.arange(len(dataset)))))
    with torch.inference_mode():
        logits = model.module(inputs)
    targets = torch.from_numpy(dataset.targets).float()
    np.testing.assert_allclose(found.probabilities, logits.sigmoid().numpy(), atol=1e-5)
    assert found.figures.loss == pytest.approx(
        functional.binary_cross_entropy_with_logits(logits, targets).item(), rel=1e-4
    )
    given = found.probabilities >= model.thresholds
    assert found.figures.label_accuracy == pytest.approx((given == dataset.targets).mean())
    assert found.figures.exact == pytest.approx((given == dataset.targets).all(1).mean())
    assert found.figures.count == 30
    assert (given == found.given).all()
    worst = found.worst(3)
    assert (np.diff(found.losses[worst]) <= 0).all()


def test_the_run_measured_the_same(tagged: Any, model: Model) -> None:
    """The card's figures, of the test images, are at the thresholds that were chosen on the validation images."""
    found = evaluate_labels(model, images_of(tagged, model)).figures
    recorded = tagged.run.card.figures.test
    for name in ("map", "micro_f1", "macro_f1", "exact", "loss"):
        assert getattr(found, name) == pytest.approx(getattr(recorded, name), rel=1e-4), name
    thresholds = tagged.run.card.thresholds
    assert (thresholds.split, thresholds.count) == ("validation", tagged.run.card.data.validation)
    assert found.map > 0.5  # it has learned something: label frequencies alone are below


def test_several_views_average_probabilities(tagged: Any, model: Model) -> None:
    dataset = images_of(tagged, model)
    batch = torch.from_numpy(dataset.batch(np.arange(4)))
    augmenter = views_of(model)
    with torch.inference_mode():
        both = label_logits(model.module, augmenter, batch, 2).sigmoid()
        plain = label_logits(model.module, augmenter, batch, 1).sigmoid()
        mirrored = label_logits(model.module, augmenter, batch.flip(2), 1).sigmoid()
    torch.testing.assert_close(both, (plain + mirrored) / 2, atol=1e-4, rtol=1e-3)
    assert evaluate_labels(model, dataset, views=2).figures.views == 2


def test_one_form_does_not_pass_for_the_other(tagged: Any, model: Model, opened: Model) -> None:
    several = images_of(tagged, model)
    single = ArrayDataset(several.images, np.zeros(len(several), np.int64), model.classes, several.names)
    with pytest.raises(InputError, match="names several labels an image, and these images have one"):
        alexnet.evaluate(model, single)
    ten = ArrayDataset(several.images, np.zeros((len(several), 10), np.uint8), opened.classes, several.names)
    with pytest.raises(InputError, match="names one class an image, and these images have several labels"):
        alexnet.evaluate(opened, ten)
    with pytest.raises(InputError, match="several labels"):
        one_class.evaluate(model, several)
    with pytest.raises(InputError, match="no label in 30 images"):
        alexnet.evaluate(model, ArrayDataset(several.images, several.targets * 0, model.classes, several.names))
    less = ArrayDataset(several.images, several.targets[:, :2], model.classes[:2], several.names)
    with pytest.raises(InputError, match="does not say which of them are below"):
        alexnet.evaluate(model, less)


def test_columns_in_another_order_are_joined_by_name(tagged: Any, model: Model) -> None:
    dataset = images_of(tagged, model)
    order = [2, 0, 1]
    names = tuple(model.classes[k] for k in order)
    mixed = ArrayDataset(dataset.images, dataset.targets[:, order], names, dataset.names)
    assert alexnet.evaluate(model, mixed).figures == alexnet.evaluate(model, dataset).figures


def test_who_takes_one_class_refuses(tagged: Any, model: Model, make: Callable[..., Model]) -> None:
    with pytest.raises(InputError, match="names several labels an image, and this takes models that name one class"):
        load_model(tagged.run)
    with pytest.raises(InputError, match="what-if takes"):
        one_label(model, "what-if")
    one_label(make("alexnet-digits"), "what-if")


def test_prediction_gives_the_labels_that_reach_their_thresholds(tagged: Any, model: Model) -> None:
    dataset = images_of(tagged, model)
    seen = evaluate_labels(model, dataset)
    found = alexnet.predict(model, [np.asarray(image) for image in dataset.batch(np.arange(8))], top=3)
    for row, each in enumerate(found):
        assert each.labels is not None
        assert set(each.labels) == {model.classes[int(k)] for k in np.flatnonzero(seen.given[row])}
        expected = sorted(seen.probabilities[row].tolist(), reverse=True)
        assert [one.score for one in each.predictions] == pytest.approx(expected, abs=1e-5)
        assert each.to_json()["labels"] == list(each.labels)
    none = replace(model, card=model.card.changed(thresholds=None))
    assert none.thresholds.tolist() == [0.5] * 3
