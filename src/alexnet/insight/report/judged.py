"""What the predictions of a split are worth, as blocks: beside the majority baseline, per class, and calibrated."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alexnet.artifacts.figures import interval
from alexnet.artifacts.predictions import Predictions
from alexnet.inference import metrics
from alexnet.insight import plots
from alexnet.pages.document import Block, Chart, Picture, Table, Text, Tile
from alexnet.pages.text import Words, decimals, percent


def tiles(found: Predictions, classes: Sequence[str], words: Words) -> list[Tile]:
    """The interval of the accuracy, and what it is to be compared with."""
    matrix = metrics.confusion_of(found.labels, found.predictions, len(classes))
    most, share = metrics.majority(found.labels)
    low, high = interval(float((found.predictions == found.labels).mean()), len(found.labels))
    split = words(found.split)
    return [
        Tile(words("95 % interval"), f"{percent(low)} – {percent(high)}", words("Wilson, {split} images", split=split)),
        Tile(
            words("balanced accuracy"),
            percent(metrics.balanced_accuracy(matrix)),
            words("always answering {name} gives {share}", name=classes[most], share=percent(share)),
        ),
    ]


def per_class(found: Predictions, classes: Sequence[str], words: Words) -> list[Block]:
    matrix = metrics.confusion_of(found.labels, found.predictions, len(classes))
    confused = metrics.top_confusions(matrix, 5)
    told = ", ".join(f"{classes[c.true]} → {classes[c.predicted]} ({c.images:,})" for c in confused)
    text = [Text(words("Most frequent confusions: {told}", told=told))] if told else []
    return [*text, *classes_of(metrics.per_class(matrix), classes, words)]


def classes_of(found: metrics.PerClass, classes: Sequence[str], words: Words) -> list[Block]:
    """Which classes the means leave out, and the table of all."""
    lines = metrics.told_unknown(found.recall, found.f1, classes, "balanced accuracy")
    return [*(Text(words(line, **names)) for line, names in lines), _table(found, classes, words)]


def _table(found: metrics.PerClass, classes: Sequence[str], words: Words) -> Table:
    rows = [
        (name, percent(found.precision[i]), percent(found.recall[i]), decimals(found.f1[i]), f"{found.support[i]:,}")
        for i, name in enumerate(classes)
    ]
    return Table([words(name) for name in ("class", "precision", "recall", "F1", "images")], rows)


def calibration(found: Predictions, words: Words) -> list[Block]:
    return calibration_of(metrics.reliability(found.probabilities, (found.predictions == found.labels)), words)


def calibration_of(found: metrics.Reliability, words: Words, temperature: float | None = None) -> list[Block]:
    """The reliability diagram."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reliability.png"
        plots.reliability(found, path)
        content = path.read_bytes()
    text = words(
        "A calibrated network is right as often as its probabilities say. Expected calibration error: {ece}.",
        ece=percent(found.ece),
    )
    if temperature is not None:
        text += " " + words("A temperature of {value} is applied.", value=f"{temperature:.3f}")
    series = {words("accuracy"): [None if np.isnan(value) else float(value) for value in found.accuracy]}
    middles = [f"{(i + 0.5) / len(found.count):.2f}" for i in range(len(found.count))]
    title = words("Accuracy by confidence")
    return [Text(text), Picture(content, title, charts=[Chart(title, "bars", middles, series, percent=True)])]
