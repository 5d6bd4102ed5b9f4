"""Runs beside each other: accuracy by epoch and by seconds, size, cost, and what was published."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.files import check_target, write_text
from alexnet.insight import paired, plots
from alexnet.pages import html
from alexnet.pages.document import Block, Document, Picture, Section, Table
from alexnet.pages.text import duration, percent

HEAD = ("run", "network", "parameters", "MFLOPs", "epochs", "time", "validation", "test", "published")


def compare(runs: Sequence[Path]) -> list[dict[str, Any]]:
    """One dict per run: name, network, parameters, flops, epochs, seconds, val_accuracy, test_accuracy, published.

    Accuracies are fractions, None where there is none. Raises InputError for what is not a run with a finished epoch.
    """
    return [_row(run) for run in runs]


def write_comparison(runs: Sequence[Path], out: Path) -> None:
    """Writes a self-contained page of `runs` to `out`. InputError as `compare`, and when `out` cannot be a file."""
    check_target(out)
    rows = compare(runs)
    metrics = {row["name"]: Run(run).metrics for row, run in zip(rows, runs, strict=True)}
    if len(metrics) < len(rows):
        raise InputError("two runs have the same name; give each folder a name of its own")
    with tempfile.TemporaryDirectory() as folder:
        by_epoch, by_seconds = Path(folder) / "epoch.png", Path(folder) / "seconds.png"
        published = {row["name"]: row["published"] for row in rows if row["published"] is not None}
        plots.curves_side_by_side(metrics, by_epoch, "epoch", published)
        plots.curves_side_by_side(metrics, by_seconds, "seconds", published)
        opened = [Run(run) for run in runs]
        tested, warnings = paired.pairs(opened)
        names = tuple(metrics)
        recipes, classes = paired.recipe_differences(opened), paired.class_differences(opened)
        document = Document(
            " · ".join(metrics),
            notes=warnings,
            all_sections=[
                Section("Figures", [Table(HEAD, [line(row) for row in rows])]),
                Section("Is one better?", [Table(paired.PAIRS, list(paired.lines(tested)))] if tested else []),
                Section("Recipes: what differs", [Table(("key", *names), recipes)] if recipes else []),
                Section("Published", _published(runs)),
                Section("By epoch", [Picture(by_epoch.read_bytes(), "Loss and accuracy by epoch")]),
                Section("By time", [Picture(by_seconds.read_bytes(), "Loss and accuracy by seconds of training")]),
                Section("Recall by class", [Table(("class", *names), classes)] if classes else []),
            ],
        )
    write_text(out, html.render(document))


def line(row: dict[str, Any]) -> tuple[str, ...]:
    """A row of `compare` as cells under HEAD."""
    return (
        row["name"],
        row["network"],
        f"{row['parameters']:,}",
        f"{row['flops'] / 1e6:,.1f}",
        str(row["epochs"]),
        duration(row["seconds"]),
        percent(row["val_accuracy"]),
        percent(row["test_accuracy"]),
        percent(row["published"]),
    )


def _published(runs: Sequence[Path]) -> list[Block]:
    """All that the sources say, also where it is no accuracy."""
    lines = [
        (run.name, figure.name, f"{figure.value:g}", figure.unit, figure.note)
        for run in runs
        for figure in Run(run).card.published
    ]
    return [Table(("run", "what", "value", "unit", "conditions"), lines)] if lines else []


def _row(run: Path) -> dict[str, Any]:
    card = Run(run).card
    figures = card.figures
    # Until a run has ended, what stands in its last rows is all that there is.
    during = {card.data.validated_on: figures.in_training}
    validation, test = figures.validation or during.get("validation"), figures.test or during.get("test")
    return {
        "name": run.name,
        "network": card.name,
        "parameters": card.parameters,
        "flops": card.flops,
        "epochs": figures.epochs,
        "seconds": figures.seconds,
        "val_accuracy": validation.top1 if validation else None,
        "test_accuracy": test.top1 if test else None,
        "published": plots.published_accuracy(card.published),
    }
