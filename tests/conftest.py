"""What every test shares: one thread, where the real data lies, a trained run, and the command line in this process."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

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
