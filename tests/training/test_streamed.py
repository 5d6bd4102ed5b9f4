"""Training from shards: in the order that the seed decides, stopped in the middle of an epoch and gone on with, in
threads or in processes."""

from pathlib import Path

import pytest

import alexnet
from alexnet.artifacts.run import Run
from alexnet.data import dataset as sets
from alexnet.training.interrupts import Interrupted
from alexnet.training.reporter import Reporter


@pytest.mark.usefixtures("bare")
def test_a_run_from_shards_that_was_stopped_ends_as_one_that_was_not(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ctrl_c: Reporter
) -> None:
    monkeypatch.setattr(sets, "MEMORY_LIMIT", 0)
    settings = {"data.name": "shards", "data.validation": 0.2, "train.batch_size": 8, "augment.shift": 0.1}

    def ended(run: Run) -> list[bytes]:
        return [(run.path / f"{name}.safetensors").read_bytes() for name in ("last", "best")]

    whole = alexnet.train("digits", out=tmp_path / "whole", data=shards, epochs=2, settings=settings)
    with pytest.raises(Interrupted):
        alexnet.train("digits", out=tmp_path / "cut", data=shards, epochs=2, settings=settings, reporter=ctrl_c)
    assert Run(tmp_path / "cut").metrics == []
    # Decoded in processes from here on, which changes nothing.
    again = alexnet.train(out=tmp_path / "cut", resume_run=True, data__workers=2)
    assert ended(again) == ended(whole)
    assert whole.card.data.name == "shards"
    assert (whole.card.data.train, whole.card.data.validation) == (48, 12)
