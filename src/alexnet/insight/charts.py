"""Curves as numbers, for formats in which a chart stays editable: what `plots` draws of the same lines."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from alexnet.artifacts.rows import score_key
from alexnet.pages.document import Chart
from alexnet.pages.text import Words

Rows = Sequence[Mapping[str, Any]]
"""Lines of metrics.jsonl."""


def curves(rows: Rows, words: Words) -> list[Chart]:
    """Loss and accuracy (of several labels an image mAP) of one run by epoch."""
    key = score_key(rows)
    x = [row["epoch"] for row in rows]
    sides = {"train": words("training"), "val": words("validation")}
    loss = {name: [row.get(f"{side}_loss") for row in rows] for side, name in sides.items()}
    score = {name: [row.get(key.replace("val", side)) for row in rows] for side, name in sides.items()}
    if key == "val_map":  # which is not measured in training
        del score[sides["train"]]
    return [
        Chart(words("Loss"), "lines", x, loss, axis=words("epoch")),
        Chart(words(_score(key)), "lines", x, score, percent=True, axis=words("epoch")),
    ]


def side_by_side(
    runs: Mapping[str, Sequence[Rows]], words: Words, x: Literal["epoch", "seconds"] = "epoch"
) -> list[Chart]:
    """The same of several runs, by epoch or by seconds of training: name → the lines of each seed.

    Of several seeds it is the mean, over the epochs that all have. Validation, and training dotted.
    """
    key = score_key(row for seeds in runs.values() for rows in seeds for row in rows)
    means = {name: _means(seeds) for name, seeds in runs.items()}
    places = sorted({row[x] for rows in means.values() for row in rows})
    charts = []
    for what, title in (("val_loss", "Loss"), (key, _score(key))):
        series, dotted = {}, set()
        for name, rows in means.items():
            found = {row[x]: row for row in rows}
            series[name] = [found.get(place, {}).get(what) for place in places]
            if what != "val_map":
                training = words("{name}, training", name=name)
                series[training] = [found.get(place, {}).get(what.replace("val", "train")) for place in places]
                dotted.add(training)
        percent = what == key
        charts.append(Chart(words(title), "lines", places, series, percent, frozenset(dotted), words(x)))
    return charts


def _means(seeds: Sequence[Rows]) -> list[dict[str, float]]:
    """A line for each epoch that all seeds have: the mean of what all of them measured."""
    found = []
    for lines in zip(*seeds, strict=False):
        names = [name for name in lines[0] if all(isinstance(line.get(name), (int, float)) for line in lines)]
        mean = {name: sum(line[name] for line in lines) / len(lines) for name in names}
        found.append(mean | {"epoch": lines[0]["epoch"]})
    return found


def _score(key: str) -> str:
    return "mAP" if key == "val_map" else "Accuracy"
