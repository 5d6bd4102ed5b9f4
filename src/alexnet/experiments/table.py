"""The table of the re-run experiments: published, as published by us, ours."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alexnet.artifacts.card import Environment
from alexnet.artifacts.figures import spread
from alexnet.artifacts.run import Run
from alexnet.experiments.published import Experiment
from alexnet.files import write_json, write_text
from alexnet.insight.compare import compare, repetitions
from alexnet.pages.text import duration

HEAD = (
    "experiment", "published", "as published, by us", "n", "epochs", "time", "ours", "n", "epochs", "time", "hardware",
)  # fmt: skip


@dataclass
class Arm:
    """The runs of one recipe, over seeds, and why there are not more of them."""

    recipe: str
    runs: list[Run] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """recipe, n, seeds, values (accuracies, fractions), mean, std, low, high, epochs, seconds (mean of a run) …

        Runs with the same weights count once, which left_out says. std is the sample's, low and high bound the mean
        with 95 % (None for a single seed); `hardware` is a line for each machine. Accuracy is on the test images (of
        ImageNet, its validation images); where there are none, on those for validation.
        """
        found = compare([run.path for run in self.runs])
        rows = [row for row in found if row["repeats"] is None]
        cards = [run.card for row, run in zip(found, self.runs, strict=True) if row["repeats"] is None]
        values = [row["val_accuracy"] if row["test_accuracy"] is None else row["test_accuracy"] for row in rows]
        several = spread(values) if len(values) > 1 else None
        return {
            "recipe": self.recipe,
            "n": len(rows),
            "seeds": [card.seed for card in cards],
            "values": values,
            "mean": statistics.fmean(values) if values else None,
            "std": several.std if several else None,
            "low": several.low if several else None,
            "high": several.high if several else None,
            "epochs": max((row["epochs"] for row in rows), default=None),
            "seconds": statistics.fmean(row["seconds"] for row in rows) if rows else None,
            "hardware": _distinct(_hardware(card.environment) for card in cards),
            "runs": [run.path.name for run in self.runs],
            "left_out": [*self.left_out, *repetitions(found)],
        }


@dataclass
class Row:
    experiment: Experiment
    arms: dict[str, Arm]
    """'published' and 'ours', as far as the experiment has them."""

    def to_json(self) -> dict[str, Any]:
        figure = self.experiment.figure
        return {
            "name": self.experiment.name,
            "source": self.experiment.first.source,
            "published": figure.value if figure else None,
            "conditions": f"{figure.name}; {figure.note}" if figure else self.experiment.claim,
            "as_published": self.arms["published"].to_json() if "published" in self.arms else None,
            "ours": self.arms["ours"].to_json() if "ours" in self.arms else None,
        }


def cells(rows: Sequence[dict[str, Any]]) -> tuple[list[tuple[str, ...]], list[str]]:
    """The lines under HEAD, and the machines that their last column numbers."""
    machines = _distinct(m for row in rows for arm in _arms(row) for m in arm["hardware"])
    lines = []
    for row in rows:
        numbers = _distinct(str(machines.index(m) + 1) for arm in _arms(row) for m in arm["hardware"])
        published = "–" if row["published"] is None else _fraction(row["published"])
        measured = [cell for arm in (row["as_published"], row["ours"]) for cell in _measured(arm)]
        lines.append((row["name"], published, *measured, ", ".join(sorted(numbers))))
    return lines, machines


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table as Markdown, with the machines, the sources' words and what was left out below it."""
    lines, machines = cells(rows)
    parts = ["# The published experiments, re-run", ""]
    parts += [_line(HEAD), _line(["---"] * 2 + ["---:"] * (len(HEAD) - 3) + ["---"])]
    parts += [_line(line) for line in lines]
    parts += [
        "",
        "Accuracy on test images (ImageNet: validation), mean ± standard deviation over n seeds; mean time of a run.",
        "",
    ]
    parts += [f"Hardware {number}: {machine}.\n" for number, machine in enumerate(machines, 1)]
    parts += ["As published:", ""]
    parts += [f"- {row['name']}: {row['conditions']} ({row['source']})" for row in rows if row["conditions"]]
    if left := left_out(rows):
        parts += ["", "Not run:", "", *(f"- {line}" for line in left)]
    return "\n".join(parts) + "\n"


def left_out(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each thing that was not run, and why."""
    return [f"{arm['recipe']}: {reason}" for row in rows for arm in _arms(row) for reason in arm["left_out"]]


def write(rows: Sequence[Row], out: Path) -> list[dict[str, Any]]:
    """Writes reproduction.md and reproduction.json into `out`; returns what the JSON holds."""
    content = [row.to_json() for row in rows]
    write_text(out / "reproduction.md", markdown(content))
    write_json(out / "reproduction.json", content)
    return content


def _arms(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [row[name] for name in ("as_published", "ours") if row[name]]


def _measured(arm: dict[str, Any] | None) -> tuple[str, str, str, str]:
    if not arm or not arm["n"]:
        return "–", "", "", ""
    accuracy = _fraction(arm["mean"]) + ("" if arm["std"] is None else f" ± {_fraction(arm['std'])}")
    return accuracy, str(arm["n"]), str(arm["epochs"]), duration(arm["seconds"])


def _fraction(value: float) -> str:
    return f"{value:.4f}".lstrip("0")


def _hardware(environment: Environment) -> str:
    where = environment.gpu or f"{environment.cpu}, {environment.threads} of {environment.cores} cores"
    return f"{where}, {environment.precision}, torch {environment.torch}, alexnet {environment.alexnet}"


def _distinct(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '∣') for cell in cells)} |"
