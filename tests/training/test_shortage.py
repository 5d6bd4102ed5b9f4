"""A batch that does not fit into memory: what would is said; a run that was ended from outside is named on resuming."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import alexnet
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.process import memory
from alexnet.process.group import Parallel
from alexnet.training import shortage
from alexnet.training.interrupts import Interrupted
from alexnet.training.reporter import Reporter

TINY = {"data.name": "synthetic", "data.synthetic_images": 80, "train.batch_size": 16, "train.epochs": 2}


class Notes(Reporter):
    """Keeps what is said before a run starts."""

    def begin(self, run: Run, facts: dict[str, Any]) -> None:
        self.notes: list[str] = facts["remarks"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, BaseException], None]:
    """small(n, error): training on more than n images at once finds too little memory."""

    def limit(images: int, error: BaseException) -> None:
        forward = Parallel.__call__

        def limited(self: Parallel, inputs: Tensor, count: int) -> Tensor:
            if len(inputs) > images:
                raise error
            return forward(self, inputs, count)

        monkeypatch.setattr(Parallel, "__call__", limited)

    return limit


CPU = RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried …")


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("error", [CPU, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")])
def test_the_batch_that_would_fit_is_named_and_the_run_resumes_in_parts(
    error: BaseException, small: Callable, tmp_path: Path
) -> None:
    small(5, error)
    with pytest.raises(InputError) as raised:
        alexnet.train("digits", out=tmp_path / "run", settings=TINY)
    said = str(raised.value)
    assert "a batch of 16 does not fit into the memory of cpu, one of 4 does" in said
    assert "--set train.accumulate=4 makes the same steps of 16 images" in said
    assert "--set train.batch_size=4" in said
    run = alexnet.train(out=tmp_path / "run", resume_run=True, settings={"train.accumulate": 4})
    assert len(run.metrics) == 2
    assert run.recipe.train.accumulate == 4


@pytest.mark.usefixtures("bare")
def test_other_errors_are_not_taken_for_a_shortage(small: Callable, tmp_path: Path) -> None:
    small(5, RuntimeError("expected scalar type Float"))
    with pytest.raises(RuntimeError, match="expected scalar"):
        alexnet.train("digits", out=tmp_path / "run", settings=TINY)


@pytest.mark.usefixtures("bare")
def test_a_network_that_never_fits_is_said_to(small: Callable, tmp_path: Path) -> None:
    small(0, CPU)
    with pytest.raises(InputError, match="not even one image fits"):
        alexnet.train("digits", out=tmp_path / "run", settings=TINY)


class Killed(BaseException):
    """What no handler expects."""


@pytest.mark.usefixtures("bare")
def test_a_run_that_was_killed_is_named_on_resuming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Kill(Reporter):
        def epoch(self, row: dict[str, Any]) -> None:
            raise Killed

    monkeypatch.setattr("alexnet.training.loop.oom_kills", lambda: ["boot", 3])
    with pytest.raises(Killed):
        alexnet.train("digits", out=tmp_path / "run", settings=TINY, reporter=Kill())
    notes = Notes()
    monkeypatch.setattr(shortage, "oom_kills", lambda: ["boot", 4])
    with pytest.raises(Interrupted):
        alexnet.train(out=tmp_path / "run", resume_run=True, reporter=notes, stop_after=1)
    assert len(notes.notes) == 1
    assert "ended while it trained (the kernel has since ended a process" in notes.notes[0]
    assert "--set train.accumulate=2" in notes.notes[0]
    alexnet.train(out=tmp_path / "run", resume_run=True, reporter=notes)
    assert notes.notes == []  # it was stopped as it should be
    alexnet.train(out=tmp_path / "run", resume_run=True, reporter=notes)
    assert notes.notes == []  # finished


@pytest.mark.parametrize("now", [["boot", 3], ["another boot", 9], None])
def test_the_kernel_is_named_only_when_it_ended_something(now: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortage, "oom_kills", lambda: now)
    (said,) = shortage.ended_from_outside({"training": True, "oom_kills": ["boot", 3]})
    assert "it was killed, the machine stopped, or an error ended it" in said


@pytest.mark.skipif(not Path("/proc/vmstat").is_file(), reason="Linux only")
def test_the_kernel_says_how_many_processes_it_ended() -> None:
    counted = memory.oom_kills()
    if counted is None:
        pytest.skip("this kernel does not count them")
    assert counted == memory.oom_kills()


@pytest.mark.usefixtures("bare")
def test_a_longer_schedule_is_said_before_it_starts(tmp_path: Path) -> None:
    notes = Notes()
    settings = TINY | {"schedule.name": "cosine", "optimizer.lr": 1e-3}
    run = alexnet.train("digits", out=tmp_path / "run", settings=settings, reporter=notes)
    assert notes.notes == []
    alexnet.train(out=run.path, resume_run=True, epochs=4, reporter=notes)
    (said,) = notes.notes
    assert said == (
        f"the schedule 'cosine' now spans 4 epochs, not 2: the learning rate resumes at 5.0e-04 "
        f"(it was {run.metrics[1]['lr']:.1e} when the run ended) and falls to 0.0e+00"
    )
    alexnet.train(out=run.path, resume_run=True, epochs=4, reporter=notes)
    assert notes.notes == []


@pytest.mark.usefixtures("bare")
def test_images_that_were_moved_are_asked_for(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / "d" / name).mkdir(parents=True)
        for number in range(10):
            pixels = random.integers(0, 255, (8, 8), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "d" / name / f"{number}.png")
    settings = {"model.name": "alexnet-digits", "train.batch_size": 8, "train.epochs": 2}
    with pytest.raises(Interrupted):
        alexnet.train("folder", data=tmp_path / "d", out=tmp_path / "run", settings=settings, stop_after=1)
    (tmp_path / "d").rename(tmp_path / "e")
    with pytest.raises(InputError, match=r"the images of this run were in '.*/d', which is gone; add --data with"):
        alexnet.train(out=tmp_path / "run", resume_run=True)
    alexnet.train(out=tmp_path / "run", resume_run=True, data=tmp_path / "e")
