"""Figures: what was measured on how many images at which precision, and how sure it is."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

from alexnet.artifacts.values import MAX_CLASSES, Count, Fraction, Text, Value

CONFIDENCE = 0.95

Loss = Annotated[
    float,
    Field(strict=True, json_schema_extra={"anyOf": [{"type": "number"}, {"type": "null"}]}),
    BeforeValidator(lambda value: math.nan if value is None else value),
    PlainSerializer(lambda value: value if math.isfinite(value) else None),
]
"""Mean cross-entropy in nats; JSON has no number for one that is not finite: null."""


class Figures(Value):
    """One measurement: fractions of `count` images, each measured exactly once."""

    top1: Fraction
    top5: Fraction
    loss: Loss
    mse: Annotated[float, Field(strict=True, ge=0)] | None = None
    """Mean squared error of the probabilities against one-hot labels, over images and classes, as Keras's metric of
    that name (times the number of classes: the Brier score); None: not measured, or not finite."""
    count: Count
    views: Annotated[int, Field(strict=True, ge=1, le=10)] = 1
    """Of each image, whose probabilities were averaged."""
    precision: Text = "fp32"
    """At which the network computed."""
    runtime: Text = "torch"
    """In which it computed."""

    @property
    def interval(self) -> tuple[float, float]:
        """The bounds within which the top-1 accuracy on other images of the kind lies, with 95 %."""
        return interval(self.top1, self.count)

    def to_json(self) -> dict[str, Any]:
        """`views` is left out where there was one, `runtime` where it was PyTorch, `mse` where there is none."""
        return _unusual(super().to_json())


class LabelFigures(Value):
    """One measurement of a model that may name several labels an image."""

    map: Fraction
    """Mean average precision: the mean over the classes that an image has, whatever the thresholds."""
    micro_f1: Fraction
    """Over all labels of all images, at the thresholds."""
    macro_f1: Fraction
    """The mean over the classes that are there or were predicted, at the thresholds."""
    label_accuracy: Fraction
    """The share of right answers among all images and classes, at the thresholds; high where labels are rare."""
    exact: Fraction
    """The share of images with every label right, at the thresholds."""
    loss: Loss
    """Mean binary cross-entropy over images and classes, in nats."""
    count: Count
    views: Annotated[int, Field(strict=True, ge=1, le=10)] = 1
    precision: Text = "fp32"
    runtime: Text = "torch"

    def to_json(self) -> dict[str, Any]:
        """As `Figures.to_json`."""
        return _unusual(super().to_json())


class Thresholds(Value):
    """The probability from which on each class is predicted: what gives it the highest F1 on some images."""

    values: Annotated[tuple[Fraction, ...], Field(min_length=1, max_length=MAX_CLASSES)]
    """One for each class; 0.5 for one that no image has."""
    split: Text
    """On which they were chosen."""
    count: Count


class Calibration(Value):
    """A temperature that was fitted to probabilities: p becomes softmax(log p / temperature), of several labels an
    image sigmoid(logit p / temperature)."""

    temperature: Annotated[float, Field(strict=True, gt=0, le=100)]
    split: Text
    """On which it was fitted."""
    count: Count
    ece_before: Fraction
    """Expected calibration error on that split, as it was."""
    ece_after: Fraction


def _unusual(figures: dict[str, Any]) -> dict[str, Any]:
    usual = ("views", 1), ("runtime", "torch"), ("mse", None)
    return {name: value for name, value in figures.items() if (name, value) not in usual}


def score(figures: Figures | LabelFigures) -> float:
    """What a run is judged by: top-1 accuracy, or mean average precision."""
    return figures.top1 if isinstance(figures, Figures) else figures.map


def name_of(figures: Figures | LabelFigures) -> str:
    """What `score` is."""
    return "accuracy" if isinstance(figures, Figures) else "mAP"


def interval(accuracy: float, count: int) -> tuple[float, float]:
    """Wilson's interval of a fraction of `count` independent images, with 95 % (Wilson 1927, equation 4).

    Unlike mean ± 1.96 standard errors it stays within 0 and 1, and holds for few images and for accuracies near 1.
    """
    if count < 1:
        return 0.0, 1.0
    z = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    center = accuracy + z * z / (2 * count)
    half = z * (accuracy * (1 - accuracy) / count + z * z / (4 * count * count)) ** 0.5
    scale = 1 + z * z / count
    return max((center - half) / scale, 0.0), min((center + half) / scale, 1.0)


@dataclass(frozen=True)
class Spread:
    """Of n accuracies: mean, sample standard deviation, and the interval in which their true mean lies with 95 %.

    Student's t, for independent measurements, cut at 0 and 1. Folds share most of their training images: their
    interval is somewhat too narrow.
    """

    n: int
    mean: float
    std: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Of two accuracies or more."""
    from scipy import stats  # takes longer to import than everything else that reads a card

    mean, std = statistics.fmean(values), statistics.stdev(values)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * std / len(values) ** 0.5
    return Spread(len(values), mean, std, max(mean - half, 0.0), min(mean + half, 1.0))
