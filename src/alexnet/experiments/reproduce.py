"""Re-runs the published experiments, as published and as we would, as far as data and time allow."""

import gc
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from alexnet.errors import InputError, MissingData
from alexnet.experiments import runs, table
from alexnet.experiments.published import EXPERIMENTS, Experiment, choose
from alexnet.files import make_folder
from alexnet.insight.compare import write_comparison
from alexnet.pages.text import duration
from alexnet.recipes import recipe as recipes
from alexnet.recipes.schema import Recipe
from alexnet.training.finetune import anchored
from alexnet.training.interrupts import Interrupted
from alexnet.training.loop import Diverged
from alexnet.training.reporter import Reporter
from alexnet.training.setup import prepare

_UNITS = {"h": 3600, "m": 60, "s": 1}


def seconds_of(text: str) -> float:
    """'30m', '2h', '1h30m', '90s', '0' → seconds. InputError for anything else."""
    if not re.fullmatch(r"(\d{1,9}h)?(\d{1,9}m)?(\d{1,9}s)?|0", text) or not text:
        raise InputError(f"a time is written as 30m, 2h, 1h30m or 90s, not {text!r}")
    return float(sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", text)))


@dataclass
class _Task:
    """One run that the table wants and that is not finished."""

    arm: table.Arm
    recipe: Recipe
    found: runs.Found | None
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.arm.recipe}, seed {self.recipe.train.seed}"


def reproduce(
    names: Sequence[str] = (),
    *,
    out: Path | str,
    budget: float = 1800.0,
    seeds: int = 1,
    device: str = "auto",
    reporter: Reporter | None = None,
    tell: Callable[[str], None] = lambda line: None,
    experiments: Sequence[Experiment] = EXPERIMENTS,
) -> list[dict[str, Any]]:
    """Runs what of `experiments` is called `names` (none: all) and fits; returns the table's rows as JSON has them.

    `out` keeps the runs, reproduction.md, reproduction.json, which are rewritten after each run, and for each image
    set a page that compares its runs by epoch and by seconds. A finished run is reused, and an interrupted one goes
    on, when its resolved recipe and its data are equal. The others are begun, the shortest first, while the expected
    seconds fit into what is left of `budget` (seconds; a run that takes longer than expected is not stopped).
    Missing data and training that diverges are told in the table, and do not stop the rest.
    Raises InputError for an unknown name, and Interrupted after Ctrl-C, with all that was done kept.
    """
    begun, out = time.monotonic(), Path(out)
    chosen = choose(names, experiments)
    make_folder(out)
    rows = [table.Row(e, {arm: table.Arm(recipe) for arm, recipe in e.arms.items()}) for e in chosen]
    tasks: list[_Task] = []
    for arm in (arm for row in rows for arm in row.arms.values()):
        tasks += _plan(arm, out, seeds, device, tell)
    table.write(rows, out)
    for task in sorted(tasks, key=lambda task: (task.recipe.train.seed, task.seconds)):
        left = budget - (time.monotonic() - begun)
        if task.seconds > left:
            reason = f"would take about {duration(task.seconds)}, {duration(max(left, 0))} left"
            task.arm.left_out.append(f"seed {task.recipe.train.seed} {reason}")
            continue
        tell(f"{task.name}: {'goes on' if task.found else 'begins'}, about {duration(task.seconds)}")
        gc.collect()
        try:
            task.arm.runs.append(runs.run(out, task.recipe, task.found, device, reporter or Reporter()))
        except (Diverged, InputError) as error:
            tell(f"{task.name}: {error}")
            task.arm.left_out.append(f"seed {task.recipe.train.seed} failed: {error}")
        except Interrupted:
            task.arm.left_out.append(f"seed {task.recipe.train.seed} was interrupted")
            table.write(rows, out)
            raise
        table.write(rows, out)
    _compare(rows, out)
    return table.write(rows, out)


def _plan(arm: table.Arm, out: Path, seeds: int, device: str, tell: Callable[[str], None]) -> list[_Task]:
    """Puts the finished runs into `arm`; returns what is still to be run."""
    tasks: list[_Task] = []
    for seed in range(seeds):
        gc.collect()  # the last network and its optimizer refer to each other: up to a gigabyte
        recipe, name = recipes.load(arm.recipe, {"train.seed": seed}), f"{arm.recipe}, seed {seed}"
        timing = partial(tell, f"{name}: timing a few steps, to know how long it takes")
        try:
            setup = prepare(anchored(recipe), None, device)
            found = runs.find(out, setup)
            if found and found.finished:
                tell(f"{name}: reuses {found.run.path}")
                arm.runs.append(found.run)
            else:
                tasks.append(_Task(arm, setup.recipe, found, runs.expected_seconds(setup, found, arm.runs, timing)))
        except InputError as error:
            tell(f"{arm.recipe}: {error.otherwise if isinstance(error, MissingData) else error}")
            arm.left_out.append(f"{error.what} not here" if isinstance(error, MissingData) else str(error))
            break
    return tasks


def _compare(rows: Sequence[table.Row], out: Path) -> None:
    """A page for each dataset with several runs: the first of every recipe."""
    first = [arm.runs[0] for row in rows for arm in row.arms.values() if arm.runs]
    for name in {run.card.data.name for run in first}:
        same = [run.path for run in first if run.card.data.name == name]
        if len(same) > 1:
            write_comparison(same, out / f"{name}.html")
