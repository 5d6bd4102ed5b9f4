"""Calibration by a temperature: fitted on validation images, kept in the card, applied only where it is asked for."""

import dataclasses
import math
from typing import cast

import numpy as np
from torch import Tensor, nn

from alexnet.artifacts import store
from alexnet.artifacts.card import RunCard
from alexnet.artifacts.figures import Calibration
from alexnet.errors import InputError
from alexnet.files import write_json
from alexnet.inference import metrics
from alexnet.inference.evaluate import Evaluation
from alexnet.inference.model import Model
from alexnet.models.quick import quicken


class _Tempered(nn.Module):
    """Logits divided by a temperature."""

    def __init__(self, module: nn.Module, temperature: float):
        super().__init__()
        self.module, self.temperature = module, temperature

    def forward(self, images: Tensor) -> Tensor:
        return self.module(images) / self.temperature


def calibrated(model: Model) -> Model:
    """The model with its card's temperature applied: same classes first, other probabilities.

    InputError where the card has none.
    """
    if model.card.calibration is None:
        raise InputError(f"{str(model.path)!r} is not calibrated; alexnet evaluate --calibrate does that")
    module = cast(nn.Module, _Tempered(quicken(model.module), model.card.calibration.temperature))
    return dataclasses.replace(model, module=module.eval())


def check_calibration(model: Model) -> None:
    """InputError where there are no validation images on which a temperature may be fitted."""
    if isinstance(model.card, RunCard) and model.card.data.validation_is_test:
        raise InputError(
            "this run validated on the test split: a temperature fitted there would make test figures unfair"
        )


def fitted(evaluation: Evaluation, labels: np.ndarray, split: str) -> Calibration:
    """The temperature of an evaluation that kept its log-probabilities."""
    said = evaluation.log_probabilities
    assert said is not None, "evaluate with keep=True"
    temperature = metrics.fit_temperature(said, labels)
    scaled = said.astype(np.float64) / temperature
    scaled = np.exp(scaled - np.logaddexp.reduce(scaled, 1, keepdims=True)).max(1)
    correct = evaluation.predictions == labels
    before, after = metrics.reliability(evaluation.probabilities, correct), metrics.reliability(scaled, correct)
    assert math.isfinite(temperature)
    return Calibration(
        temperature=temperature, split=split, count=len(labels), ece_before=before.ece, ece_after=after.ece
    )


def keep(model: Model, calibration: Calibration) -> None:
    """Writes the calibration into the model's card, wherever that lies."""
    weights, beside = store.locate(model.path)
    card = model.card.changed(calibration=calibration.to_json())
    if not card.sha256:  # it was in the weights, or of an earlier version
        card = card.changed(sha256={"weights": model.weights["sha256"]})
    write_json(beside or weights.with_suffix(".json"), card.to_json())
