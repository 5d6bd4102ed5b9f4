"""What every test shares: one thread, where the real data lies, a trained run, and the command line in this process."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

import alexnet
from alexnet.artifacts import card as cards
from alexnet.artifacts.run import Run
from alexnet.cli import main
from alexnet.inference.model import Model, load_model
from alexnet.models import catalog

# One thread: the networks here are tiny, and waiting for each other costs more than it gives.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["ALEXNET_OFFLINE"] = "1"  # no test uses the network
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # as a shell starts what runs in the background, and so its children
    signal.signal(signal.SIGINT, signal.default_int_handler)

_DATA = Path(os.environ.get("ALEXNET_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture
def real_data() -> Path:
    """The folder with MNIST, CIFAR-10 and weights; the test is skipped where there is none."""
    if not _DATA.is_dir():
        pytest.skip("no real data: set ALEXNET_DATA to a folder with mnist/, cifar10/ and weights/")
    return _DATA


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three epochs on the handwritten digits, far above chance. Not to be changed: all tests share it."""
    settings = {"train.batch_size": 32, "model.init": "keras-he", "augment.shift": 0.0}
    return alexnet.train("digits", out=tmp_path_factory.mktemp("trained") / "run", epochs=3, settings=settings)


class Tagged(NamedTuple):
    """A run on images with several labels each, and the images and the table that it was trained on."""

    run: Run
    images: Path
    table: Path


CORNERS = ("left", "right", "below")


@pytest.fixture(scope="session")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Tagged:
    """Gray images of 16 × 16 with a bright patch for each of their labels, columns of 0 and 1, and a run that has
    learned some of it. Not to be changed: all tests share it."""
    place = tmp_path_factory.mktemp("tagged")
    images, table = place / "images", place / "labels.csv"
    images.mkdir()
    draws = np.random.default_rng(0)
    lines = ["file,split,left,right,below"]
    for number in range(150):
        own = (draws.random(3) < (0.5, 0.4, 0.25)).astype(int)
        pixels = draws.integers(0, 80, (16, 16)).astype(np.uint8)
        for there, (row, column) in zip(own, ((0, 0), (0, 8), (8, 4)), strict=True):
            pixels[row : row + 8, column : column + 8] += np.uint8(150 * there)
        Image.fromarray(pixels).save(images / f"{number:03}.png")
        split = "test" if number >= 120 else "train"
        lines.append(",".join([f"{number:03}.png", split, *map(str, own)]))
    table.write_text("\n".join(lines) + "\n")
    settings = {"model.name": "alexnet-digits", "data.labels": str(table), "data.resize": 8, "model.init": "keras-he"}
    settings |= {"train.least_steps": 0, "train.precision": "fp32", "augment.pca_color": 0.0}
    run = alexnet.train("folder", out=place / "run", data=images, epochs=4, settings=settings | {"data.name": "table"})
    return Tagged(run, images, table)


@pytest.fixture(scope="session")
def opened(trained: Run) -> Model:
    """The digits run. Not to be changed."""
    return load_model(trained)


def untrained(name: str, **how: Any) -> Model:
    """A network of the catalog with random weights in which every number matters."""
    torch.manual_seed(0)
    module = catalog.create(name, **how).eval()
    for value in module.state_dict().values():
        if value.is_floating_point() and value.ndim == 1:
            value.copy_(torch.rand(value.shape) + 0.5)
    classes = tuple(f"class{i}" for i in range(module.classes))
    card = cards.make(module, classes, module.spec.preprocessing)
    return Model(module, classes, module.spec.preprocessing, card, Path("nowhere"))


@pytest.fixture
def make() -> Callable[..., Model]:
    """make(name, classes=…, size=…): an untrained model."""
    return untrained


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs draw nothing: the plots take longer than a tiny training."""
    for name in ("sample_grid", "curves", "confusion", "worst"):
        monkeypatch.setattr(f"alexnet.insight.plots.{name}", lambda *_: None)


class Ended(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs `alexnet …` in this process."""

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["alexnet", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        assert isinstance(code, int)
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


@pytest.fixture
def refused(command: Callable[..., Ended]) -> Callable[..., str]:
    """Runs a command that must end with code 2 and one line on stderr; returns the line."""

    def run(*arguments: object) -> str:
        ended = command(*arguments)
        assert ended.code == 2, ended
        assert ended.err.count("\n") == 1, ended.err
        assert ended.err.startswith("alexnet: ")
        return ended.err

    return run
