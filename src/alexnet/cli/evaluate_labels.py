"""`alexnet evaluate` of a model that may name several labels an image."""

from pathlib import Path
from typing import TYPE_CHECKING

from alexnet.cli.evaluate_corruptions import say_robustness
from alexnet.cli.screen import print_json, say, table
from alexnet.errors import InputError, counted

if TYPE_CHECKING:
    from alexnet.data.dataset import Dataset
    from alexnet.inference.label_measures import LabelMeasures
    from alexnet.inference.model import Model

_CLASSES = 40  # up to which the table of classes is printed without being asked for


def refuse_reject(given: bool) -> None:
    """InputError for a probability below which answers are rejected: each label has a threshold of its own."""
    if given:
        raise InputError(
            "--reject is for models that name one class; this one names several labels an image, each from a threshold "
            "of its own, and none where none is reached"
        )


def tell(
    measures: "LabelMeasures", model: "Model", dataset: "Dataset", what: str, *,
    out: Path | None, page: Path | None, per_class: bool, as_json: bool,
) -> None:  # fmt: skip
    """Writes and prints what was measured. what: MODEL, as the user wrote it."""
    from alexnet.inference.data import fitted
    from alexnet.inference.exported import loss_of
    from alexnet.inference.label_measures import write_label_predictions
    from alexnet.inference.model import is_exported

    if out is not None:
        write_label_predictions(measures, dataset.names, out)
    if page is not None:
        from alexnet.files import write_text
        from alexnet.insight.evaluated_labels import describe
        from alexnet.pages import html

        write_text(page, html.render(describe(measures, fitted(model, dataset), what)))
    if as_json:
        print_json(measures.to_json())
        return
    _print(measures, per_class)
    if measures.robustness:
        say_robustness(measures.robustness)
    if is_exported(Path(what)):
        say(loss_of(model.card, measures.evaluation.figures, what))
    for target in (out, page):
        if target is not None:
            say(f"wrote {target}")


def _print(measures: "LabelMeasures", every: bool) -> None:
    from alexnet.inference.metrics import told_unknown
    from alexnet.pages.text import decimals, percent

    figures, each = measures.evaluation.figures, measures.evaluation.per_label
    low, high = measures.intervals["map"]
    views = f", {figures.views} views each" if figures.views > 1 else ""
    say(
        f"mAP {figures.map:.2%}   micro F1 {figures.micro_f1:.4f}   macro F1 {figures.macro_f1:.4f}   "
        f"loss {figures.loss:.4f}   {counted(figures.count, 'image')} in {figures.precision}{views}"
    )
    say(f"95 % interval of mAP (bootstrap): {percent(low)} to {percent(high)}")
    say(str(measures.measured))
    chosen = measures.thresholds
    how = f"thresholds chosen on {counted(chosen.count, f'{chosen.split} image')}" if chosen else "a threshold of 0.5"
    say(f"at {how}: {figures.label_accuracy:.2%} of all labels right, every label of {figures.exact:.2%} of the images")
    applied = "" if measures.temperature is None else f" (temperature {measures.temperature:.3f} applied)"
    say(f"expected calibration error {measures.reliability.ece:.2%}{applied}")
    for line, names in told_unknown(each.recall, each.f1, measures.classes, "mAP"):
        say(line.format(**names))
    if every or len(measures.classes) <= _CLASSES:
        lines = (
            (
                name,
                *(percent(values[k]) for values in (each.average_precision, each.precision, each.recall)),
                decimals(each.f1[k]),
                f"{measures.evaluation.thresholds[k]:.4f}",
                each.support[k],
            )
            for k, name in enumerate(measures.classes)
        )
        table(("class", "AP>", "precision>", "recall>", "F1>", "threshold>", "images>"), lines)
