"""The model card: what a model is, was trained on, can do and cannot, in the form that model hubs read."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexnet.artifacts.card import UNKNOWN, Card, RunCard
from alexnet.artifacts.figures import Figures, LabelFigures
from alexnet.artifacts.run import BEST, CARD, Run
from alexnet.errors import InputError, counted
from alexnet.inference.data import dataset_for
from alexnet.inference.evaluate import Evaluation
from alexnet.inference.label_evaluation import LabelEvaluation, evaluate
from alexnet.inference.metrics import known, per_class
from alexnet.inference.model import Model
from alexnet.models import catalog

# What the Hugging Face hub calls these sets.
_HUB_SETS = {
    "mnist": "ylecun/mnist",
    "fashion-mnist": "zalando-datasets/fashion_mnist",
    "cifar10": "uoft-cs/cifar10",
    "cifar100": "uoft-cs/cifar100",
}
FOLDER = "FOLDER"
"""What a model card says where a whole folder is loaded."""
_ROWS = 50  # classes in the table; the JSON has all


@dataclass(frozen=True)
class Measured:
    """The evaluation that a card quotes."""

    split: str
    evaluation: Evaluation | LabelEvaluation

    def per_class(self, classes: tuple[str, ...]) -> list[dict[str, Any]]:
        """Precision and recall of each class (None where nothing was there to find or found), and its images; of
        several labels an image also its average precision and its threshold."""
        if isinstance(self.evaluation, LabelEvaluation):
            return self._per_label(self.evaluation, classes)
        found = per_class(self.evaluation.confusion)
        return [
            {
                "name": name,
                "precision": known(found.precision[i]),
                "recall": known(found.recall[i]),
                "images": int(found.support[i]),
            }
            for i, name in enumerate(classes)
        ]

    def _per_label(self, evaluation: LabelEvaluation, classes: tuple[str, ...]) -> list[dict[str, Any]]:
        found = evaluation.per_label
        return [
            {
                "name": name,
                "precision": known(found.precision[k]),
                "recall": known(found.recall[k]),
                "images": int(found.support[k]),
                "average_precision": known(found.average_precision[k]),
                "threshold": float(evaluation.thresholds[k]),
            }
            for k, name in enumerate(classes)
        ]


def measure(model: Model, data: Path | None) -> Measured | None:
    """Evaluates on the test split, else on the validation split; None where the model's own images are not found.

    With `data`, on its images; InputError when they cannot be used.
    """
    splits = (None,) if data is not None else ("test", "validation")
    for split in splits:
        try:
            evaluation = evaluate(model, dataset_for(model, data, split))
        except InputError:
            if data is not None:
                raise
            continue
        return Measured(split or "given", evaluation)
    return None


def build(model: Model, data: Path | None, beside: str, load: str = BEST) -> tuple[str, dict[str, Any]]:
    """The card as Markdown with a YAML head, and as JSON (`beside` is the JSON file's name; `load`: what is loaded)."""
    measured, card = measure(model, data), model.card.public()
    rows = measured.per_class(model.classes) if measured else []
    recipe = _recipe(model.path)
    content = {
        "card": card.to_json(),
        "measured": {"split": measured.split, **measured.evaluation.figures.to_json()} if measured else None,
        "per_class": rows,
        "recipe": recipe,
    }
    return _markdown(card, measured, rows, recipe, beside, load), content


def _recipe(path: Path) -> str | None:
    """The run's recipe; of the weights that it began with, the file's name without its folder."""
    run = Run(path)
    return re.sub(r'(?m)^(weights = ").*/', r"\1", run.recipe_text) if run.is_run else None


def _markdown(
    card: Card, measured: Measured | None, rows: list[dict[str, Any]], recipe: str | None, beside: str, load: str
) -> str:
    parts = [
        f"# {card.name}",
        _about(card),
        "## Use",
        _use(card, load),
        "## Data",
        _data(card),
        "## Training",
        _training(card, recipe),
        "## Figures",
        _figures(card, measured),
        "## Per class",
        _classes(rows, beside),
        "## Limits",
        "\n".join(f"- {line}" for line in _limits(card, rows)),
        "## License and source",
        _license(card),
    ]
    return _head(card, measured) + "\n\n".join(parts) + "\n"


def _head(card: Card, measured: Measured | None) -> str:
    """The YAML between the dashes. Values are JSON, which YAML reads."""
    fields: dict[str, Any] = {
        "license": card.license.lower(),
        "library_name": "alexnet",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "alexnet", "pytorch", card.name],
        "metrics": ["mean_average_precision", "f1"] if card.multilabel else ["accuracy"],
    }
    if card.multilabel:
        fields["tags"].append("multi-label")
    trained_on = card.data.name if isinstance(card, RunCard) else None
    if trained_on in _HUB_SETS:
        fields["datasets"] = [_HUB_SETS[trained_on]]
    if measured and trained_on:
        figures = measured.evaluation.figures
        results = {
            "task": {"type": "image-classification"},
            "dataset": {"name": trained_on, "type": _HUB_SETS.get(trained_on, trained_on), "split": measured.split},
            "metrics": [
                {"type": kind, "name": f"{name} ({figures.precision})", "value": round(value, 6)}
                for kind, name, value in _quoted(figures)
            ],
        }
        fields["model-index"] = [{"name": card.name, "results": [results]}]
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()]
    return "\n".join(["---", *lines, "---", "", ""])


def _quoted(figures: Figures | LabelFigures) -> list[tuple[str, str, float]]:
    """The figures as a hub lists them: kind, name, value."""
    if isinstance(figures, LabelFigures):
        return [
            ("mean_average_precision", "mAP", figures.map),
            ("f1", "micro F1", figures.micro_f1),
            ("f1", "macro F1", figures.macro_f1),
            ("loss", "binary cross-entropy", figures.loss),
        ]
    return [
        ("accuracy", "top-1", figures.top1),
        ("accuracy", "top-5", figures.top5),
        ("loss", "cross-entropy", figures.loss),
    ]


def _about(card: Card) -> str:
    spec = catalog.get(card.name)
    channels, height, width = card.input
    shape = f"{height} × {width} pixels, {channels} channel{'s' if channels > 1 else ''}"
    return (
        f"{spec.title} ({spec.dated}): {card.parameters:,} parameters, images of {shape}, "
        f"{len(card.classes)} classes: {_listed(card.classes)}. Architecture: {spec.source}."
    )


def _use(card: Card, load: str) -> str:
    wants = card.preprocessing
    mean = _listed(wants.mean)
    if wants.mean_image:
        mean = "the mean image of card.mean.safetensors (of a larger one its center)"
    opened = f'model = alexnet.load("{load}")  # with {CARD} {"in" if load == FOLDER else "beside"} it'
    return (
        "```python\n"
        "import alexnet\n\n"
        f"{opened}\n"
        'alexnet.predict(model, ["image.png"], top=3)\n'
        "```\n\n"
        f"Images are decoded as {wants.colors}, fitted to {wants.size[0]} × {wants.size[1]} "
        f"({wants.fit}{f', short side {wants.resize} first' if wants.resize else ''}), then "
        f"({wants.scale:g} · pixel − {mean}) / {_listed(wants.std)}."
    )


def _data(card: Card) -> str:
    if not isinstance(card, RunCard):
        return "Not stated."
    data = card.data
    counts = {"training": data.train, "test": data.test}
    if not data.validation_is_test:
        counts["validation"] = data.validation
    listed = ", ".join(f"{count:,} {split}" for split, count in counts.items() if count)
    lines = [f"Dataset: {data.name} ({listed} images), fingerprint `{data.fingerprint}`."]
    if data.skipped:
        lines.append(f"{counted(data.skipped, 'file')} that could not be read or used: left out.")
    return " ".join(lines)


def _training(card: Card, recipe: str | None) -> str:
    if not isinstance(card, RunCard):
        return "Not stated."
    figures = card.figures
    seconds = "" if figures.seconds is None else f" in {figures.seconds:,.0f} s"
    lines = [
        f"Recipe {card.recipe}, seed {card.seed}: {counted(figures.epochs, 'epoch')}{seconds}; "
        f"these weights are those of {figures.chosen}."
    ]
    where = {key: value for key, value in card.environment.to_json().items() if value is not None}
    lines.append("Environment: " + ", ".join(f"{key} {value}" for key, value in where.items()) + ".")
    if recipe:
        lines.append(f"```toml\n{recipe.rstrip()}\n```")
    return "\n\n".join(lines)


def _figures(card: Card, measured: Measured | None) -> str:
    rows: list[tuple[str, Figures | LabelFigures]] = []
    if measured:
        rows.append((f"measured, {measured.split}", measured.evaluation.figures))
    elif isinstance(card, RunCard):
        recorded = {"validation": card.figures.validation, "test": card.figures.test}
        rows += [(f"recorded, {split}", found) for split, found in recorded.items() if found]
        if not rows:
            rows.append((f"recorded while training, {card.data.validated_on}", card.figures.in_training))
    names = [name for _, name, _ in _quoted(rows[0][1])] if rows else ["top-1", "top-5", "loss"]
    lines = [f"| {' | '.join(('images', *names, 'count', 'precision'))} |", "| --- " * (len(names) + 3) + "|"]
    for what, found in rows:
        values = [f"{v:.4f}" if kind in ("loss", "f1") else f"{v:.2%}" for kind, _, v in _quoted(found)]
        lines.append(f"| {' | '.join((what, *values, str(found.count), found.precision))} |")
    published = [
        f"- published: {figure.name} {figure.value:g} {figure.unit}".rstrip()
        + (f" ({figure.note})" if figure.note else "")
        for figure in (card.published if isinstance(card, RunCard) else ())
    ]
    return "\n".join([*lines, "", *published]).rstrip()


def _license(card: Card) -> str:
    lines = [f"License of the weights: {card.license}. Source: {card.source or 'not stated'}."]
    if origin := card.origin:
        how = "They were imported from" if origin is card.imported else "Training started from pretrained weights:"
        lines.append(f"{how} {origin.file} ({origin.source}; license: {origin.license}; SHA-256 `{origin.sha256}`).")
    elif card.license == UNKNOWN:
        lines.append("They were trained from initial values: whoever trained them decides on their license.")
    return " ".join(lines)


def _classes(rows: list[dict[str, Any]], beside: str) -> str:
    if not rows:
        return "Not measured: the images are not on the machine that wrote this card."
    found = sorted(rows, key=lambda row: row["recall"] if row["recall"] is not None else 2)
    shown = rows if len(rows) <= _ROWS else found[:_ROWS]
    several = "threshold" in shown[0]
    more = ("AP", "threshold") if several else ()
    lines = [f"| {' | '.join(('class', *more, 'precision', 'recall', 'images'))} |", "| --- " * (4 + len(more)) + "|"]
    for row in shown:
        name = " ".join(row["name"].replace("|", "\\|").split())
        own = (_share(row["average_precision"]), f"{row['threshold']:.4f}") if several else ()
        cells = (name, *own, _share(row["precision"]), _share(row["recall"]), str(row["images"]))
        lines.append(f"| {' | '.join(cells)} |")
    if len(shown) < len(rows):
        lines.append(f"\nThe {len(shown)} classes with the lowest recall; {beside} has all {len(rows)}.")
    return "\n".join(lines)


def _limits(card: Card, rows: list[dict[str, Any]]) -> list[str]:
    names = (
        f"It gives an image any of its {len(card.classes)} labels whose probability reaches "
        f"{'the threshold in its card' if card.thresholds else '0.5'}, also of something else."
        if card.multilabel
        else f"It always names one of its {len(card.classes)} classes, also for an image of something else."
    )
    lines = [
        names,
        "The figures hold for images like those it was measured on; they say nothing about other sources.",
    ]
    if isinstance(card, RunCard) and card.data.validation_is_test:
        lines.append("The test images served as validation, as the recipe's source did: nothing was held back.")
    worst = min((row for row in rows if row["recall"] is not None), key=lambda row: row["recall"], default=None)
    if worst:
        lines.append(f"Its weakest class is {worst['name']}: {worst['recall']:.1%} of its images are recognized.")
    lines += [f"About the architecture: {trap}." for trap in catalog.get(card.name).traps]
    return lines


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _listed(values: Any) -> str:
    shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    return ", ".join(shown[:20]) + (", …" if len(shown) > 20 else "")
