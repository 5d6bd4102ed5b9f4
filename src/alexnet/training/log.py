"""metrics.jsonl, findings.jsonl and TensorBoard."""

import dataclasses
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from alexnet.artifacts.run import FINDINGS, METRICS, Run
from alexnet.training.watch import Finding


class Log:
    """Rewrites the two small JSON-lines files whole and atomically, so that a resumed run continues them exactly.

    Without `writes` it only remembers, as all but one of several processes do.
    """

    def __init__(self, run: Run, writes: bool = True):
        self.run, self.writes = run, writes
        self.rows: list[dict[str, Any]] = []
        self.findings: list[dict[str, Any]] = []

    def open(self, epoch: int) -> None:
        """Begins to write, with `epoch` epochs done."""
        # A resumed run repeats the epoch it was stopped in: what TensorBoard has from there on is taken back.
        if self.writes:
            self._tensorboard = SummaryWriter(self.run.tensorboard, purge_step=epoch + 1)

    def row(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if not self.writes:
            return
        self.run.write_rows(METRICS, self.rows)
        for name, value in row.items():
            if name != "epoch":
                self._tensorboard.add_scalar(name, value, row["epoch"])
        self._tensorboard.flush()

    def finding(self, finding: Finding) -> None:
        self.findings.append(dataclasses.asdict(finding))
        if self.writes:
            self.run.write_rows(FINDINGS, self.findings)

    def close(self) -> None:
        if self.writes:
            self._tensorboard.close()
