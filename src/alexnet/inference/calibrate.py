"""Calibration by a temperature: fitted on validation images, kept in the card, applied only where it is asked for."""

import contextlib
import dataclasses
import math
from typing import cast

import numpy as np
from scipy import special
from torch import Tensor, nn

from alexnet.artifacts import store
from alexnet.artifacts.card import RunCard
from alexnet.artifacts.figures import Calibration
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.files import lock, sha256, write_json
from alexnet.inference import label_metrics, metrics
from alexnet.inference.evaluate import Evaluation
from alexnet.inference.label_evaluation import LabelEvaluation
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
    """The model with its card's temperature applied: same classes first, same labels given, other probabilities.

    The thresholds of several labels an image move with the probabilities. InputError where the card has none.
    """
    if (found := model.card.calibration) is None:
        raise InputError(f"{str(model.path)!r} is not calibrated; alexnet evaluate --calibrate does that")
    card, module = model.card, cast(nn.Module, _Tempered(quicken(model.module), found.temperature))
    if card.thresholds:
        moved = tuple(special.expit(special.logit(model.thresholds) / found.temperature).tolist())
        card = card.model_copy(update={"thresholds": card.thresholds.model_copy(update={"values": moved})})
    return dataclasses.replace(model, module=module.eval(), card=card)


def check_calibration(model: Model) -> None:
    """InputError where there are no validation images on which a temperature may be fitted, and where the run is being
    trained: its card is about to change."""
    with _held(model):
        pass
    if isinstance(model.card, RunCard) and model.card.data.validation_is_test:
        raise InputError(
            "this run validated on the test split: a temperature fitted there would make test figures unfair"
        )


def fitted(evaluation: Evaluation | LabelEvaluation, targets: np.ndarray, split: str) -> Calibration:
    """The temperature of an evaluation that kept what the network said; `targets`: as `Dataset.targets`."""
    if isinstance(evaluation, LabelEvaluation):
        return _fitted_labels(evaluation, targets, split)
    said = evaluation.log_probabilities
    assert said is not None, "evaluate with keep=True"
    temperature = metrics.fit_temperature(said, targets)
    scaled = said.astype(np.float64) / temperature
    scaled = np.exp(scaled - np.logaddexp.reduce(scaled, 1, keepdims=True)).max(1)
    correct = evaluation.predictions == targets
    before, after = metrics.reliability(evaluation.probabilities, correct), metrics.reliability(scaled, correct)
    assert math.isfinite(temperature)
    return Calibration(
        temperature=temperature, split=split, count=len(targets), ece_before=before.ece, ece_after=after.ece
    )


def _fitted_labels(evaluation: LabelEvaluation, targets: np.ndarray, split: str) -> Calibration:
    """One temperature for all labels: a rare one has too few validation images for one of its own."""
    logits = evaluation.logits
    assert logits is not None, "evaluate with keep=True"
    temperature = label_metrics.fit_temperature(logits, targets)
    after = special.expit(logits.astype(np.float64) / temperature)
    return Calibration(
        temperature=temperature,
        split=split,
        count=len(targets),
        ece_before=label_metrics.reliability(targets, evaluation.probabilities).ece,
        ece_after=label_metrics.reliability(targets, after).ece,
    )


def keep(model: Model, calibration: Calibration) -> None:
    """Writes the calibration into the model's card, wherever that lies. InputError where the weights are others by
    now."""
    with _held(model):
        weights, beside = store.locate(model.path)
        if sha256(weights) != model.weights["sha256"]:
            raise InputError(f"{str(weights)!r} was replaced while it was calibrated; run the command again")
        card = model.card.changed(calibration=calibration.to_json())
        if not card.sha256:  # it was in the weights, or of an earlier version
            card = card.changed(sha256={"weights": model.weights["sha256"]})
        write_json(beside or weights.with_suffix(".json"), card.to_json())


def _held(model: Model) -> contextlib.AbstractContextManager[None]:
    """Holds the run folder of a model, as training does, so that neither replaces what the other wrote."""
    return lock(model.path) if Run(model.path).is_run else contextlib.nullcontext()
