"""Runs of an experiment: which there are already, what one would cost, and the training of one."""

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from alexnet.artifacts.run import Run, finished
from alexnet.errors import InputError
from alexnet.experiments.train import train
from alexnet.files import free
from alexnet.recipes import recipe as recipes
from alexnet.recipes.durations import passes
from alexnet.recipes.schema import Recipe
from alexnet.training import checkpoint
from alexnet.training.learner import Learner
from alexnet.training.reporter import Reporter
from alexnet.training.setup import Setup

_STEPS = 2  # that are timed, after one that allocates memory
_IMAGES = 64  # of a larger batch: a step takes as long as its images do


@dataclass(frozen=True)
class Found:
    """A run in the folder of runs that did, or began to do, exactly what is wanted."""

    run: Run
    finished: bool


def find(out: Path, setup: Setup) -> Found | None:
    """The run in `out` whose resolved recipe and data are those of `setup`; a finished one rather than a begun one."""
    found = []
    for run in filter(lambda each: each.is_run, map(Run, sorted(out.glob("*")))):
        with contextlib.suppress(InputError):  # of another version, or damaged: not an equal one
            if recipes.flat(run.recipe) == recipes.flat(setup.recipe) and _fingerprint(run) == setup.fingerprint:
                found.append(Found(run, finished(run, setup.recipe)))
    return max(found, key=lambda each: each.finished, default=None)


def _fingerprint(run: Run) -> str:
    """Of the images it was begun with. InputError when it was killed before it had saved anything."""
    if run.has_card:
        return run.card.data.fingerprint
    return checkpoint.load(run.state)["fingerprint"]


def expected_seconds(
    setup: Setup, found: Found | None, others: Sequence[Run], tell: Callable[[], None] = lambda: None
) -> float:
    """What the rest of a run will take: from its own epochs when it was begun, else from `others`, finished runs of
    other seeds, else from a few timed steps, before which `tell` is called.

    Timing changes the network of `setup`, which is of no use afterwards.
    """
    if found and (rows := found.run.metrics):
        return rows[-1]["seconds"] / len(rows) * max(setup.length - len(rows), 0)
    if others:
        return others[-1].metrics[-1]["seconds"]
    tell()
    # Forward alone is about a third of a step.
    evaluated = math.ceil(setup.length) * len(setup.validation.dataset) + len(setup.test or ())
    images = len(setup.train.dataset)
    trained = setup.length * images * passes(setup.recipe, images)
    return _seconds_a_image(setup) * (trained + evaluated / 3)


def _seconds_a_image(setup: Setup) -> float:
    size = min(setup.recipe.train.batch_size, _IMAGES, len(setup.train.dataset))
    setup = replace(setup, recipe=recipes.load(setup.recipe, {"train.batch_size": size}))
    order = torch.arange(size * (1 + _STEPS)) % len(setup.train.dataset)
    seconds = []
    learner = Learner(setup)
    for images, labels in setup.train.batches(order, size):
        begun = time.perf_counter()
        learner.step(images, labels).loss.item()  # a GPU is waited for
        seconds.append(time.perf_counter() - begun)
    return min(seconds[1:]) / size


def run(out: Path, recipe: Recipe, found: Found | None, device: str, reporter: Reporter) -> Run:
    """Trains `recipe` in a new folder below `out`, or goes on with the run that was found.

    Raises Interrupted and Diverged as `alexnet.train` does.
    """
    if found:
        return train(out=found.run.path, resume_run=True, device=device, reporter=reporter)
    path = free(out / f"{recipe.name}-{recipe.train.seed}")
    return train(recipe, out=path, device=device, reporter=reporter)
