"""An evaluation of several labels an image as a page: figures, the worst mistakes, calibration, every label."""

from alexnet.data.dataset import Dataset
from alexnet.inference import metrics
from alexnet.inference.label_measures import LabelMeasures
from alexnet.insight.report import judged, several
from alexnet.insight.thumbnails import thumbnail
from alexnet.pages.document import Block, Document, Gallery, Section, Text, Thumbnail, Tile
from alexnet.pages.text import Words, decimals, percent

EXAMPLES = 24
"""Mistakes that are shown."""


def describe(measures: LabelMeasures, dataset: Dataset, name: str, words: Words | None = None) -> Document:
    """The page; `dataset`: the images that were evaluated, in the model's classes."""
    words = words or Words()
    seen = measures.evaluation
    figures, bounds = seen.figures, measures.intervals
    tiles = [
        Tile(words("mAP"), percent(figures.map), "95 %: {} – {}".format(*map(percent, bounds["map"]))),
        Tile(words("micro F1"), f"{figures.micro_f1:.4f}", "95 %: {} – {}".format(*map(decimals, bounds["micro_f1"]))),
        Tile(words("macro F1"), f"{figures.macro_f1:.4f}", words("mean over the labels")),
        Tile(words("every label right"), percent(figures.exact),
             words("{share} of all labels right", share=percent(figures.label_accuracy))),
        Tile(words("calibration error"), percent(measures.reliability.ece), words("{bins} bins", bins=metrics.BINS)),
    ]  # fmt: skip
    return Document(
        title=words("Evaluation of {name}", name=name),
        about=words.counted(
            figures.count, "1 image, {precision}", "{count} images, {precision}", precision=figures.precision
        ),
        tiles=tiles,
        notes=[str(measures.measured)] if measures.measured else [],
        all_sections=[
            Section(words("Worst mistakes"), mistakes(measures, dataset, words)),
            Section(words("Calibration"), judged.calibration_of(measures.reliability, words, measures.temperature)),
            Section(
                words("Per class"),
                several.labels_of(seen.per_label, measures.thresholds, seen.thresholds, measures.classes, words),
            ),
        ],
        language=words.language,
    )


def mistakes(measures: LabelMeasures, dataset: Dataset, words: Words) -> list[Block]:
    """The images with a wrong label and the highest losses: their labels, and those that they are given."""
    seen, classes = measures.evaluation, measures.classes
    rows = seen.worst(EXAMPLES)
    if not rows.size:
        return [Text(words("No mistakes."))]
    items = [
        Thumbnail(
            thumbnail(image),
            several.named(classes, seen.targets[row]),
            [f"→ {several.named(classes, seen.given[row])}", f"{seen.probabilities[row].max():.0%}"],
        )
        for row, image in zip(rows, dataset.batch(rows), strict=True)
    ]
    caption = "True labels, and below them the labels that are given, with the probability of the likeliest label."
    return [Text(words(caption)), Gallery(items)]
