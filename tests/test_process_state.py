"""A library call leaves its caller's process as it found it; only the command line sets things for a whole process."""

import concurrent.futures
import locale
import logging
import multiprocessing
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image

import alexnet
from alexnet.artifacts.run import Run
from alexnet.recipes import recipe as recipes
from alexnet.training.learner import Learner
from alexnet.training.setup import prepare

SETTINGS = {
    "data.name": "synthetic", "data.synthetic_images": 40, "train.batch_size": 16, "train.epochs": 1,
    "augment.flip": 0.5, "augment.mixup": 0.4, "augment.randaugment_ops": 1, "train.ema": 0.9,
}  # fmt: skip


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _state() -> dict[str, Any]:
    """What a process has once, and callers may rely on."""
    generator = np.random.get_state(legacy=True)
    return {
        "random": random.getstate(),
        "numpy": [each.tolist() if isinstance(each, np.ndarray) else each for each in generator],
        "torch": torch.get_rng_state().tolist(),
        "cuda": [state.tolist() for state in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else None,
        "warnings": list(warnings.filters),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, ()) if hasattr(signal, "pthread_sigmask") else None,
        "__main__": sys.modules["__main__"],
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "running": {thread.name for thread in threading.enumerate() if not thread.daemon},
        "torch defaults": (
            torch.get_default_dtype(), torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled(),
            torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark, torch.is_autocast_enabled("cpu"),
        ),
        "numpy errors": np.geterr(),
        "environment": dict(os.environ),
        "folder": (Path.cwd(), _umask()),
        "locale": locale.setlocale(locale.LC_ALL),
        "logging": (logging.getLogger().level, list(logging.getLogger().handlers)),
        "hooks": (sys.excepthook, threading.excepthook, sys.stdout, sys.stderr),
        "matplotlib": {key: value for key, value in mpl.rcParams.items() if key != "backend"},  # found when first used
        "pillow": Image.MAX_IMAGE_PIXELS,
        "start method": multiprocessing.get_start_method(allow_none=True),
        "distributed": torch.distributed.is_initialized(),
    }  # fmt: skip


@pytest.fixture
def no_malloc_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a library call changed the allocator's settings")

    monkeypatch.setattr("alexnet.process.memory.ctypes.CDLL", refuse)


CALLS: dict[str, Callable[[Run, Path], object]] = {
    "train": lambda _, out: alexnet.train("digits", out=out / "run", settings=SETTINGS),
    "train with frozen layers and a teacher": lambda run, out: alexnet.train(
        "digits", out=out / "run", epochs=1, settings={"model.teacher": str(run.path), "model.freeze": ["conv1"]}
    ),
    "resume": lambda run, _: alexnet.train(out=run.path, resume_run=True),
    "step": lambda _, __: _steps(),
    "evaluate": lambda run, _: alexnet.evaluate(alexnet.load(run), alexnet.dataset("digits")),
    "predict": lambda run, _: alexnet.predict(alexnet.load(run), [run.plot("curves")]),
    "dataset": lambda _, __: alexnet.dataset("digits")[0],
    "a wrong recipe": lambda _, out: _refused(out),
}


def _steps() -> None:
    learner = Learner(prepare(recipes.load("digits", SETTINGS), None, "cpu"))
    learner.step(torch.zeros(16, 8, 8, 1, dtype=torch.uint8), torch.zeros(16, dtype=torch.int64))


def _refused(out: Path) -> None:
    with pytest.raises(alexnet.InputError):
        alexnet.train("digit", out=out / "run")


@pytest.fixture
def finished(tmp_path: Path) -> Run:
    """A short run of this test's own."""
    return alexnet.train("digits", out=tmp_path / "finished", epochs=1)


@pytest.mark.usefixtures("no_malloc_settings")
@pytest.mark.parametrize("name", CALLS)
def test_a_library_call_leaves_the_process_as_it_was(name: str, tmp_path: Path, finished: Run) -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "a filter of the caller's own")
        before = _state()
        CALLS[name](finished, tmp_path)
        after = _state()
    assert {key: value for key, value in after.items() if value != before[key]} == {}


def test_a_new_network_draws_from_torchs_generator_as_any_module_does() -> None:
    """So that a caller's seed decides its weights; nothing else is touched."""
    before = _state()
    torch.manual_seed(3)
    one = alexnet.create("alexnet-digits", classes=10)
    torch.manual_seed(3)
    other = alexnet.create("alexnet-digits", classes=10)
    assert all(a.equal(b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    after = _state()
    assert {key for key, value in after.items() if value != before[key]} <= {"torch"}


@pytest.mark.usefixtures("no_malloc_settings", "bare")
def test_training_in_a_thread_gives_the_same_weights(tmp_path: Path) -> None:
    def train(name: str) -> bytes:
        run = alexnet.train("digits", out=tmp_path / name, settings=SETTINGS)
        return (run.path / "last.safetensors").read_bytes()

    here = train("here")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(train, "there").result() == here


def test_the_command_line_is_what_sets_the_allocator(command: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr("alexnet.process.program.keep_freed_memory", lambda: called.append("kept"))
    with warnings.catch_warnings():
        assert command("recipes").code == 0
    assert called == ["kept"]
