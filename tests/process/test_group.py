"""Several processes train one run as a single one does: the same images, the same gradients, one set of files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from two_processes import BATCHNORM, EVERYTHING

import alexnet
from alexnet.artifacts import store
from alexnet.artifacts.run import Run
from alexnet.process.group import ALONE, World

SCRIPT = Path(__file__).with_name("two_processes.py")


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [1, 2, 7, 16, 65])
def test_the_parts_make_up_a_batch(size: int, count: int) -> None:
    batch = torch.arange(count)
    worlds = [World(rank, size) for rank in range(size)]
    parts = [world.part(batch) for world in worlds]
    assert torch.cat([part[: world.own(count)] for part, world in zip(parts, worlds, strict=True)]).equal(batch)
    assert all(len(part) == max(1, world.own(count)) for part, world in zip(parts, worlds, strict=True))
    assert worlds[0].own(count) == max(world.own(count) for world in worlds)  # the writer is never without


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [1, 7, 16, 65])
def test_each_image_is_evaluated_by_one_process_in_the_batch_of_a_single_one(size: int, count: int) -> None:
    stretches = [World(rank, size).stretch(count, 4) for rank in range(size)]
    assert [index for stretch in stretches for index in stretch] == list(range(count))
    assert len(stretches[0]) == max(map(len, stretches))
    assert all(stretch.start % 4 == 0 for stretch in stretches if stretch)


def test_a_single_process_needs_nobody() -> None:
    loss, correct = torch.tensor(2.0), torch.tensor(1)
    assert ALONE.figures(loss, correct, 2) == (loss, correct)
    assert (ALONE.first(lambda: 3), ALONE.each(lambda: 4), ALONE.any(True), ALONE.any(False)) == (3, 4, True, False)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left."""
    folder = tmp_path_factory.mktemp("two")
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", str(SCRIPT), str(folder)],
            env=os.environ | {"RANK": str(rank), "WORLD_SIZE": "2"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    return folder


def close(one: Run, other: Run) -> None:
    """The same but for the order of summation."""
    for ours, theirs in zip(one.metrics, other.metrics, strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-5)
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-5)
        assert ours["train_accuracy"] == pytest.approx(theirs["train_accuracy"])
    weights, others = (store.load_tensors(run.path / "last.safetensors") for run in (one, other))
    for name, value in weights.items():
        torch.testing.assert_close(value, others[name], rtol=1e-5, atol=1e-6, msg=name)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return alexnet.train("digits", out=tmp_path_factory.mktemp("single") / "run", settings=EVERYTHING)


def test_two_processes_make_the_steps_of_one(two: Path, single: Run) -> None:
    """With class weights, smoothing, clipping, L2, an average, freezing, and each image augmented as it would be."""
    close(Run(two / "everything"), single)


@pytest.mark.usefixtures("bare")
def test_what_two_processes_began_one_ends(two: Path, single: Run) -> None:
    assert (two / "interrupted-0").exists()
    assert (two / "interrupted-1").exists()
    assert len(Run(two / "stopped").metrics) == 1
    close(alexnet.train(out=two / "stopped", resume_run=True), single)


@pytest.mark.usefixtures("bare")
def test_batchnorm_keeps_the_statistics_of_the_first_process(two: Path, tmp_path: Path) -> None:
    """Each normalizes by its own half of a batch, so that the runs resemble each other and no more."""
    single = alexnet.train("digits", out=tmp_path / "run", settings=BATCHNORM)
    ours, theirs = (Run(path).metrics[0]["train_loss"] for path in (two / "batchnorm", single.path))
    assert ours != theirs
    assert ours == pytest.approx(theirs, rel=0.2)


def test_only_the_first_process_writes(two: Path) -> None:
    assert (two / "done-0").exists()
    assert (two / "done-1").exists(), "the second asserts that it wrote nothing, and then writes this"
    assert len(list((two / "everything" / "tensorboard").iterdir())) == 1
