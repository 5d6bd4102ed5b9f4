"""A network divided over processes makes the steps of the whole one, and its run goes on in any other division."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_towers
import torch

import alexnet
from alexnet.artifacts import store
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.models import catalog
from alexnet.process.group import ALONE, SameImages, World
from alexnet.recipes import recipe as recipes
from alexnet.training import checkpoint, parallel
from alexnet.training.interrupts import Interrupted

SCRIPT = Path(__file__).with_name("divided_processes.py")
KINDS = ("towers", "owt")


def ran(folder: Path, size: int) -> Path:
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", str(SCRIPT), str(folder)],
            env=os.environ
            | {"RANK": str(rank), "WORLD_SIZE": str(size), "ALEXNET_RENDEZVOUS": f"file://{folder / 'rendezvous'}"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * size, "\n".join(said)
    return folder


@pytest.fixture(scope="module", autouse=True)
def network() -> Any:
    tiny_towers.register()
    yield
    del catalog.CATALOG[tiny_towers.NAME]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left; before them, one began a run that they end."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.raises(Interrupted):
        alexnet.train("digits", out=folder / "begun-data", settings=tiny_towers.CHANGES, stop_after=1)
    return ran(folder, 2)


@pytest.fixture(scope="module", autouse=True)
def undrawn() -> Any:
    """Plots and reports take longer than these trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alexnet.insight.plots.sample_grid", lambda *_: None)
        for name in ("draw", "write_report"):
            patch.setattr(f"alexnet.experiments.finish.{name}", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return alexnet.train("digits", out=tmp_path_factory.mktemp("single") / "run", settings=tiny_towers.CHANGES)


def close(one: Run, other: Run) -> None:
    """The same but for the order of summation, in every file that is kept."""
    for ours, theirs in zip(one.metrics, other.metrics, strict=True):
        for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_top5", "lr"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4), name
    weights, others = (store.load_tensors(run.path / "last.safetensors") for run in (one, other))
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        torch.testing.assert_close(value, others[name], rtol=1e-4, atol=1e-6, msg=name)
    states = [checkpoint.load(run.state)["learner"] for run in (one, other)]
    assert states[0]["optimizer"]["param_groups"] == states[1]["optimizer"]["param_groups"]
    for ours, theirs in zip(*(state["optimizer"]["state"].values() for state in states), strict=True):
        torch.testing.assert_close(ours["momentum_buffer"], theirs["momentum_buffer"], rtol=1e-3, atol=1e-6)
    for name, value in states[0]["average"]["average"].items():
        torch.testing.assert_close(value, states[1]["average"]["average"][name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_forward_backward_and_a_step_are_the_whole_networks(two: Path, kind: str) -> None:
    """The narrowed network of 2012 in fp64 without dropout: logits, every gradient, every weight after a step."""
    for rank in range(2):
        found = json.loads((two / f"{kind}-{rank}.json").read_text())
        sent, formula = found.pop("bytes"), found.pop("formula")
        assert sent == formula > 0
        assert found.pop("logits", 0.0) < 1e-6
        assert len([name for name in found if "step" in name]) == 16
        assert len([name for name in found if "gradient" in name]) == (0 if rank else 16)
        assert {name: error for name, error in found.items() if not error < 1e-6} == {}


def test_three_processes_share_the_fully_connected_layers(tmp_path: Path) -> None:
    """Slices of 4, 3 and 3 classes, and of 22, 21 and 21 units."""
    ran(tmp_path, 3)
    for rank in range(3):
        found = json.loads((tmp_path / f"owt-{rank}.json").read_text())
        errors = {name: error for name, error in found.items() if name not in ("bytes", "formula")}
        assert errors
        assert {name: error for name, error in errors.items() if not error < 1e-6} == {}  # nor not a number


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_that_of_one_process(two: Path, single: Run, kind: str) -> None:
    """With augmentation, L2, decay, clipping, an average, class weights and layers that begin to learn."""
    close(Run(two / kind), single)


def test_two_towers_mix_the_images_that_one_process_mixes(two: Path, tmp_path: Path) -> None:
    """In two parts, of which the second tower answers for none."""
    settings = tiny_towers.CHANGES | tiny_towers.MIXED
    close(Run(two / "mixed"), alexnet.train("digits", out=tmp_path / "run", settings=settings))


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_division_began_one_process_ends(two: Path, single: Run, kind: str) -> None:
    run = Run(two / f"begun-{kind}")
    assert len(run.metrics) == 1
    assert run.recipe.train.parallel == kind
    close(alexnet.train(out=run.path, resume_run=True, settings={"train.parallel": "data"}), single)


@pytest.mark.parametrize("kind", KINDS)
def test_what_one_process_began_a_division_ends(two: Path, single: Run, kind: str) -> None:
    close(Run(two / f"ended-{kind}"), single)


TWO = World(0, 2)


@pytest.mark.parametrize(
    ("world", "changes", "said"),
    [
        (ALONE, {"train.parallel": "towers"}, "'towers' takes 2 processes, one per tower, not 1: --processes 2"),
        (World(0, 4), {"train.parallel": "towers"}, "not 4"),
        (
            TWO,
            {"train.parallel": "towers", "model.name": "alexnet-owt"},
            "alexnet-owt has no two towers; choose one of",
        ),
        (TWO, {"train.parallel": "towers", "model.name": "alexnet-bvlc"}, "alexnet-bvlc has no two towers"),
        (TWO, {"train.parallel": "towers", "optimizer.name": "muon"}, "muon needs whole layers"),
        (TWO, {"train.parallel": "towers", "train.compile": True}, "cannot be compiled"),
        (ALONE, {"train.parallel": "owt"}, "'owt' takes 2 processes or more"),
        (TWO, {"train.parallel": "owt", "model.name": "resnet-20"}, "no sequence that ends in fully connected layers"),
        (TWO, {"train.parallel": "owt", "train.accumulate": 2}, "leave train.accumulate at 1"),
        (TWO, {"train.parallel": "owt", "train.compile": True}, "cannot be compiled"),
    ],
)
def test_what_does_not_go_together_is_refused(world: World, changes: dict[str, Any], said: str) -> None:
    recipe = recipes.load("digits", {"model.name": "alexnet-2012"} | changes)
    with pytest.raises(InputError, match=said):
        parallel.check(recipe, world)


def test_a_refusal_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 processes or more"):
        alexnet.train("digits", out=tmp_path / "run", settings={"train.parallel": "owt"})
    assert not (tmp_path / "run").exists()


def test_the_networks_with_towers_are_those_of_2012() -> None:
    found = {name for name, spec in catalog.CATALOG.items() if parallel.has_towers(spec)} - {tiny_towers.NAME}
    assert found == {
        *("alexnet-2012", "alexnet-2012-tanh", "alexnet-2012-as-run", "alexnet-2012-no-lrn"),
        *("alexnet-2012-no-overlap", "alexnet-2012-conv6"),
    }


def test_of_two_towers_the_first_answers_for_all_images() -> None:
    worlds = [SameImages(rank, 2) for rank in range(2)]
    assert [world.own(7) for world in worlds] == [7, 0]
    assert all(world.part(torch.arange(7)).tolist() == list(range(7)) for world in worlds)
    assert len({world.use("dropout") for world in worlds}) == 2
    assert len({world.use_of_images("mixing") for world in worlds}) == 1
