"""What a report says of a run whose images may have several labels each: mAP, F1 at the thresholds, and every class."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from alexnet.artifacts.card import RunCard
from alexnet.artifacts.figures import LabelFigures, Thresholds
from alexnet.artifacts.label_predictions import LabelPredictions
from alexnet.inference import label_metrics as metrics
from alexnet.inference.metrics import told_unknown
from alexnet.pages.document import Block, Table, Text, Tile
from alexnet.pages.text import Words, decimals, duration, percent

HEAD = ("class", "AP", "precision", "recall", "F1", "threshold", "images")
EPOCHS = ("epoch", "learning rate", "train loss", "val. loss", "mAP", "micro F1 at 0.5", "images/s", "time")


def named(classes: Sequence[str], target: Any) -> str:
    """An image's label, or its labels by their row of `Dataset.targets`."""
    if np.ndim(target) == 0:
        return classes[int(target)]
    return ", ".join(classes[int(k)] for k in np.flatnonzero(target)) or "–"


def tiles(found: LabelPredictions, words: Words) -> list[Tile]:
    """The interval of mAP, and F1 at the thresholds."""
    low, high = metrics.bootstrap(found.targets, found.probabilities, found.thresholds)["map"]
    each = _per_label(found)
    return [
        Tile(words("95 % interval"), f"{percent(low)} – {percent(high)}", words("bootstrap, {split} images",
             split=words(found.split))),
        Tile(words("micro F1"), decimals(metrics.micro_f1(each)), words("macro F1 {macro}",
             macro=decimals(metrics.macro_f1(each)))),
    ]  # fmt: skip


def per_class(found: LabelPredictions, card: RunCard, words: Words) -> list[Block]:
    return labels_of(_per_label(found), card.thresholds, found.thresholds, card.classes, words)


def labels_of(
    found: metrics.PerLabel, chosen: Thresholds | None, thresholds: np.ndarray, classes: Sequence[str], words: Words
) -> list[Block]:
    """Where the thresholds come from, which classes the means leave out, and the table of all."""
    lines = told_unknown(found.recall, found.f1, classes, "mAP")
    left_out = [Text(words(line, **names)) for line, names in lines]
    return [Text(told(chosen, words)), *left_out, table_of(found, thresholds, classes, words)]


def told(thresholds: Thresholds | None, words: Words) -> str:
    """Where the thresholds come from."""
    if thresholds is None:
        return words("A label is given from a probability of 0.5 on.")
    return words(
        "A label is given from its threshold on, which has the highest F1 on {count} {split} images.",
        count=f"{thresholds.count:,}",
        split=words(thresholds.split),
    )


def table_of(found: metrics.PerLabel, thresholds: np.ndarray, classes: Sequence[str], words: Words) -> Table:
    rows = [
        (
            name,
            percent(found.average_precision[k]),
            percent(found.precision[k]),
            percent(found.recall[k]),
            decimals(found.f1[k]),
            f"{thresholds[k]:.4f}",
            f"{found.support[k]:,}",
        )
        for k, name in enumerate(classes)
    ]
    return Table([words(name) for name in HEAD], rows)


def epochs(rows: Sequence[Mapping[str, Any]], best: int | None, words: Words) -> Table:
    lines = [
        (
            str(row["epoch"]),
            f"{row['lr']:.3g}",
            f"{row['train_loss']:.4f}",
            f"{row['val_loss']:.4f}",
            percent(row["val_map"]),
            f"{row['val_micro_f1']:.4f}",
            f"{row['images_per_second']:,.0f}",
            duration(row["seconds"]),
        )
        for row in rows
    ]
    return Table(
        [words(name) for name in EPOCHS], lines, frozenset(i for i, r in enumerate(rows) if r["epoch"] == best)
    )


def limits(card: RunCard, words: Words) -> list[str]:
    """What the figures do not say."""
    found = card.figures.test or card.figures.final
    assert isinstance(found, LabelFigures)
    said = ["One run, with seed {seed}: other seeds give other figures; --seeds 5 measures by how much."]
    if card.figures.test is None:
        said.append("No test split: epoch and thresholds were chosen on the images that they are measured on.")
    said.append("mAP is the mean over the classes that an image has; label accuracy ({share}) is high for rare labels.")
    return [words(text, seed=card.seed, share=percent(found.label_accuracy)) for text in said]


def worst(found: LabelPredictions, most: int) -> list[int]:
    """Rows of the images with a wrong label and the highest losses, worst first."""
    wrong = np.flatnonzero((metrics.chosen(found.probabilities, found.thresholds) != (found.targets > 0)).any(1))
    return wrong[np.argsort(-found.losses[wrong], kind="stable")][:most].tolist()


def given(found: LabelPredictions, classes: Sequence[str], row: int) -> tuple[str, float]:
    """The labels that an image is given, and the probability of the likeliest label."""
    probabilities = found.probabilities[row]
    return named(classes, metrics.chosen(probabilities, found.thresholds)), float(probabilities.max())


def _per_label(found: LabelPredictions) -> metrics.PerLabel:
    return metrics.per_label(found.targets, found.probabilities, found.thresholds)
