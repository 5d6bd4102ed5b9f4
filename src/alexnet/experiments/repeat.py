"""One recipe trained several times, over folds or with several seeds: mean, standard deviation and interval."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alexnet.artifacts.figures import spread
from alexnet.artifacts.rows import score_of
from alexnet.artifacts.run import Run, check_free, finished, resume
from alexnet.errors import InputError
from alexnet.experiments.train import train
from alexnet.files import write_json
from alexnet.insight import compare
from alexnet.recipes import recipe as recipes
from alexnet.recipes.schema import Recipe
from alexnet.training.finetune import anchored


def repeat(
    recipe: Recipe,
    out: Path,
    *,
    folds: int = 0,
    seeds: int = 0,
    resume_runs: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Trains `recipe` in `out`/fold-1 … or `out`/seed-0 …; returns what summary.json says.

    folds: each part of the training images, stratified, validates once. seeds: as many, from the recipe's own on.
    resume_runs: finished runs are taken as they are, an interrupted one goes on. options: those of `train`.
    Written beside the runs: summary.json and a page that compares them. Raises what `train` raises, and InputError
    when `out` holds something and `resume_runs` is not set, or runs of another recipe.
    """
    if (folds > 0) == (seeds > 0) or max(folds, seeds) < 2:
        raise InputError("give either a number of folds or a number of seeds, 2 or more")
    if not resume_runs and any(Run(path).is_run for path in out.glob("*-*")):
        raise InputError(f"{str(out)!r} already holds runs; add --resume to go on with them, or choose another folder")
    if not resume_runs or Run(out).is_run:
        check_free(out)
    recipe = anchored(recipe)
    if folds:
        changes = {f"fold-{i}": {"data.folds": folds, "data.fold": i} for i in range(1, folds + 1)}
    else:
        changes = {f"seed-{i}": {"train.seed": i} for i in range(recipe.train.seed, recipe.train.seed + seeds)}
    runs = [_run(recipes.load(recipe, change), out / name, options) for name, change in changes.items()]
    summary = _summary(recipe, "folds" if folds else "seeds", runs)
    write_json(out / "summary.json", summary)
    compare.write_comparison([run.path for run in runs], out / "compare.html")
    return summary


def _run(recipe: Recipe, path: Path, options: dict[str, Any]) -> Run:
    """The finished run in `path`: as it is, gone on with, or begun."""
    if not Run(path).is_run:
        return train(recipe, out=path, **options)
    lasting = {"train.epochs": recipe.train.epochs}
    run, wanted = resume(recipe, path, lasting)
    return run if finished(run, wanted) else train(recipe, out=path, resume_run=True, settings=lasting, **options)


def _summary(recipe: Recipe, kind: str, runs: Sequence[Run]) -> dict[str, Any]:
    """`runs`: their rows of `compare`; beside it the spread of each accuracy, None where there is none.

    val_accuracy (of several labels an image val_map) is that of the best epoch, which was chosen on the images that it
    is measured on: it flatters a little. last_accuracy, of the last epoch, does not. Runs with the same weights count
    once; of one run there is no spread.
    """
    rows = compare.compare([run.path for run in runs])
    what = "map" if runs[0].card.multilabel else "accuracy"
    for row, run in zip(rows, runs, strict=True):
        on_test = run.card.data.validation_is_test
        row[f"last_{what}"] = None if on_test else score_of(run.metrics[-1])
    summary: dict[str, Any] = {"recipe": recipe.name, "kind": kind, "runs": rows}
    for name in (f"val_{what}", f"last_{what}", f"test_{what}"):
        values = [row[name] for row in rows if row["repeats"] is None]
        summary[name] = None if None in values or len(values) < 2 else dataclasses.asdict(spread(values))
    return summary
