"""Training as one act: data in, weights, figures and a report out."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from alexnet import __version__, arguments
from alexnet.artifacts.run import Run, begin, begun, check_free, resume
from alexnet.data.remote.address import is_url
from alexnet.device import own_settings
from alexnet.errors import InputError
from alexnet.experiments.finish import draw_samples, finish
from alexnet.experiments.start import Start, start
from alexnet.files import free, lock, make_folder
from alexnet.process.rendezvous import joined
from alexnet.recipes import recipe as recipes
from alexnet.recipes.schema import PLACES, Recipe
from alexnet.recipes.settings import given, lasting
from alexnet.training import checkpoint, parallel
from alexnet.training.interrupts import Interrupts
from alexnet.training.loop import Trainer
from alexnet.training.reporter import Reporter
from alexnet.training.schedule import extended
from alexnet.training.setup import Setup, prepare
from alexnet.training.shortage import ended_from_outside


@own_settings()
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
    pretrained: bool | None = None,
    **overrides: Any,
) -> Run:
    """Trains a recipe and returns its run: weights, figures, plots and report in the folder `out`.

    recipe: a shipped recipe's name, a TOML file, or a Recipe; none given: 'digits', or on resuming the run's own.
    data: where the images are (a path, or the address of packed shards), if not in the usual place.
    epochs, or steps: in place of the recipe's.
    resume_run: continue the run in `out`, or start it where it has not begun. stop_after: stop after this number of
    epochs as Ctrl-C would.
    pretrained: for images without a recipe, whether to start from pretrained convolutions (fetched where they are
    missing) or from scratch; None: from those that are on this machine, if any.
    settings, overrides: recipe keys as {'optimizer.lr': 0.01}, or with `__` for the dot as optimizer__lr=0.01.
    The process is left as it was found: random state, warning filters, signal handlers, threads. On a CPU, a script of
    its own gains from `alexnet.process.program.set_up()`, which the command line calls.
    Raises InputError for what the user can mend, Interrupted after Ctrl-C or SIGTERM (state saved), Diverged.
    """
    _check(recipe, out, data, reporter, settings)
    resume_run = arguments.flag("resume_run", resume_run)
    stop_after = None if stop_after is None else arguments.whole("stop_after", stop_after)
    pretrained = None if pretrained is None else arguments.flag("pretrained", pretrained)
    changes = given(settings or {}, {name.replace("__", "."): value for name, value in overrides.items()})
    changes = lasting(changes, epochs, steps)
    if recipe is not None or not resume_run:
        changes |= _preprocessing(recipe, changes)
    with contextlib.ExitStack() as stack, joined(device) as world:
        reporter = reporter if reporter and world.is_writer else Reporter()
        world.same({"alexnet": __version__, "torch": torch.__version__} | _asked(recipe, changes, resume_run))

        def begins() -> Start:
            """The recipe, which like the images and the network is checked before a folder is made.

            A run that was stopped before its first state starts anew with the same recipe.
            """
            if resume_run and Run(Path(out or "")).is_run:
                return Start(resume(recipe, out, changes)[1])
            found = start(recipe, data, changes, pretrained, reporter)
            parallel.check(found.recipe, world)
            if not resume_run:
                check_free(out)
            return found

        def again() -> Trainer:
            run, wanted = resume(recipe, out, changes)
            parallel.check(wanted, world)
            state, before = checkpoint.load(run.state), run.recipe.train
            recorded = state["data"]
            if data is None and recorded is not None:
                if not run.opens(recorded):
                    raise InputError(
                        f"{str(run.path)!r} was not trained here by you, so that the data path it names is not opened; "
                        "say where its images are with --data"
                    )
                if not is_url(recorded) and not Path(recorded).exists():
                    raise InputError(
                        f"the images of this run were in {recorded!r}, which is gone; add --data with their place"
                    )
            if wanted.data.labels is not None and not run.opens(wanted.data.labels):
                raise InputError(
                    f"{str(run.path)!r} was not trained here by you, so that the table of labels it names is not "
                    "opened; train anew with --labels"
                )
            setup = prepare(wanted, data or recorded, device, reporter.scanning, start=state.get("start"))
            trainer = Trainer(setup, run, reporter, world)
            trainer.load_state_dict(state)
            if trainer.epoch >= before.epochs < wanted.train.epochs and not before.steps:
                last = trainer.log.rows[-1]["lr"]
                spans = (before.epochs, wanted.train.epochs)
                trainer.remarks += extended(setup.timed.schedule, wanted.learning_rate, *spans, last)
            trainer.remarks += ended_from_outside(state)
            return trainer

        held = stack.enter_context(contextlib.ExitStack())
        if resume_run and world.first(lambda: begun(out)):
            world.first(lambda: held.enter_context(lock(Path(out or ""))) if Run(Path(out or "")).is_run else None)
            trainer = world.each(again)
            world.same(_found(trainer.setup) | {"steps done": trainer.learner.done})
            world.first(trainer.tidy)
        else:
            chosen = world.first(begins)
            setup = world.each(
                lambda: prepare(chosen.recipe, data, device, reporter.scanning, fetching=reporter.fetching)
            )
            world.same(_found(setup))
            shuffle = world.first(lambda: setup.recipe.data.shuffle)  # each machine may have other room for shards
            world.each(lambda: setup.take_order(shuffle))
            run = world.first(lambda: _started(setup.recipe, out, resume_run, held))
            trainer = world.each(lambda: Trainer(setup, run, reporter, world))
            trainer.remarks += chosen.remarks
        with Interrupts() as interrupts, _still_there(trainer.run):
            if world.is_writer and trainer.learner.done == 0:
                draw_samples(trainer.setup, trainer.run)
            trainer.fit(lambda: interrupts.asked, stop_after)
            if world.is_writer:
                reporter.end(trainer.run, finish(trainer))
        return trainer.run


def _check(
    recipe: object,
    out: object,
    data: object,
    reporter: object,
    settings: object,
) -> None:
    """InputError for an argument of `train` that is of another type; the others become recipe keys, which are checked
    as such."""
    places = {"recipe": None if isinstance(recipe, Recipe) else recipe, "out": out, "data": data}
    for name, value in places.items():
        if value is not None:
            arguments.path(name, value, recipes.TAKES if name == "recipe" else "a path")
    if not isinstance(reporter, Reporter | None):
        raise arguments.refusal("reporter", "an alexnet.training.reporter.Reporter, or None", reporter)
    if settings is not None and not (isinstance(settings, Mapping) and all(isinstance(key, str) for key in settings)):
        raise arguments.refusal("settings", "recipe keys with their values, such as {'optimizer.lr': 0.01}", settings)


def _asked(recipe: str | Path | Recipe | None, changes: Mapping[str, Any], resume_run: bool) -> dict[str, object]:
    """What a process was asked to train, which must be the same for all but for files, which each machine may have
    elsewhere; by what a refusal calls it."""
    asked: dict[str, object] = {"--resume": resume_run}
    changes = {name: value for name, value in changes.items() if name not in PLACES}
    if isinstance(recipe, Recipe) or (recipe is not None and Path(recipe).suffix == ".toml"):
        own = recipes.load(recipe)
        own_keys = {name: value for name, value in recipes.flat(own) if name not in PLACES}
        return asked | {"recipe": own.name} | own_keys | changes
    return asked | {"recipe": recipe or "none"} | changes


def _found(setup: Setup) -> dict[str, object]:
    """What a process found where it reads the images."""
    return {"images to train on": len(setup.train.dataset), "digest of the images": setup.fingerprint[:16]}


def _started(recipe: Recipe, out: Path | str | None, again: bool, held: contextlib.ExitStack) -> Run:
    """A new run in its folder, which is locked before anything is written there."""
    path = free(Path("runs") / recipe.name) if out is None else Path(out)
    if not again:
        check_free(path)
    make_folder(path)
    held.enter_context(lock(path))
    return begin(recipe, path, again)


@contextlib.contextmanager
def _still_there(run: Run) -> Iterator[None]:
    """Says of whatever fails once the run folder is gone that it is gone."""
    try:
        yield
    except (OSError, InputError):
        if run.is_run:
            raise
        raise InputError(
            f"the run folder {str(run.path)!r} was removed while it trained; what was trained is lost"
        ) from None


def _preprocessing(recipe: str | Path | Recipe | None, changes: Mapping[str, Any]) -> dict[str, str]:
    """Weights that a user gives to a shipped recipe bring the preprocessing that they were trained with; frozen layers
    would get inputs that they have never seen. The recipe's is used where the user says so."""
    shipped = recipe is None or recipe in recipes.names()
    if shipped and changes.get("model.weights") and "data.normalize" not in changes:
        return {"data.normalize": "network"}
    return {}
