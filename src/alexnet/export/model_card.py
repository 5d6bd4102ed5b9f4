"""The model card: what a model is, was trained on, can do and cannot, in the form that model hubs read."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.artifacts.store import Model
from alexnet.errors import InputError
from alexnet.inference.data import dataset_for
from alexnet.inference.evaluate import Evaluation, evaluate
from alexnet.models import catalog

# What the Hugging Face hub calls these sets.
_HUB_SETS = {
    "mnist": "ylecun/mnist",
    "fashion-mnist": "zalando-datasets/fashion_mnist",
    "cifar10": "uoft-cs/cifar10",
    "cifar100": "uoft-cs/cifar100",
}
_ROWS = 50  # classes in the table; the JSON has all


@dataclass(frozen=True)
class Measured:
    """The evaluation that a card quotes."""

    split: str
    evaluation: Evaluation

    def per_class(self, classes: tuple[str, ...]) -> list[dict[str, Any]]:
        """Precision and recall of each class (None where nothing was there to find or found), and its images."""
        confusion = self.evaluation.confusion
        right, true, said = np.diag(confusion), confusion.sum(1), confusion.sum(0)
        return [
            {
                "name": name,
                "precision": int(right[i]) / int(said[i]) if said[i] else None,
                "recall": int(right[i]) / int(true[i]) if true[i] else None,
                "images": int(true[i]),
            }
            for i, name in enumerate(classes)
        ]


def public(card: dict[str, Any]) -> dict[str, Any]:
    """The card without what concerns only the machine that it was written on: where its images lie."""
    data = {key: value for key, value in card.get("data", {}).items() if key != "path"}
    return {**card, "data": data} if "data" in card else dict(card)


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


def build(model: Model, data: Path | None, beside: str) -> tuple[str, dict[str, Any]]:
    """The card as Markdown with a YAML head, and as JSON (`beside` is the JSON file's name)."""
    measured = measure(model, data)
    card = public(model.card)
    content = {
        "card": card,
        "measured": {"split": measured.split, **measured.evaluation.figures.to_json()} if measured else None,
        "per_class": measured.per_class(model.classes) if measured else [],
        "recipe": _recipe(model.path),
    }
    return _markdown(content, beside), content


def _recipe(path: Path) -> str | None:
    """The run's recipe; of the weights that it began with, the file's name without its folder."""
    file = path / "recipe.toml"
    if not file.is_file():
        return None
    return re.sub(r'(?m)^(weights = ").*/', r"\1", file.read_text(encoding="utf-8"))


def _markdown(content: dict[str, Any], beside: str) -> str:
    card = content["card"]
    parts = [
        f"# {card['name']}",
        _about(card),
        "## Use",
        _use(card),
        "## Data",
        _data(card),
        "## Training",
        _training(card, content["recipe"]),
        "## Figures",
        _figures(card, content["measured"]),
        "## Per class",
        _classes(content["per_class"], beside),
        "## Limits",
        "\n".join(f"- {line}" for line in _limits(card, content["per_class"])),
        "## License and source",
        f"License: {card.get('license') or 'not stated'}. Source: {card.get('source') or 'not stated'}.",
    ]
    return _head(card, content["measured"]) + "\n\n".join(parts) + "\n"


def _head(card: dict[str, Any], measured: dict[str, Any] | None) -> str:
    """The YAML between the dashes. Values are JSON, which YAML reads."""
    license = (card.get("license") or "").lower()
    fields: dict[str, Any] = {
        "license": license or "unknown",
        "library_name": "alexnet",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "alexnet", "pytorch", card["name"]],
        "metrics": ["accuracy"],
    }
    trained_on = card.get("data", {}).get("set")
    if trained_on in _HUB_SETS:
        fields["datasets"] = [_HUB_SETS[trained_on]]
    if measured and trained_on:
        results = {
            "task": {"type": "image-classification"},
            "dataset": {"name": trained_on, "type": _HUB_SETS.get(trained_on, trained_on), "split": measured["split"]},
            "metrics": [
                {"type": "accuracy", "name": "top-1", "value": round(measured["top1"], 6)},
                {"type": "accuracy", "name": "top-5", "value": round(measured["top5"], 6)},
                {"type": "loss", "name": "cross-entropy", "value": round(measured["loss"], 6)},
            ],
        }
        fields["model-index"] = [{"name": card["name"], "results": [results]}]
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()]
    return "\n".join(["---", *lines, "---", "", ""])


def _about(card: dict[str, Any]) -> str:
    spec = catalog.CATALOG[card["name"]]
    channels, height, width = card["input"]
    shape = f"{height} × {width} pixels, {channels} channel{'s' if channels > 1 else ''}"
    return (
        f"{spec.title} ({spec.year}): {card.get('parameters', spec.parameters):,} parameters, images of {shape}, "
        f"{len(card['classes'])} classes: {_listed(card['classes'])}. Architecture: {spec.source}."
    )


def _use(card: dict[str, Any]) -> str:
    wants = card["preprocessing"]
    mean = _listed(wants["mean"])
    if "mean_image" in wants:
        mean = "the mean image of card.mean.safetensors (of a larger one its center)"
    return (
        "```python\n"
        "import alexnet\n\n"
        'model = alexnet.load("best.safetensors")  # with card.json beside it\n'
        'alexnet.predict(model, ["image.png"], top=3)\n'
        "```\n\n"
        f"Images are decoded as {wants['colors']}, fitted to {wants['size'][0]} × {wants['size'][1]} "
        f"({wants['fit']}{', short side ' + str(wants['resize']) + ' first' if wants['resize'] else ''}), then "
        f"({wants['scale']:g} · pixel − {mean}) / {_listed(wants['std'])}."
    )


def _data(card: dict[str, Any]) -> str:
    data = card.get("data")
    if not data:
        return "Not stated."
    counts = ", ".join(f"{data[split]:,} {split}" for split in ("train", "validation", "test") if data.get(split))
    lines = [f"Dataset: {data['set']} ({counts}), fingerprint `{data['fingerprint']}`."]
    if data.get("skipped"):
        lines.append(f"{data['skipped']:,} files that could not be read or used were left out.")
    return " ".join(lines)


def _training(card: dict[str, Any], recipe: str | None) -> str:
    figures, where = card.get("figures", {}), card.get("environment", {})
    lines = []
    if figures:
        lines.append(
            f"Recipe {card['recipe']}, seed {card['seed']}: {figures['epochs']} epochs in {figures['seconds']:,.0f} s; "
            f"these weights are those of epoch {figures['best_epoch']}, the best on the validation images."
        )
    if where:
        lines.append("Environment: " + ", ".join(f"{key} {value}" for key, value in where.items()) + ".")
    if recipe:
        lines.append(f"```toml\n{recipe.rstrip()}\n```")
    return "\n\n".join(lines) or "Not stated."


def _figures(card: dict[str, Any], measured: dict[str, Any] | None) -> str:
    rows = []
    if measured:
        rows.append((f"measured, {measured['split']}", measured))
    elif card.get("figures"):
        figures = card["figures"]
        rows.append(("recorded, validation", {"top1": figures["val_accuracy"], "loss": figures["val_loss"]}))
        if figures.get("test"):
            rows.append(("recorded, test", figures["test"]))
    lines = ["| images | top-1 | top-5 | loss | count |", "| --- | --- | --- | --- | --- |"]
    for what, found in rows:
        top5 = f"{found['top5']:.2%}" if "top5" in found else ""
        lines.append(f"| {what} | {found['top1']:.2%} | {top5} | {found['loss']:.4f} | {found.get('count', '')} |")
    published = [
        f"- published: {figure['name']} {figure['value']:g} {figure['unit']}".rstrip()
        + (f" ({figure['note']})" if figure["note"] else "")
        for figure in card.get("published", [])
    ]
    return "\n".join([*lines, "", *published]).rstrip()


def _classes(rows: list[dict[str, Any]], beside: str) -> str:
    if not rows:
        return "Not measured: the images are not on the machine that wrote this card."
    found = sorted(rows, key=lambda row: row["recall"] if row["recall"] is not None else 2)
    shown = rows if len(rows) <= _ROWS else found[:_ROWS]
    lines = ["| class | precision | recall | images |", "| --- | --- | --- | --- |"]
    for row in shown:
        name = " ".join(row["name"].replace("|", "\\|").split())
        lines.append(f"| {name} | {_share(row['precision'])} | {_share(row['recall'])} | {row['images']} |")
    if len(shown) < len(rows):
        lines.append(f"\nThe {len(shown)} classes with the lowest recall; {beside} has all {len(rows)}.")
    return "\n".join(lines)


def _limits(card: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    data = card.get("data", {})
    lines = [
        f"It always names one of its {len(card['classes'])} classes, also for an image of something else.",
        "The figures hold for images like those it was measured on; they say nothing about other sources.",
    ]
    if data.get("validation_is_test"):
        lines.append("The test images served as validation, as the recipe's source did: nothing was held back.")
    worst = min((row for row in rows if row["recall"] is not None), key=lambda row: row["recall"], default=None)
    if worst:
        lines.append(f"Its weakest class is {worst['name']}: {worst['recall']:.1%} of its images are recognized.")
    lines += [f"About the architecture: {trap}." for trap in catalog.CATALOG[card["name"]].traps]
    return lines


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _listed(values: Any) -> str:
    shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    return ", ".join(shown[:20]) + (", …" if len(shown) > 20 else "")
