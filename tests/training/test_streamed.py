"""Training from shards: in the order that the seed decides, stopped in the middle of an epoch and gone on with, in
threads or in processes."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import alexnet
from alexnet.artifacts.run import Run
from alexnet.data import dataset as sets
from alexnet.data.pack import pack
from alexnet.data.readers.folder import list_folder
from alexnet.training.interrupts import Interrupted
from alexnet.training.reporter import Reporter


class CtrlC(Reporter):
    """Presses it in the third step."""

    def step(self, epoch: int, step: int, steps: int, figures: dict[str, float]) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """60 images of two classes in 5 shards, none of them kept in memory."""
    random = np.random.default_rng(0)
    for index in range(60):
        path = tmp_path / "images" / f"class{index % 2}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(path)
    listing = list_folder(tmp_path / "images")
    pack(listing, {"channels": 1, "size": (8, 8), "fit": "crop"}, tmp_path / "shards", images=13)
    return tmp_path / "shards"


@pytest.mark.usefixtures("bare")
def test_a_run_from_shards_that_was_stopped_ends_as_one_that_was_not(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sets, "MEMORY_LIMIT", 0)
    settings = {"data.name": "shards", "data.validation": 0.2, "train.batch_size": 8, "augment.shift": 0.1}

    def ended(run: Run) -> list[bytes]:
        return [(run.path / f"{name}.safetensors").read_bytes() for name in ("last", "best")]

    whole = alexnet.train("digits", out=tmp_path / "whole", data=shards, epochs=2, settings=settings)
    with pytest.raises(Interrupted):
        alexnet.train("digits", out=tmp_path / "cut", data=shards, epochs=2, settings=settings, reporter=CtrlC())
    assert Run(tmp_path / "cut").metrics == []
    # Decoded in processes from here on, which changes nothing.
    again = alexnet.train(out=tmp_path / "cut", resume_run=True, data__workers=2)
    assert ended(again) == ended(whole)
    assert whole.card.data.name == "shards"
    assert (whole.card.data.train, whole.card.data.validation) == (48, 12)
