"""An evaluation in full: per class, balanced, calibrated, with intervals; as JSON and as a table of every image."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.errors import InputError
from alexnet.files import write_bytes
from alexnet.inference import metrics
from alexnet.inference.data import Measured
from alexnet.inference.evaluate import Evaluation
from alexnet.inference.robustness import Robustness

CONFUSIONS = 10
FORMATS = (".csv", ".jsonl", ".parquet")
MEANS = ("precision", "recall", "f1")
COLUMNS = ("name", "label", "predicted", "probability", "loss", "correct")


@dataclass(frozen=True)
class Measures:
    """What `alexnet evaluate` reports of one split."""

    evaluation: Evaluation
    labels: np.ndarray
    classes: Sequence[str]
    reject: float | None = None
    """Probability below which a prediction is rejected."""
    temperature: float | None = None
    """By which the probabilities were divided; None: as the network gives them."""
    intervals: dict[str, metrics.Interval] = field(default_factory=dict)
    copies: np.ndarray | None = None
    """Bool [n]: copies of training images or of earlier ones (`data.repeated`); None: not looked for."""
    robustness: Robustness | None = None
    measured: Measured | None = None
    """Which images these are; None: not said."""

    @property
    def without_copies(self) -> tuple[int, float] | None:
        """How many images are left without the copies, and the top-1 accuracy on them; None where nothing is."""
        kept = None if self.copies is None else ~self.copies
        return None if kept is None or not kept.any() else (int(kept.sum()), float(self.correct[kept].mean()))

    @property
    def correct(self) -> np.ndarray:
        return self.evaluation.predictions == self.labels

    @property
    def per_class(self) -> metrics.PerClass:
        return metrics.per_class(self.evaluation.confusion)

    @property
    def reliability(self) -> metrics.Reliability:
        return metrics.reliability(self.evaluation.probabilities, self.correct)

    @property
    def covered(self) -> metrics.Covered | None:
        if self.reject is None:
            return None
        return metrics.covered(self.evaluation.probabilities, self.correct, self.reject)

    @property
    def confusions(self) -> list[metrics.Confused]:
        return metrics.top_confusions(self.evaluation.confusion, CONFUSIONS)

    def to_json(self) -> dict[str, Any]:
        """The figures (top1, top5, loss, count, precision …), then balanced_accuracy, majority, macro, intervals,
        ece, per_class, confusions, without_duplicates, measured (which images these are), and what was asked for. A
        figure of a class that cannot be known is null; macro_without names the classes that each mean leaves out for
        it."""
        each, (most, share) = self.per_class, metrics.majority(self.labels)
        content = self.evaluation.figures.to_json() | {
            "balanced_accuracy": metrics.balanced_accuracy(self.evaluation.confusion),
            "majority": {"label": self.classes[most], "accuracy": share},
            "macro": {name: metrics.known(each.macro(name)) for name in MEANS},
            "macro_without": {name: metrics.unknown_of(getattr(each, name), self.classes) for name in MEANS},
            "intervals": {name: [metrics.known(each) for each in bounds] for name, bounds in self.intervals.items()},
            "ece": self.reliability.ece,
            "per_class": [
                {
                    "label": name,
                    **{name: metrics.known(getattr(each, name)[i]) for name in MEANS},
                    "support": int(each.support[i]),
                }
                for i, name in enumerate(self.classes)
            ],
            "confusions": [
                {"label": self.classes[c.true], "predicted": self.classes[c.predicted], "count": c.images}
                for c in self.confusions
            ],
        }
        if found := self.without_copies:
            content["without_duplicates"] = {"count": found[0], "top1": found[1]}
        if self.measured is not None:
            content["measured"] = self.measured.to_json()
        if self.robustness is not None:
            content["robustness"] = self.robustness.to_json()
        if self.temperature is not None:
            content["temperature"] = self.temperature
        if found := self.covered:
            accuracy = metrics.known(found.accuracy)
            content["reject"] = {"threshold": self.reject, "coverage": found.coverage, "accuracy": accuracy}
        return content


def measure(
    evaluation: Evaluation,
    labels: np.ndarray,
    classes: Sequence[str],
    *,
    reject: float | None = None,
    temperature: float | None = None,
    copies: np.ndarray | None = None,
) -> Measures:
    """`labels`: int64 [n], the true classes as indices into `classes`. InputError for a threshold that is none."""
    if reject is not None and not 0 <= reject <= 1:
        raise InputError(f"--reject takes a probability from 0 to 1, not {reject:g}")
    intervals = metrics.intervals_of(evaluation.confusion)
    return Measures(evaluation, labels, classes, reject, temperature, intervals, copies)


def check_format(out: Path) -> None:
    """InputError unless the file's extension names a format of `write_predictions`, whose library is there."""
    if out.suffix.lower() not in FORMATS:
        raise InputError(f"--out names a format by its extension: {', '.join(FORMATS)}, not {out.suffix or out.name!r}")
    if out.suffix.lower() == ".parquet":
        _parquet()


def write_predictions(measures: Measures, names: Sequence[str], out: Path) -> None:
    """One row for each image, in the set's order: COLUMNS."""
    write_rows(COLUMNS, _rows(measures, names), out)


def write_rows(head: Sequence[str], rows: Iterable[Sequence[Any]], out: Path) -> None:
    """A table with these columns, as the extension of `out`, one of FORMATS, says."""
    match out.suffix.lower():
        case ".csv":
            text = io.StringIO()
            writer = csv.writer(text)
            writer.writerow(head)
            writer.writerows(rows)
            content = text.getvalue().encode("utf-8", "backslashreplace")
        case ".jsonl":
            lines = (json.dumps(dict(zip(head, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)
            content = "".join(lines).encode("utf-8", "backslashreplace")
        case _:
            arrow, parquet = _parquet()
            columns = zip(*rows, strict=True)
            table = arrow.table(dict(zip(head, map(list, columns), strict=True)))
            file = io.BytesIO()
            parquet.write_table(table, file)
            content = file.getvalue()
    write_bytes(out, content)


def _rows(measures: Measures, names: Sequence[str]) -> Iterator[tuple[str, str, str, float, float, bool]]:
    said, classes = measures.evaluation, measures.classes
    for i, name in enumerate(names):
        label, predicted = classes[int(measures.labels[i])], classes[int(said.predictions[i])]
        shown = name.encode("utf-8", "backslashreplace").decode()
        yield shown, label, predicted, float(said.probabilities[i]), float(said.losses[i]), bool(measures.correct[i])


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError("Parquet needs pyarrow: pip install 'alexnet[tables]'") from None
    return pyarrow, pyarrow.parquet
