"""A run's folder: what is in it, how it starts, how it is resumed. No other module knows the names of its files."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexnet import arguments
from alexnet.artifacts import card as cards
from alexnet.artifacts import label_predictions
from alexnet.artifacts.card import RunCard
from alexnet.artifacts.label_predictions import LabelPredictions
from alexnet.artifacts.predictions import MAX_BYTES, Predictions, parse
from alexnet.artifacts.rows import Finding, LabelRow, Row, Split, digests
from alexnet.artifacts.seal import seal, sealed
from alexnet.data.dataset import Dataset
from alexnet.data.remote.address import is_url
from alexnet.data.sources import ANY_SIZE, recognize
from alexnet.errors import InputError, agreeing
from alexnet.files import LOCK, content_of, free, make_folder, read_json, sweep, write_bytes, write_json, write_text
from alexnet.recipes import recipe as recipes
from alexnet.recipes.durations import patience_of, steps_of_epoch
from alexnet.recipes.schema import Recipe

# What a resumed run may have otherwise than it began: none of it changes a step that was already made.
_MAY_CHANGE = (
    *("train.epochs", "train.checkpoint_seconds", "train.patience", "train.accumulate", "train.parallel"),
    "data.workers",
)

RECIPE, CARD, METRICS, FINDINGS = "recipe.toml", cards.FILE, "metrics.jsonl", "findings.jsonl"
BEST, LAST, STATE, PREDICTIONS = "best.safetensors", "last.safetensors", "state.pt", "predictions.npz"
SPLIT, SKIPPED, REPORT, PLOTS, TENSORBOARD = "split.json", "skipped.txt", "report.html", "plots", "tensorboard"
_MOST = 2**26  # bytes of a small file
_MOST_ROWS = 200_000


@dataclass(frozen=True)
class Run:
    """A run's folder. Whatever is read from it is bounded and checked; links in it are refused, never followed.

    A run may come from somebody else: nothing in it decides what else is opened on this machine.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", arguments.path("run", self.path))

    @property
    def is_run(self) -> bool:
        return (self.path / RECIPE).is_file()

    @property
    def has_card(self) -> bool:
        """Whether an epoch has ended."""
        return (self.path / CARD).is_file()

    @property
    def has_state(self) -> bool:
        return self.state.is_file()

    def check(self) -> None:
        """Raises InputError for a link, a pipe or another thing in the folder that is neither a file nor a folder."""
        for folder in (self.path, self.path / PLOTS, self.path / TENSORBOARD):
            if not folder.is_dir():
                continue
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        raise InputError(f"{entry.path!r} is a link; a run folder with links is not opened: remove it")
                    if not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
                        raise InputError(
                            f"{entry.path!r} is neither a file nor a folder: remove it from the run folder"
                        )

    def content(self, name: str, most: int = _MOST) -> bytes | None:
        """A file's content, None when there is none. Raises InputError for a link, and for more than `most` bytes."""
        self.check()
        try:
            return content_of(self.path / name, most, follow=False)
        except FileNotFoundError:
            return None

    def text(self, name: str) -> str | None:
        content = self.content(name)
        return None if content is None else content.decode("utf-8", "replace")

    @property
    def recipe(self) -> Recipe:
        self.check()
        return recipes.load(self.path / RECIPE)

    @property
    def recipe_text(self) -> str:
        """recipe.toml as it is. Raises InputError when the folder holds no run."""
        text = self.text(RECIPE)
        if text is None:
            raise InputError(f"{str(self.path)!r} is not a run: it has no {RECIPE}")
        return text

    @property
    def card(self) -> RunCard:
        """What the run trained and measured. Raises InputError where no epoch has ended yet."""
        self.check()
        if not self.path.is_dir():
            raise InputError(f"no run folder {str(self.path)!r}")
        if not self.has_card:
            raise InputError(f"{str(self.path)!r} is not a run with a finished epoch: it has no {CARD}")
        card = cards.read(self.path / CARD)
        if not isinstance(card, RunCard):
            raise InputError(f"{str(self.path / CARD)!r} is not the card of a run: it has no figures")
        return card

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """A dict for each epoch, with the fields of `rows.Row`, or `LabelRow`. Raises InputError for other lines."""
        return self._rows(METRICS)

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What the watch found, with the fields of `rows.Finding`. Raises InputError for other lines."""
        return self._rows(FINDINGS)

    @property
    def skipped(self) -> list[str]:
        """The files that could not be read or used: a name and its reason, with a tab between."""
        return (self.text(SKIPPED) or "").splitlines()

    @property
    def split(self) -> Split | None:
        """Which images trained, validated and tested; None: not recorded."""
        self.check()
        path = self.path / SPLIT
        if not path.is_file():
            return None
        return Split.parse(read_json(path), f"{str(path)!r} is not the split of a run of this version")

    @property
    def predictions(self) -> Predictions | None:
        """Of the split that was evaluated at the end; None: the run has not ended. InputError where an image may have
        several labels."""
        content = self.content(PREDICTIONS, MAX_BYTES)
        return None if content is None else parse(content, repr(str(self.path / PREDICTIONS)))

    @property
    def label_predictions(self) -> LabelPredictions | None:
        """The same of a run whose images may have several labels, and only of such a one."""
        content = self.content(PREDICTIONS, MAX_BYTES)
        return None if content is None else label_predictions.parse(content, repr(str(self.path / PREDICTIONS)))

    @property
    def report(self) -> Path:
        return self.path / REPORT

    @property
    def state(self) -> Path:
        return self.path / STATE

    @property
    def tensorboard(self) -> Path:
        return self.path / TENSORBOARD

    @property
    def weights(self) -> Path:
        """best.safetensors, else last.safetensors."""
        best = self.path / BEST
        return best if best.is_file() else self.path / LAST

    @property
    def changed(self) -> float:
        """When the newest of its files was written, in seconds since 1970."""
        with os.scandir(self.path) as entries:
            return max(e.stat(follow_symlinks=False).st_mtime for e in entries if e.is_file(follow_symlinks=False))

    def plot(self, name: str) -> Path:
        """Where a plot is written."""
        return self.path / PLOTS / f"{name}.png"

    def plot_content(self, name: str) -> bytes | None:
        return self.content(f"{PLOTS}/{name}.png")

    def write_rows(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes METRICS or FINDINGS whole, so that a resumed run continues them exactly."""
        values = [_kind(name, row).parse(row, name).to_json() for row in rows]
        write_text(self.path / name, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in values))

    def write_skipped(self, skipped: Sequence[tuple[str, str]]) -> None:
        if skipped:
            write_text(self.path / SKIPPED, "".join(f"{name}\t{reason}\n" for name, reason in skipped))

    def write_split(
        self, parts: Mapping[str, Dataset], places: Iterable[str | None], quarantined: Sequence[str] = ()
    ) -> None:
        """Records which image is in which of the `parts` (train, validation, test), which were `quarantined`, and where
        the images are."""
        paths = tuple(dict.fromkeys(place for place in places if place))
        split = Split(
            validation=parts["validation"].names,
            digests={name: digests(part.digests) for name, part in parts.items()},
            quarantined=tuple(quarantined),
            paths=paths,
            seal=seal(paths) if paths else "",
        )
        write_json(self.path / SPLIT, split.to_json())

    def write_predictions(self, predictions: Predictions | LabelPredictions) -> None:
        write_bytes(self.path / PREDICTIONS, predictions.packed())

    def opens(self, place: Path | str) -> bool:
        """Whether this user's own run recorded this data path here, and may open it again: `alexnet.artifacts.seal`."""
        split = self.split
        return split is not None and str(place) in split.paths and sealed(split.paths, split.seal)

    def _rows(self, name: str) -> list[dict[str, Any]]:
        lines = (self.text(name) or "").splitlines()
        if len(lines) > _MOST_ROWS:
            raise InputError(f"{str(self.path / name)!r} has {len(lines):,} lines; {_MOST_ROWS:,} are read at most")
        rows = []
        for number, line in enumerate(lines, 1):
            origin = f"{str(self.path / name)!r}, line {number}"
            try:
                content = json.loads(line)
            except (ValueError, RecursionError):
                raise InputError(f"{origin}: not JSON") from None
            rows.append(dict(_kind(name, content).parse(content, origin)))
        return rows


def _kind(name: str, row: object) -> type[Row] | type[LabelRow] | type[Finding]:
    if name == FINDINGS:
        return Finding
    return LabelRow if isinstance(row, Mapping) and "val_map" in row else Row


def recipe_for(data: Path | str | None, changes: dict[str, Any]) -> str:
    """The recipe for images that come without one: by what they are; `changes` names those that come as files."""
    if data is None:
        return "digits"
    if not is_url(data) and not Path(data).exists():
        raise InputError(f"no file or folder {str(data)!r}")
    found = "shards" if is_url(data) else recognize(Path(data))
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
    if (path / RECIPE).is_file():
        raise InputError(f"{str(path)!r} already holds a run; add --resume to continue it, or choose another folder")
    if not _empty(path):
        raise InputError(f"{str(path)!r} holds something else; choose an empty or a new folder")


def _empty(path: Path) -> bool:
    """Whether nothing is there, or only what a kill left of the first moment of a run."""
    left = [entry.name for entry in path.iterdir()] if path.is_dir() else []
    return not path.exists() or all(name == LOCK or (name[0] == "." and name.endswith(".tmp")) for name in left)


def begun(out: Path | str | None) -> bool:
    """Whether there is something in `out` to resume: False before a run's first state, when it starts anew.

    Raises InputError where results of training lie without the state to continue from.
    """
    if out is None:
        return True  # `resume` says what is missing
    run = Run(Path(out))
    if not run.is_run:
        return not _empty(run.path)
    if run.has_state:
        return True
    trained = [name for name in (METRICS, CARD, BEST, LAST) if (run.path / name).exists()]
    if trained:
        raise InputError(
            f"{str(run.path)!r} cannot be resumed: it has {trained[0]} but no {STATE}; choose another folder"
        )
    return False


def begin(recipe: Recipe, out: Path | str | None, again: bool = False) -> Run:
    """A new run's folder with its recipe; never one that holds anything (without `out`: runs/NAME, -2, -3 …).

    again: also the folder of a run that was stopped before its first state (not `begun`).
    """
    path = free(Path("runs") / recipe.name) if out is None else Path(out)
    if again:
        Run(path).check()
    else:
        check_free(out)
    make_folder(path)
    if again:
        sweep(path)
    run = Run(path)
    write_recipe(run, recipe)
    make_folder(path / PLOTS)
    return run


def resume(recipe: str | Path | Recipe | None, out: Path | str | None, changes: dict[str, Any]) -> tuple[Run, Recipe]:
    """The run in `out` and the recipe to go on with: its own with `changes`, which must leave the steps as they were.

    A `recipe` that is given must be the run's.
    """
    if out is None:
        raise InputError("--resume needs --out, the folder of the run to resume")
    run = Run(Path(out))
    if not run.is_run:
        raise InputError(f"{str(run.path)!r} is not a run: it has no {RECIPE}")
    run.check()
    began = dict(recipes.flat(run.recipe))
    kept = {name: began[name] for name in _MAY_CHANGE if name not in changes}
    wanted = recipes.settled(recipes.load(recipe or run.recipe, kept | changes), run.recipe)
    changed = [name for name, value in recipes.flat(wanted) if value != began[name] and name not in _MAY_CHANGE]
    if changed:
        raise InputError(
            f"{str(run.path)!r} was started with another recipe: {agreeing(changed[:4], 'differs', 'differ')}; "
            f"resuming may change only {', '.join(_MAY_CHANGE)}"
        )
    return run, wanted


def finished(run: Run, recipe: Recipe) -> bool:
    """Whether `run` was trained to the end that `recipe`, its own but for the epochs, sets, and reported."""
    return run.report.is_file() and ended(run, recipe)


def ended(run: Run, recipe: Recipe) -> bool:
    """Whether no epoch of `recipe` is left to train; where it sets steps, that is taken for granted."""
    settings, done = recipe.train, len(run.metrics)
    if not done:
        return False
    steps = steps_of_epoch(recipe, run.card.data.train)
    patient = 0 < patience_of(recipe, steps) <= done - run.card.figures.epoch
    return settings.steps > 0 or done >= settings.epochs or patient


def write_recipe(run: Run, recipe: Recipe) -> None:
    write_text(run.path / RECIPE, recipes.to_toml(recipe))
