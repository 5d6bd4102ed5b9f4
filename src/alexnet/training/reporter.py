"""What a run tells while it runs; the command line draws it, a program may ignore it."""

from typing import Any

from alexnet.artifacts.card import RunCard
from alexnet.artifacts.run import Run
from alexnet.training.watch import Finding


class Reporter:
    """Tells nothing. Override what you want to hear."""

    def scanning(self, done: int, total: int) -> None:
        """An image of a folder was read for the first time."""

    def fetching(self, done: int, total: int) -> None:
        """Bytes of a public dataset have arrived; `total` is 0 where it is not known."""

    def confirm(self, question: str) -> bool:
        """Asks whoever is there, yes or no; nobody is, so: no."""
        return False

    def begin(self, run: Run, facts: dict[str, Any]) -> None:
        """Everything is set up; `facts` name the network, its parameters, the data and the device."""

    def step(self, epoch: int, step: int, steps: int, figures: dict[str, float]) -> None:
        """`step` of `steps` of `epoch` (1-based) is done.

        `figures`: loss, accuracy, images_per_second, seconds_left (of this epoch)."""

    def epoch(self, row: dict[str, Any]) -> None:
        """An epoch was trained and validated: its row of metrics.jsonl."""

    def finding(self, finding: Finding) -> None:
        """The watch found something wrong."""

    def end(self, run: Run, card: RunCard) -> None:
        """The report is written."""

    def close(self) -> None:
        """The run is over, well or not."""
