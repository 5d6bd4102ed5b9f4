"""`alexnet evaluate` of a model that may name several labels an image."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexnet.cli.screen import print_json, say, table
from alexnet.errors import InputError

if TYPE_CHECKING:
    from alexnet.data.dataset import Dataset
    from alexnet.inference.label_measures import LabelMeasures
    from alexnet.inference.model import Model

_CLASSES = 40  # up to which the table of classes is printed without being asked for


def refuse(given: Mapping[str, Any]) -> None:
    """InputError for options that need one class an image: option → whether it is given."""
    for option, value in given.items():
        if value:
            raise InputError(f"{option} is for models that name one class; this one names several labels an image")


def evaluate_labels(
    model: "Model", dataset: "Dataset", views: int, out: Path | None, per_class: bool, as_json: bool, what: str
) -> None:
    """Measures, writes and prints. what: MODEL, as the user wrote it."""
    from alexnet.cli.progress import bar
    from alexnet.inference.exported import loss_of
    from alexnet.inference.label_evaluation import evaluate_labels as run
    from alexnet.inference.label_measures import measure_labels, write_label_predictions
    from alexnet.inference.model import is_exported

    with bar("evaluating", quiet=as_json) as progress:
        evaluation = run(model, dataset, progress=progress, views=views)
    measures = measure_labels(evaluation, model.classes, model.card.thresholds)
    if out is not None:
        write_label_predictions(measures, dataset.names, out)
    if as_json:
        print_json(measures.to_json())
        return
    _print(measures, per_class)
    if is_exported(Path(what)):
        say(loss_of(model.card, evaluation.figures, what))
    if out is not None:
        say(f"wrote {out}")


def _print(measures: "LabelMeasures", every: bool) -> None:
    figures, each = measures.evaluation.figures, measures.evaluation.per_label
    low, high = measures.intervals["map"]
    views = f", {figures.views} views each" if figures.views > 1 else ""
    say(
        f"mAP {figures.map:.2%}   micro F1 {figures.micro_f1:.4f}   macro F1 {figures.macro_f1:.4f}   "
        f"loss {figures.loss:.4f}   {figures.count:,} images in {figures.precision}{views}"
    )
    say(f"95 % interval of mAP (bootstrap): {low:.2%} to {high:.2%}")
    chosen = measures.thresholds
    how = f"thresholds chosen on {chosen.count:,} {chosen.split} images" if chosen else "a threshold of 0.5"
    say(f"at {how}: {figures.label_accuracy:.2%} of all labels right, every label of {figures.exact:.2%} of the images")
    unseen = [name for name, support in zip(measures.classes, each.support, strict=True) if not support]
    if unseen:
        say(f"no image has {', '.join(unseen[:10])}{', …' if len(unseen) > 10 else ''}: not in the means over classes")
    if every or len(measures.classes) <= _CLASSES:
        lines = (
            (
                name,
                f"{each.average_precision[k]:.2%}" if each.support[k] else "–",
                f"{each.precision[k]:.2%}",
                f"{each.recall[k]:.2%}",
                f"{each.f1[k]:.4f}",
                f"{measures.evaluation.thresholds[k]:.4f}",
                each.support[k],
            )
            for k, name in enumerate(measures.classes)
        )
        table(("class", "AP>", "precision>", "recall>", "F1>", "threshold>", "images>"), lines)
