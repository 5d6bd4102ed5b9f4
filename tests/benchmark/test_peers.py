"""Side by side: both sides in processes of their own, in turn; here with a peer that is ourselves."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from alexnet import benchmark
from alexnet.benchmark import peers, worker
from alexnet.benchmark.scripts import time_to_accuracy
from alexnet.benchmark.workload import of_network
from alexnet.errors import InputError
from alexnet.models import catalog


def told(*arguments: object) -> str:
    """What `alexnet …` refuses with, run as a program of its own."""
    command = [sys.executable, "-m", "alexnet", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended
    return ended.stderr


def test_a_peer_that_is_not_there_is_told_with_what_to_install() -> None:
    if all(name in sys.modules for name in ("keras", "torchvision")):
        pytest.skip("both are installed")
    line = told("bench", "alexnet-owt", "--peer", "torchvision", "--batch", "2")
    assert "pip install torchvision" in line
    assert "--peer-python" in line
    assert "choose one of: torch, torch-compile, keras, torchvision" in told("bench", "--peer", "caffe")
    assert "no Python at" in told("bench", "--peer", "keras", "--peer-python", "/nowhere/python")
    bare = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    if bare.exists() and sys.prefix != sys.base_prefix:
        line = told("bench", "--peer", "keras", "--peer-python", bare)
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


@pytest.mark.parametrize(("own", "then"), [(None, "1"), ("0", "0")])
def test_keras_has_onednn_on_every_processor(own: str | None, then: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow's own default is off with AVX2 alone, where it would be compared at half its speed."""
    monkeypatch.setattr(os, "environ", {} if own is None else {"TF_ENABLE_ONEDNN_OPTS": own})
    fake = ModuleType("alexnet.benchmark.keras_peer")
    fake.__dict__["start"] = lambda *_: (list, dict(os.environ))  # as Keras finds it
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    monkeypatch.setattr(benchmark, "keras_peer", fake, raising=False)
    facts = worker.start("keras", of_network("alexnet-digits", 1), 1, "cpu")[1]
    assert (facts["TF_ENABLE_ONEDNN_OPTS"], facts["KERAS_BACKEND"]) == (then, "tensorflow")


def test_the_timed_keras_program_has_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(sys, "argv", ["time_to_accuracy", "--keras-side", "digits", "1", "0", "3"])
    found: list[Any] = []
    monkeypatch.setattr(time_to_accuracy, "keras_side", lambda *given: found.append((*given, dict(os.environ))))
    time_to_accuracy.main()
    assert found[0][:4] == ("digits", 1.0, 0.0, 3)
    assert found[0][4]["TF_ENABLE_ONEDNN_OPTS"] == "1"


def test_all_sides_take_turns(monkeypatch: pytest.MonkeyPatch, command: Callable, refused: Callable) -> None:
    """One table, in which every peer stands beside every network; the rows of a network share our own side."""
    assert "unknown peer 'alexnet-none'" in refused("bench", "alexnet-digits", "--peer", "torch,alexnet-none")
    monkeypatch.setattr(peers, "PEERS", ("torch", "alexnet"))
    found = peers.run(["torch", "alexnet", "torch"], ["alexnet-digits"], [4], "bf16", rounds=2, seconds=0)
    assert found.peers == ["torch", "alexnet"]  # named twice, timed once
    for row, said in zip(found.rows, found.to_json()["rows"], strict=True):
        assert (said["network"], said["batch"], said["rounds"], len(row.ratios)) == ("alexnet-digits", 4, 2, 2)
        assert said["own"]["steps"] == said["peer"]["steps"] == 6
        assert said["ratio"] == pytest.approx(sum(row.ratios) / 2)
        assert said["images_per_second"]["own"] == pytest.approx(4 / row.own.seconds)
        assert row.own is found.rows[0].own
        assert row.own.facts["parameters"] == 263_306
    loop, ourselves = (row.peer.facts for row in found.rows)
    assert loop == {"torch": torch.__version__, "precision": "bf16", "parameters": 263_306}
    assert ourselves["precision"] == "fp32"  # a peer that is none of torch's loops computes as published
    monkeypatch.setattr(peers, "run", lambda named, *_, **__: found if named == found.peers else None)
    ended = command("bench", "alexnet-digits", "--peer", "torch,alexnet")
    rows = [line.split("|")[1:3] for line in ended.out.splitlines() if line.startswith("| alexnet-digits")]
    assert rows == [[" alexnet-digits (4) ", " torch "], [" alexnet-digits (4) ", " alexnet "]]
    assert "; torch in bf16 (torch " in ended.out
    assert json.loads(command("bench", "--peer", "torch,alexnet", "--json").out)["peers"] == found.peers
