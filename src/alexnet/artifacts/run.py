"""A run's folder: what is in it, how it begins, how it goes on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexnet.artifacts import card as cards
from alexnet.artifacts.card import RunCard
from alexnet.data.sources import ANY_SIZE, recognize
from alexnet.errors import InputError
from alexnet.files import make_folder, read_lines, write_text
from alexnet.recipes import recipe as recipes
from alexnet.recipes.durations import patience_of
from alexnet.recipes.schema import Recipe

# What a resumed run may have otherwise than it began: none of it changes a step that was already made.
_MAY_CHANGE = ("train.epochs", "train.checkpoint_seconds", "train.patience", "train.accumulate", "data.workers")


@dataclass(frozen=True)
class Run:
    """A folder with recipe.toml, card.json, metrics.jsonl, weights, state.pt, plots and report.html."""

    path: Path

    @property
    def recipe(self) -> Recipe:
        return recipes.load(self.path / "recipe.toml")

    @property
    def card(self) -> RunCard:
        """What the run trained and measured. Raises InputError where no epoch has ended yet."""
        path = self.path / "card.json"
        if not path.is_file():
            raise InputError(f"{str(self.path)!r} is not a run with a finished epoch: it has no card.json")
        card = cards.read(path)
        if not isinstance(card, RunCard):
            raise InputError(f"{str(path)!r} is not the card of a run: it has no figures")
        return card

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One dict per epoch."""
        return read_lines(self.path / "metrics.jsonl")

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def state(self) -> Path:
        return self.path / "state.pt"

    def plot(self, name: str) -> Path:
        return self.path / "plots" / f"{name}.png"


def recipe_for(data: Path | str | None, changes: dict[str, Any]) -> str:
    """The recipe for images that come without one: by what they are; `changes` names those that come as files."""
    if data is None:
        return "digits"
    if not Path(data).exists():
        raise InputError(f"no file or folder {str(data)!r}")
    found = recognize(Path(data))
    if found in (*ANY_SIZE, "emnist", "idx"):
        changes.setdefault("data.name", found)
    return {"idx": "mnist", "emnist": "mnist", "cifar10": "cifar10", "cifar100": "cifar100-as-published"}.get(
        found, "folder"
    )


def check_free(out: Path | str | None) -> None:
    """Raises InputError when `out` is not a folder in which a new run can begin."""
    if out is None:
        return
    path = Path(out)
    if path.exists() and not path.is_dir():
        raise InputError(f"{str(path)!r} is a file; choose a folder for the run")
    if (path / "recipe.toml").is_file():
        raise InputError(f"{str(path)!r} already holds a run; add --resume to go on with it, or choose another folder")
    if path.is_dir() and any(path.iterdir()):
        raise InputError(f"{str(path)!r} holds something else; choose an empty or a new folder")


def begin(recipe: Recipe, out: Path | str | None) -> Run:
    """A new run's folder with its recipe; never one that holds anything (without `out`: runs/NAME, -2, -3 …)."""
    check_free(out)
    path = free(Path("runs") / recipe.name) if out is None else Path(out)
    make_folder(path / "plots")
    run = Run(path)
    write_recipe(run, recipe)
    return run


def resume(recipe: str | Path | Recipe | None, out: Path | str | None, changes: dict[str, Any]) -> tuple[Run, Recipe]:
    """The run in `out` and the recipe to go on with: its own with `changes`, which must leave the steps as they were.

    A `recipe` that is given must be the run's.
    """
    if out is None:
        raise InputError("--resume needs --out, the folder of the run to go on with")
    run = Run(Path(out))
    if not (run.path / "recipe.toml").is_file():
        raise InputError(f"{str(run.path)!r} is not a run: it has no recipe.toml")
    began = dict(recipes.flat(run.recipe))
    kept = {name: began[name] for name in _MAY_CHANGE if name not in changes}
    wanted = recipes.load(recipe or run.recipe, kept | changes)
    changed = [name for name, value in recipes.flat(wanted) if value != began[name] and name not in _MAY_CHANGE]
    if changed:
        raise InputError(
            f"{str(run.path)!r} was begun with another recipe: {', '.join(changed[:4])} differ; resuming may change "
            f"only {', '.join(_MAY_CHANGE)}"
        )
    return run, wanted


def finished(run: Run, recipe: Recipe) -> bool:
    """Whether `run` was trained to the end that `recipe`, its own but for the epochs, sets, and reported."""
    settings, done = recipe.train, len(run.metrics)
    if not done or not run.report.is_file():
        return False
    steps = -(-run.card.data.train // settings.batch_size)
    patient = 0 < patience_of(recipe, steps) <= done - run.card.figures.epoch
    return settings.steps > 0 or done >= settings.epochs or patient


def write_recipe(run: Run, recipe: Recipe) -> None:
    write_text(run.path / "recipe.toml", recipes.to_toml(recipe))


def free(path: Path) -> Path:
    """`path`, or the first of path-2, path-3 … that does not exist."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free
