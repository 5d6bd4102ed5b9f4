"""Side by side: both sides in processes of their own, in turn; here with a peer that is ourselves."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from alexnet.benchmark import peers, worker
from alexnet.benchmark.workload import of_network
from alexnet.errors import InputError
from alexnet.models import catalog


def test_both_sides_take_turns(monkeypatch: pytest.MonkeyPatch, command: Callable) -> None:
    monkeypatch.setitem(peers.INSTALL, "alexnet", "it is installed")
    words = ("--peer", "alexnet", "--batch", "4", "--rounds", "2", "--seconds", "0", "--precision", "fp32")
    said = json.loads(command("bench", "alexnet-digits", *words, "--json").out)
    (row,) = said["rows"]
    assert (row["network"], row["batch"], row["rounds"], len(row["ratios"])) == ("alexnet-digits", 4, 2, 2)
    assert row["own"]["steps"] == row["peer"]["steps"] == 6
    assert row["ratio"] == pytest.approx(sum(row["ratios"]) / 2)
    assert row["images_per_second"]["own"] == pytest.approx(4 / row["own"]["seconds"])
    assert row["own"]["facts"]["parameters"] == 263_306


def test_a_peer_that_is_not_there_is_told_with_what_to_install(refused: Callable) -> None:
    if all(name in sys.modules for name in ("keras", "torchvision")):
        pytest.skip("both are installed")
    line = refused("bench", "alexnet-owt", "--peer", "torchvision", "--batch", "2")
    assert "pip install torchvision" in line
    assert "--peer-python" in line
    assert "choose one of: keras, torchvision" in refused("bench", "--peer", "caffe")
    assert "no Python at" in refused("bench", "--peer", "keras", "--peer-python", "/nowhere/python")
    bare = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    if bare.exists() and sys.prefix != sys.base_prefix:
        line = refused("bench", "--peer", "keras", "--peer-python", bare)
        assert "has no alexnet" in line or "does not have" in line  # by what that Python has


def test_a_side_that_dies_is_a_fault_that_says_why() -> None:
    recipe, threads = of_network("alexnet-digits", 4), "many"
    with (
        pytest.raises(RuntimeError, match=r"the alexnet side ended without an answer(.|\n)*'many'"),
        peers._worker(sys.executable, "alexnet", recipe, threads, "cpu"),  # pyright: ignore
    ):
        pass


def test_torchvisions_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its recipe, with a stand-in for the package."""
    fake = ModuleType("torchvision")
    fake.__dict__.update(__version__="0", models=ModuleType("models"))
    fake.models.alexnet = lambda num_classes: catalog.create("alexnet-owt", classes=num_classes)
    monkeypatch.setitem(sys.modules, "torchvision", fake)
    seconds, facts = worker.start("torchvision", of_network("alexnet-owt", 1), torch.get_num_threads(), "cpu")
    assert facts["parameters"] == 61_100_840
    assert len(seconds(1)) == 1
    with pytest.raises(InputError, match="alexnet bench alexnet-owt --peer torchvision"):
        worker.start("torchvision", of_network("alexnet-digits", 1), 1, "cpu")
