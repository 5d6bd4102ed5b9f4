"""An evaluation of several labels an image in full: per class, with intervals; as JSON, and as a table of images."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.artifacts.figures import Thresholds
from alexnet.inference import label_metrics as metrics
from alexnet.inference.data import Measured
from alexnet.inference.label_evaluation import LabelEvaluation
from alexnet.inference.measures import MEANS, write_rows
from alexnet.inference.metrics import Interval, Reliability, known
from alexnet.inference.robustness import Robustness

COLUMNS = ("name", "labels", "predicted", "loss", "correct")


@dataclass(frozen=True)
class LabelMeasures:
    """What `alexnet evaluate` reports of one split of images with several labels."""

    evaluation: LabelEvaluation
    classes: Sequence[str]
    thresholds: Thresholds | None
    """Those of the card; None: 0.5."""
    temperature: float | None = None
    """By which the logits were divided; None: as the network gives them."""
    intervals: dict[str, Interval] = field(default_factory=dict)
    robustness: Robustness | None = None
    measured: Measured | None = None
    """Which images these are; None: not said."""

    @property
    def reliability(self) -> Reliability:
        return metrics.reliability(self.evaluation.targets, self.evaluation.probabilities)

    def to_json(self) -> dict[str, Any]:
        """The figures (map, micro_f1, macro_f1, label_accuracy, exact, loss, count, precision …), then intervals, ece,
        thresholds (where they come from; None: 0.5), per_class, and where they are there measured (which images these
        are), the temperature that was applied and robustness. A figure of a class that cannot be known is null, and in
        no mean."""
        each, said = self.evaluation.per_label, self.thresholds
        chosen = {"split": said.split, "count": said.count} if said else None
        applied: dict[str, Any] = {} if self.temperature is None else {"temperature": self.temperature}
        if self.measured is not None:
            applied["measured"] = self.measured.to_json()
        if self.robustness is not None:
            applied["robustness"] = self.robustness.to_json()
        return self.evaluation.figures.to_json() | {
            "intervals": {name: [known(each) for each in bounds] for name, bounds in self.intervals.items()},
            "ece": self.reliability.ece,
            "thresholds": chosen,
            "per_class": [
                {
                    "label": name,
                    **{name: known(getattr(each, name)[k]) for name in ("average_precision", *MEANS)},
                    "threshold": float(self.evaluation.thresholds[k]),
                    "support": int(each.support[k]),
                }
                for k, name in enumerate(self.classes)
            ],
            **applied,
        }


def measure_labels(
    evaluation: LabelEvaluation,
    classes: Sequence[str],
    thresholds: Thresholds | None,
    temperature: float | None = None,
) -> LabelMeasures:
    intervals = metrics.bootstrap(evaluation.targets, evaluation.probabilities, evaluation.thresholds)
    return LabelMeasures(evaluation, classes, thresholds, temperature, intervals)


def write_label_predictions(measures: LabelMeasures, names: Sequence[str], out: Path) -> None:
    """One row for each image, in the set's order: COLUMNS and the probability of each class under the class's name.
    Labels are lists, as JSON."""
    probabilities = [f"probability {name}" for name in measures.classes]
    write_rows((*COLUMNS, *probabilities), _rows(measures, names), out)


def _rows(measures: LabelMeasures, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    said, classes = measures.evaluation, measures.classes
    true, given = said.targets > 0, said.given
    for i, name in enumerate(names):
        shown = name.encode("utf-8", "backslashreplace").decode()
        own, found = (json.dumps(_named(row, classes), ensure_ascii=False) for row in (true[i], given[i]))
        yield (shown, own, found, float(said.losses[i]), bool((true[i] == given[i]).all()),
               *map(float, said.probabilities[i]))  # fmt: skip


def _named(row: np.ndarray, classes: Sequence[str]) -> list[str]:
    return [classes[int(k)] for k in np.flatnonzero(row)]
