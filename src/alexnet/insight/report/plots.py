"""The plots of a run, from its files alone: the same for a run that has just ended and for one that was copied here."""

import numpy as np

from alexnet.artifacts.predictions import Predictions
from alexnet.artifacts.run import Run
from alexnet.files import make_folder
from alexnet.inference import metrics
from alexnet.insight import plots

WORST = 24
"""Mistakes on the sheet of the worst."""


def draw(run: Run) -> list[str]:
    """Draws curves, confusion, worst mistakes, and samples where training left none; returns what could not be drawn.

    Raises InputError for a run without a card, and for damaged files.
    """
    card, rows, found = run.card, run.metrics, run.predictions
    make_folder(run.plot("curves").parent)
    left = []
    if rows:
        plots.curves(rows, run.plot("curves"), card.published)
    else:
        left.append("curves: metrics.jsonl is empty")
    if found is None:
        left.append("confusion, worst mistakes: no predictions.npz (alexnet evaluate measures again)")
        return left
    matrix = metrics.confusion_of(found.labels, found.predictions, len(card.classes))
    plots.confusion(matrix, card.classes, run.plot("confusion"))
    _worst(run, found, card.classes)
    if len(found.samples):
        plots.sample_grid(list(found.samples), [card.classes[i] for i in found.sample_labels], run.plot("samples"))
    return left


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
