"""Training as a person follows it: a live line on a terminal, plain lines elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from alexnet.artifacts.card import RunCard
from alexnet.artifacts.figures import name_of, score
from alexnet.artifacts.run import SKIPPED, Run
from alexnet.cli import screen
from alexnet.cli.screen import clean
from alexnet.errors import counted
from alexnet.training.reporter import Reporter
from alexnet.training.watch import Finding

_PLAIN_SECONDS = 10.0  # between two plain lines within an epoch


class PlainReporter(Reporter):
    """One line an epoch, and one every ten seconds within a long one."""

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else 200
        self.console = Console(width=width, markup=False, emoji=False, highlight=False, soft_wrap=True)
        self.epochs = 0
        self._said = time.monotonic()

    def say(self, text: str) -> None:
        self.console.print(clean(text))

    def scanning(self, done: int, total: int) -> None:
        if done == total or self._due():
            self.say(f"reading images: {done:,} of {total:,}")

    def fetching(self, done: int, total: int) -> None:
        if done == total or self._due():
            self.say(f"fetching: {done / 1e6:,.1f} of {total / 1e6:,.1f} MB")

    def begin(self, run: Run, facts: dict[str, Any]) -> None:
        self.epochs = facts["epochs"]
        how = "" if facts["parallel"] == "data" else f" ({facts['parallel']})"
        several = f" in {facts['processes']} processes{how}" if facts["processes"] > 1 else ""
        duration = counted(facts["steps"], "step") if facts["steps"] else counted(self.epochs, "epoch")
        self.say(
            f"{facts['network']}: {facts['parameters']:,} parameters, {facts['flops'] / 1e6:,.1f} MFLOPs an image\n"
            f"{facts['set']}: {counted(facts['train'], 'image')} to train, {facts['validation']:,} to validate, "
            f"{facts['test']:,} to test, {facts['classes']} classes\n"
            f"{duration} on {facts['device']}{several} in {facts['precision']}; everything goes to {run.path}"
        )
        if facts["start"]:
            self.say(facts["start"])
        for remark in facts["remarks"]:
            self.say(remark)
        if facts["validation_is_test"]:
            self.say("as published, validation is the test split: it chooses nothing, the last epoch's weights count")
        if facts["skipped"]:
            left = counted(facts["skipped"], "file")
            self.say(f"{left} could not be read or used: left out; see {run.path / SKIPPED}")
        for note in facts["notes"]:
            self.say(f"data: {note}")

    def step(self, epoch: int, step: int, steps: int, figures: dict[str, float]) -> None:
        if step < steps and self._due():
            self.say(f"epoch {epoch}/{self.epochs}  step {step}/{steps}  {_figures(figures)}")

    def epoch(self, row: dict[str, Any]) -> None:
        self._said = time.monotonic()
        self.say(
            f"epoch {row['epoch']:>3}/{self.epochs}  {_losses(row)}   "
            f"{row['images_per_second']:,.0f} images/s  {row['seconds']:,.1f} s"
        )

    def finding(self, finding: Finding) -> None:
        self.say(f"! {finding.line}")

    def end(self, run: Run, card: RunCard) -> None:
        figures = card.figures
        measured = ", ".join(
            f"{split} {name_of(found)} {score(found):.2%} on {counted(found.count, 'image')} in {found.precision}"
            for split, found in (("validation", figures.validation), ("test", figures.test))
            if found
        )
        self.say(f"weights of {figures.chosen}: {measured}")
        self.say(f"report: {run.report}")

    def close(self) -> None:
        """Leaves the terminal as it was."""

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._said < _PLAIN_SECONDS:
            return False
        self._said = now
        return True


class LiveReporter(PlainReporter):
    """The same, with a moving bar below: loss, accuracy, images per second, time left. It may ask."""

    def __init__(self) -> None:
        super().__init__()
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(30), TextColumn("{task.fields[figures]}"),
            console=self.console, transient=True, refresh_per_second=8,
        )  # fmt: skip
        self._task: TaskID | None = None

    def scanning(self, done: int, total: int) -> None:
        self._show("reading images", done, total, f"{done:,}/{total:,}")

    def fetching(self, done: int, total: int) -> None:
        self._show("fetching", done, total, f"{done / 1e6:,.1f}/{total / 1e6:,.1f} MB")

    def step(self, epoch: int, step: int, steps: int, figures: dict[str, float]) -> None:
        self._show(f"epoch {epoch}/{self.epochs}", step, steps, _figures(figures))

    def confirm(self, question: str) -> bool:
        return sys.stdin.isatty() and typer.confirm(clean(question), default=True)

    def close(self) -> None:
        self._progress.stop()

    def end(self, run: Run, card: RunCard) -> None:
        self.close()
        super().end(run, card)

    def _show(self, description: str, done: int, total: int, figures: str) -> None:
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task(description, figures="")
        self._progress.update(self._task, description=description, completed=done, total=total, figures=figures)


class QuietReporter(PlainReporter):
    """Findings, and how the run ended."""

    def scanning(self, done: int, total: int) -> None:
        pass

    def fetching(self, done: int, total: int) -> None:
        pass

    def begin(self, run: Run, facts: dict[str, Any]) -> None:
        pass

    def step(self, epoch: int, step: int, steps: int, figures: dict[str, float]) -> None:
        pass

    def epoch(self, row: dict[str, Any]) -> None:
        pass


def terminal() -> PlainReporter:
    """The live display on a terminal, plain lines elsewhere."""
    if screen.quiet:
        return QuietReporter()
    return LiveReporter() if sys.stdout.isatty() else PlainReporter()


@contextlib.contextmanager
def bar(description: str, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A progress bar as a function of (done, total); nothing where it would only be in the way."""
    if quiet or screen.quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with Progress(
        TextColumn(clean(description), markup=False), BarColumn(30), console=Console(stderr=True), transient=True
    ) as progress:
        task = progress.add_task(description)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _losses(row: dict[str, Any]) -> str:
    if "val_map" in row:
        return (
            f"train loss {row['train_loss']:.4f}   validation loss {row['val_loss']:.4f} mAP {row['val_map']:.4f} "
            f"micro F1 {row['val_micro_f1']:.4f}"
        )
    return (
        f"train loss {row['train_loss']:.4f} accuracy {row['train_accuracy']:.4f}   "
        f"validation loss {row['val_loss']:.4f} accuracy {row['val_accuracy']:.4f}"
    )


def _figures(figures: dict[str, float]) -> str:
    minutes, seconds = divmod(int(figures["seconds_left"]), 60)
    return (
        f"loss {figures['loss']:.4f}  accuracy {figures['accuracy']:.4f}  "
        f"{figures['images_per_second']:,.0f} images/s  {minutes}:{seconds:02d} left"
    )
