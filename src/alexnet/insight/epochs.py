"""Runs by their epochs: seeds that belong together, accuracy at equal epochs and at equal seconds, overfitting."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from alexnet.artifacts.figures import score, spread
from alexnet.artifacts.rows import score_of
from alexnet.artifacts.run import Run
from alexnet.pages.text import ENGLISH, Words, duration, percent
from alexnet.recipes import recipe as recipes

Rows = Sequence[Mapping[str, Any]]

_TIMED = ("seconds", "images_per_second")
_OF_ONE = ("name", "title", "source", "published")
EQUAL = ("run", "epochs", "validation", "seconds", "validation ")
SEEDS = ("recipe", "seeds", "validation, last epoch", "test")
FIT = ("run", "train", "validation", "train − validation", "lowest validation loss", "last", "found while training")
COST = ("run", "parameters", "weights file", "MFLOPs", "images/s while training", "seconds an epoch")


def together(runs: Sequence[Run]) -> list[list[int]]:
    """Indices of runs that differ in their seed (or fold) only, in groups, in the order of their first; of runs with
    the same weights the first alone."""
    again = repeats(runs)
    return [[i for i in group if i not in again] for group in _alike(runs)]


def repeats(runs: Sequence[Run]) -> dict[int, int]:
    """Indices of runs that are no seed of their own: named twice, copies, or trained again; each with the first one
    that has its recipe and, by the SHA-256 in its card or by its seed and every epoch's figures, its weights."""
    found = {}
    for group in _alike(runs):
        first: dict[str, int] = {}
        for i in group:
            for sign in _signs(runs[i]):
                if first.setdefault(sign, i) != i:
                    found.setdefault(i, first[sign])
    return found


def _signs(run: Run) -> list[str]:
    """Strings that only runs with the same weights share."""
    recipe, recorded = run.recipe, run.card.sha256
    rows = [{key: value for key, value in row.items() if key not in _TIMED} for row in run.metrics]
    weights = recorded.get("best") or recorded.get("last")
    return [repr((recipe.train.seed, recipe.data.fold, rows)), *([weights] if weights else [])]


def _alike(runs: Sequence[Run]) -> list[list[int]]:
    found: dict[str, list[int]] = {}
    for number, run in enumerate(runs):
        flat = dict(recipes.flat(run.recipe))
        kept = {
            k: v for k, v in flat.items() if k.split(".")[0] not in _OF_ONE and k not in ("train.seed", "data.fold")
        }
        found.setdefault(repr((run.card.name, run.card.data.name, sorted(kept.items(), key=str))), []).append(number)
    return list(found.values())


def title(runs: Sequence[Run], group: Sequence[int]) -> str:
    """A run's name; of several their recipe's, with their number."""
    first = runs[group[0]]
    return first.path.name if len(group) == 1 else f"{first.card.recipe} ({len(group)} runs)"


def seeds(runs: Sequence[Run], words: Words = ENGLISH) -> list[tuple[str, ...]]:
    """Cells under SEEDS: mean ± standard deviation of every group of two runs or more, which are seeds or folds."""
    lines = []
    for group in together(runs):
        if len(group) < 2:
            continue
        last = [score_of(runs[i].metrics[-1]) for i in group]
        tests = [score(test) for i in group if (test := runs[i].card.figures.test)]
        numbers = _numbers([runs[i] for i in group], words)
        lines.append((runs[group[0]].card.recipe, numbers, _spread(last), _spread(tests)))
    return lines


def _numbers(runs: Sequence[Run], words: Words) -> str:
    folds = [run.recipe.data for run in runs]
    if folds[0].folds:
        return words("folds {numbers} of {count}", numbers=", ".join(str(f.fold) for f in folds), count=folds[0].folds)
    return words("seeds {numbers}", numbers=", ".join(str(run.card.seed) for run in runs))


def _spread(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "–"
    found = spread(values)
    return f"{found.mean:.2%} ± {found.std:.2%} (n = {found.n}; mean {found.low:.2%} – {found.high:.2%}, 95 %)"


def equal(named: Mapping[str, Rows], words: Words = ENGLISH) -> list[tuple[str, ...]]:
    """Cells under EQUAL: each run's validation accuracy after the epochs, and after the seconds, that all have."""
    if len(named) < 2:
        return []
    epochs = min(rows[-1]["epoch"] for rows in named.values())
    seconds = min(rows[-1]["seconds"] for rows in named.values())
    lines = []
    for name, rows in named.items():
        by_epoch = next(row for row in reversed(rows) if row["epoch"] <= epochs)
        by_time = next((row for row in reversed(rows) if row["seconds"] <= seconds), None)
        at = words("no epoch had ended") if by_time is None else _at(score_of(by_time), "2%", by_time, words)
        lines.append((name, str(epochs), percent(score_of(by_epoch)), duration(seconds), at))
    return lines


def fit(runs: Sequence[Run], words: Words = ENGLISH) -> Iterator[tuple[str, ...]]:
    """Cells under FIT: whether a run overfits, by its last epoch and by what was found while it trained."""
    for run in runs:
        rows = run.metrics
        lowest = min(rows, key=lambda row: row["val_loss"])
        gap = rows[-1]["train_accuracy"] - rows[-1]["val_accuracy"]
        seen = next((each["epoch"] for each in run.findings if each["kind"] == "overfitting"), None)
        yield (
            run.path.name,
            percent(rows[-1]["train_accuracy"]),
            percent(rows[-1]["val_accuracy"]),
            f"{gap:+.2%}",
            _at(lowest["val_loss"], "4f", lowest, words),
            f"{rows[-1]['val_loss']:.4f}",
            words("no overfitting") if seen is None else words("overfitting, epoch {epoch}", epoch=seen),
        )


def _at(value: float, digits: str, row: Mapping[str, Any], words: Words) -> str:
    return words("{value} (epoch {epoch})", value=f"{value:.{digits}}", epoch=row["epoch"])


def cost(runs: Sequence[Run]) -> Iterator[tuple[str, ...]]:
    """Cells under COST."""
    for run in runs:
        card, rows, file = run.card, run.metrics, run.weights
        size = f"{file.stat().st_size / 1e6:,.1f} MB" if file.is_file() else "–"
        yield (
            run.path.name,
            f"{card.parameters:,}",
            size,
            f"{card.flops / 1e6:,.1f}",
            f"{images_per_second(rows):,.0f}",
            f"{rows[-1]['seconds'] / len(rows):.2f}",
        )


def images_per_second(rows: Rows) -> float:
    """The mean over the epochs."""
    return sum(row["images_per_second"] for row in rows) / len(rows)
