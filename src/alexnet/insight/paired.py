"""Runs on the same images: what differs in their recipes, and whether one is better than another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from alexnet.artifacts.predictions import Predictions
from alexnet.artifacts.run import Run
from alexnet.inference import metrics
from alexnet.pages.text import ENGLISH, Words
from alexnet.recipes import recipe as recipes

ALPHA = 0.05
_SAID = ("name", "title", "source", "published")  # what a recipe says of itself changes no step


@dataclass(frozen=True)
class Pair:
    """Two runs on the same images."""

    first: str
    second: str
    split: str
    count: int
    found: metrics.Paired

    def verdict(self, words: Words = ENGLISH) -> str:
        """What the two tests allow to be said, and no more."""
        better = self.first if self.found.difference > 0 else self.second
        if self.found.p < ALPHA and not self.found.low <= 0 <= self.found.high:
            return words("{run} is better on these images", run=better)
        return words("no difference is shown")


def pairs(runs: Sequence[Run], words: Words = ENGLISH) -> tuple[list[Pair], list[str]]:
    """Every two runs that were measured on the same images, by name and label; and a warning for every two that were
    not. Of several labels an image nothing is tested: an image is then right in parts."""
    if runs and runs[0].card.multilabel:
        return [], [words("figures are mAP; whether one run is better than another is not tested")]
    found = [(run, run.predictions) for run in runs]
    measured: list[Pair] = []
    warnings = [words("{run} has no predictions.npz: it is compared by its figures only", run=run.path.name)
                for run, said in found if said is None]  # fmt: skip
    for (one, first), (two, second) in combinations(found, 2):
        if first is None or second is None:
            continue
        if (order := _same_images(one, first, two, second)) is None:
            warnings.append(
                words(
                    "{one} and {two} were measured on different images or classes ({first}, {second}): their "
                    "accuracies do not say which is better",
                    one=one.path.name,
                    two=two.path.name,
                    first=_images(len(first.labels), first.split, words),
                    second=_images(len(second.labels), second.split, words),
                )
            )
            continue
        tested = metrics.paired((first.predictions == first.labels), (second.predictions == second.labels)[order])
        measured.append(Pair(one.path.name, two.path.name, first.split, len(first.labels), tested))
    return measured, warnings


def _images(count: int, split: str, words: Words) -> str:
    return f"{count:,} {words(split)}"


def _same_images(one: Run, first: Predictions, two: Run, second: Predictions) -> np.ndarray | None:
    """The rows of `second` in the order of `first`; None where names or true classes are others."""
    place = {name: row for row, name in enumerate(second.names)}
    if len(place) != len(second.names) or len(first.names) != len(second.names) or not set(first.names) <= set(place):
        return None
    order = np.array([place[name] for name in first.names], np.int64)
    ours, theirs = one.card.classes, two.card.classes
    same = all(ours[i] == theirs[j] for i, j in zip(first.labels, second.labels[order], strict=True))
    return order if same else None


def recipe_differences(runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """(key, a value for each run) for every key in which their recipes differ."""
    flat = [{key: repr(value) for key, value in recipes.flat(run.recipe)} for run in runs]
    keys = dict.fromkeys(key for each in flat for key in each if key.split(".")[0] not in _SAID)
    rows = [(key, *(each.get(key, "–") for each in flat)) for key in keys]
    return [row for row in rows if len(set(row[1:])) > 1]


def class_differences(runs: Sequence[Run], most: int = 20) -> list[tuple[str, ...]]:
    """(class, recall of each run) where all have predictions of the same classes; the most different classes first."""
    if runs[0].card.multilabel:
        return []
    said = [(run.card.classes, run.predictions) for run in runs]
    classes = said[0][0]
    known = [found for names, found in said if found is not None and names == classes]
    if len(known) < len(runs) or len(runs) < 2:
        return []
    matrices = (metrics.confusion_of(found.labels, found.predictions, len(classes)) for found in known)
    recalls = np.array([metrics.per_class(matrix).recall for matrix in matrices])
    order = np.argsort(-np.ptp(recalls, 0), kind="stable")[:most]
    return [(classes[i], *(f"{recall:.2%}" for recall in recalls[:, i])) for i in order if np.ptp(recalls[:, i]) > 0]


def lines(pairs: Sequence[Pair], words: Words = ENGLISH) -> Iterator[tuple[str, ...]]:
    """Cells under PAIRS."""
    for each in pairs:
        found = each.found
        yield (
            f"{each.first} − {each.second}",
            _images(each.count, each.split, words),
            f"{found.difference:+.2%}",
            words("{low} to {high}", low=f"{found.low:+.2%}", high=f"{found.high:+.2%}"),
            f"{found.only_first:,} / {found.only_second:,}",
            f"{found.p:.2g}",
            each.verdict(words),
        )


PAIRS = ("runs", "images", "difference", "95 % (paired bootstrap)", "only one right", "McNemar's p", "verdict")
