"""Training as one act: data in, weights, figures and a report out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alexnet.artifacts.run import Run, begin, check_free, recipe_for, resume
from alexnet.errors import InputError
from alexnet.experiments.finish import draw_samples, finish
from alexnet.process.group import joined
from alexnet.recipes import recipe as recipes
from alexnet.recipes.schema import Recipe
from alexnet.training import checkpoint
from alexnet.training.finetune import anchored
from alexnet.training.interrupts import Interrupts
from alexnet.training.loop import Trainer
from alexnet.training.reporter import Reporter
from alexnet.training.schedule import extended
from alexnet.training.setup import Setup, prepare
from alexnet.training.shortage import ended_from_outside


def train(
    recipe: str | Path | Recipe | None = None,
    *,
    out: Path | str | None = None,
    data: Path | str | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    resume_run: bool = False,
    device: str = "auto",
    stop_after: int | None = None,
    reporter: Reporter | None = None,
    settings: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> Run:
    """Trains a recipe and returns its run: weights, figures, plots and report in the folder `out`.

    recipe: a shipped recipe's name, a TOML file, or a Recipe; none given: 'digits', or on resuming the run's own.
    data: where the images are, if not in the usual place. epochs, or steps: in place of the recipe's.
    resume_run: go on with the run in `out`. stop_after: stop after so many epochs as Ctrl-C would.
    settings, overrides: recipe keys as {'optimizer.lr': 0.01}, or with `__` for the dot as optimizer__lr=0.01.
    The process is left as it was found: random state, warning filters, signal handlers, threads. On a CPU, a script of
    its own gains from `alexnet.process.program.set_up()`, which the command line calls.
    Raises InputError for what the user can mend, Interrupted after Ctrl-C or SIGTERM (state saved), Diverged.
    """
    changes = dict(settings or {}) | {name.replace("__", "."): value for name, value in overrides.items()}
    changes |= recipes.lasting(epochs, steps)
    with joined(device) as world:
        reporter = reporter if reporter and world.is_writer else Reporter()

        # The recipe, the images and the network are checked before a folder is made.
        def anew() -> Setup:
            wanted = anchored(recipes.load(recipe or recipe_for(data, changes), changes))
            check_free(out)
            return prepare(wanted, data, device, reporter.scanning, fetching=reporter.fetching)

        def again() -> Trainer:
            run, wanted = resume(recipe, out, changes)
            state, before = checkpoint.load(run.state), run.recipe.train
            path = data or state["data"]
            if data is None and path is not None and not Path(path).exists():
                raise InputError(f"the images of this run were in {path!r}, which is gone; add --data with their place")
            setup = prepare(wanted, path, device, reporter.scanning, start=state.get("start"))
            trainer = Trainer(setup, run, reporter, world)
            trainer.load_state_dict(state)
            if trainer.epoch >= before.epochs < wanted.train.epochs and not before.steps:
                last = trainer.log.rows[-1]["lr"]
                spans = (before.epochs, wanted.train.epochs)
                trainer.remarks += extended(setup.timed.schedule, wanted.learning_rate, *spans, last)
            trainer.remarks += ended_from_outside(state)
            return trainer

        if resume_run:
            trainer = world.each(again)
            world.first(trainer.tidy)
        else:
            setup = world.each(anew)
            run = world.first(lambda: begin(setup.recipe, out))
            trainer = world.each(lambda: Trainer(setup, run, reporter, world))
        with Interrupts() as interrupts:
            if world.is_writer and trainer.learner.done == 0:
                draw_samples(trainer.setup, trainer.run)
            trainer.fit(lambda: interrupts.asked, stop_after)
            if world.is_writer:
                reporter.end(trainer.run, finish(trainer))
        return trainer.run
