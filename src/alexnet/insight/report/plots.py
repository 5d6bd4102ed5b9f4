"""The plots of a run, from its files alone: the same for a run that has just ended and for one that was copied here."""

import numpy as np

from alexnet.artifacts.card import RunCard
from alexnet.artifacts.predictions import Predictions
from alexnet.artifacts.run import Run
from alexnet.files import make_folder
from alexnet.inference import metrics
from alexnet.insight import plots
from alexnet.insight.report import several

WORST = 24
"""Mistakes on the sheet of the worst."""


def draw(run: Run) -> list[str]:
    """Draws curves, confusion, worst mistakes, and samples where training left none; returns what could not be drawn.

    Raises InputError for a run without a card, and for damaged files.
    """
    card, rows = run.card, run.metrics
    make_folder(run.plot("curves").parent)
    left = []
    if rows:
        plots.curves(rows, run.plot("curves"), card.published)
    else:
        left.append("curves: metrics.jsonl is empty")
    if card.multilabel:
        return left + _draw_several(run, card)
    found = run.predictions
    if found is None:
        left.append("confusion, worst mistakes: no predictions.npz, which training writes at its end")
        return left
    matrix = metrics.confusion_of(found.labels, found.predictions, len(card.classes))
    plots.confusion(matrix, card.classes, run.plot("confusion"))
    _worst(run, found, card.classes)
    if len(found.samples):
        plots.sample_grid(list(found.samples), [card.classes[i] for i in found.sample_labels], run.plot("samples"))
    return left


def _draw_several(run: Run, card: RunCard) -> list[str]:
    """The plots of a run whose images may have several labels."""
    found = run.label_predictions
    if found is None:
        return ["worst mistakes: no predictions.npz, which training writes at its end"]
    at = {int(row): place for place, row in enumerate(found.shown)}
    rows = [row for row in several.worst(found, WORST) if row in at]
    said = [several.given(found, card.classes, row) for row in rows]
    plots.worst(
        [found.thumbnails[at[row]] for row in rows],
        [several.named(card.classes, found.targets[row]) for row in rows],
        [labels for labels, _ in said],
        [probability for _, probability in said],
        run.plot("worst"),
    )
    if len(found.samples):
        names = [several.named(card.classes, target) for target in found.sample_labels]
        plots.sample_grid(list(found.samples), names, run.plot("samples"))
    return []


def _mistakes(found: Predictions) -> list[int]:
    """Rows of the wrong predictions with the highest losses, worst first."""
    wrong = np.flatnonzero(found.predictions != found.labels)
    return wrong[np.argsort(-found.losses[wrong], kind="stable")][:WORST].tolist()


def _worst(run: Run, found: Predictions, classes: tuple[str, ...]) -> None:
    at = {int(row): place for place, row in enumerate(found.shown)}
    rows = [row for row in _mistakes(found) if row in at]
    plots.worst(
        [found.thumbnails[at[row]] for row in rows],
        [classes[found.labels[row]] for row in rows],
        [classes[found.predictions[row]] for row in rows],
        [float(found.probabilities[row]) for row in rows],
        run.plot("worst"),
    )
