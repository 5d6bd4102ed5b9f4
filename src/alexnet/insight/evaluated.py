"""An evaluation as a page: figures, classes, calibration, and the most frequent confusions with their images."""

import numpy as np

from alexnet.data.dataset import Dataset
from alexnet.inference import metrics
from alexnet.inference.measures import Measures
from alexnet.insight.report import judged
from alexnet.insight.thumbnails import thumbnail
from alexnet.pages.document import Block, Document, Gallery, Section, Text, Thumbnail, Tile
from alexnet.pages.text import Words, percent

EXAMPLES = 6  # images of each confusion


def describe(measures: Measures, dataset: Dataset, name: str, words: Words | None = None) -> Document:
    """The page; `dataset`: the images that were evaluated, in the model's classes."""
    words = words or Words()
    figures = measures.evaluation.figures
    low, high = measures.intervals["accuracy"]
    most, share = metrics.majority(measures.labels)
    balanced = metrics.balanced_accuracy(measures.evaluation.confusion)
    tiles = [
        Tile(words("top-1 accuracy"), percent(figures.top1), f"95 %: {percent(low)} – {percent(high)}"),
        Tile(words("balanced accuracy"), percent(balanced), words("mean of the classes' recalls")),
        Tile(words("majority baseline"), percent(share), words("always {name}", name=measures.classes[most])),
        Tile(words("calibration error"), percent(measures.reliability.ece), words("{bins} bins", bins=metrics.BINS)),
    ]
    about = words.counted(
        figures.count, "1 image, {precision}", "{count} images, {precision}", precision=figures.precision
    )
    return Document(
        title=words("Evaluation of {name}", name=name),
        about=about,
        tiles=tiles,
        notes=[str(measures.measured)] if measures.measured else [],
        all_sections=[
            Section(words("Most frequent confusions"), confusions(measures, dataset, words)),
            Section(words("Calibration"), judged.calibration_of(measures.reliability, words, measures.temperature)),
            Section(words("Per class"), judged.classes_of(measures.per_class, measures.classes, words)),
        ],
        language=words.language,
    )


def confusions(measures: Measures, dataset: Dataset, words: Words) -> list[Block]:
    items = []
    for each in measures.confusions:
        where = (each.true == measures.labels) & (each.predicted == measures.evaluation.predictions)
        rows = np.flatnonzero(where)[:EXAMPLES]
        title = f"{measures.classes[each.true]} → {measures.classes[each.predicted]}"
        for row, image in zip(rows, dataset.batch(rows), strict=True):
            said = f"{measures.evaluation.probabilities[row]:.0%}"
            items.append(Thumbnail(thumbnail(image), title, [f"{each.images:,} ×, {said}"]))
    return [Gallery(items)] if items else [Text(words("No mistakes."))]
