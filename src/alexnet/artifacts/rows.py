"""The small files of a run as typed values: epochs, findings, and which image was in which split."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from alexnet.artifacts.figures import Loss
from alexnet.artifacts.values import Count, Fraction, LongText, Number, Text, Value

DIGITS = 16
"""Of each image's SHA-256, hexadecimal: 64 bits, in which a million images have no two alike but by chance of 3e-8."""


class Row(Value):
    """A line of metrics.jsonl: one epoch, at the precision of training."""

    epoch: Count
    seconds: Number
    lr: Number
    train_loss: Loss
    train_accuracy: Fraction
    val_loss: Loss
    val_accuracy: Fraction
    val_top5: Fraction
    images_per_second: Number


class LabelRow(Value):
    """A line of metrics.jsonl where an image may have several labels; they are named from a probability of 0.5 on."""

    epoch: Count
    seconds: Number
    lr: Number
    train_loss: Loss
    train_label_accuracy: Fraction
    """The share of right answers among all images and classes."""
    val_loss: Loss
    val_map: Fraction
    """Mean average precision."""
    val_micro_f1: Fraction
    val_macro_f1: Fraction
    val_label_accuracy: Fraction
    val_exact: Fraction
    """The share of images with every label right."""
    images_per_second: Number


class Finding(Value):
    """A line of findings.jsonl: what went wrong, its likely cause and its fix."""

    kind: Text
    epoch: Count
    step: Count
    seen: LongText
    cause: LongText
    fix: LongText


def score_key(rows: Iterable[Mapping[str, Any]]) -> str:
    """By which of their fields epochs are judged: accuracy, or where images have several labels mAP."""
    return "val_map" if any("val_map" in row for row in rows) else "val_accuracy"


def score_of(row: Mapping[str, Any]) -> float:
    """By what an epoch is judged: its accuracy, or mAP."""
    return row[score_key([row])]


Names = Annotated[tuple[LongText, ...], Field(max_length=20_000_000)]
Digests = Annotated[tuple[Annotated[str, Field(pattern=f"^[0-9a-f]{{{DIGITS}}}$")], ...], Field(max_length=20_000_000)]


class Split(Value):
    """split.json: the images of a run, one by one."""

    validation: Names
    """The names of the images that validate: a split that was cut is cut again exactly."""
    digests: dict[Text, Digests]
    """Of the images of train, validation and test: the first 16 hexadecimal digits of their SHA-256."""
    quarantined: Names = ()
    """The names of training images that the run's quarantine list left out."""
    paths: Annotated[tuple[LongText, ...], Field(max_length=10)] = ()
    """Where the images were on the machine that trained, which `seal` vouches for."""
    seal: Text = ""


def digests(dataset_digests: np.ndarray) -> tuple[str, ...]:
    """Rows of SHA-256 (uint8 n × 32) as `Split.digests` has them."""
    text = np.ascontiguousarray(dataset_digests[:, : DIGITS // 2]).tobytes().hex()
    return tuple(text[start : start + DIGITS] for start in range(0, len(text), DIGITS))
