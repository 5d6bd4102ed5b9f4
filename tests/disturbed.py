"""Trainings in processes of their own, which tests/faults.py disturbs and resumes."""

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

ALEXNET = [sys.executable, "-m", "alexnet"]
_EVERY = ["--epochs", "4", "--set", "train.checkpoint_seconds=0.1"]
DIGITS = ["train", "digits", *_EVERY, "--set", "data.train_images=400"]
IMAGES = [
    *["train", "folder", *_EVERY, "--set", "model.name=alexnet-digits", "--set", "train.batch_size=8"],
    *["--set", "data.resize=8", "--set", "data.workers=1"],
]
"""Files in a folder, `place/images`, decoded by another process."""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
FOLDER = "run"
Kind = int | str
"""What is trained: digits in so many processes, or 'images'."""


class Lost(Exception):
    """A fault that was not survived; the text says how."""


class Skipped(Exception):
    """A fault that this machine does not allow to be made; the text says why."""


def command(place: Path, *more: str, kind: Kind = 1) -> list[str]:
    out = ["--out", str(place / FOLDER), *more]
    if kind == "images":
        if not (place / "images").exists():
            make_images(place / "images")
        return [*ALEXNET, *IMAGES, "--data", str(place / "images"), *out]
    return [*ALEXNET, *DIGITS, *out, *(["--processes", str(kind)] if kind != 1 else [])]


def make_images(folder: Path, seed: int = 0) -> None:
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(seed)
    for index in range(80):
        path = folder / "01"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(path)


class Forked:
    """`alexnet …` in a copy of this process, which has imported everything: the seconds go to what is disturbed."""

    def __init__(self, arguments: list[str], before: Callable[[], None] = lambda: None):
        reading, writing = os.pipe()
        self.pid, self.returncode, self._said = os.fork(), None, reading
        if self.pid == 0:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(writing, 2)
            os.closerange(3, 256)
            before()
            os._exit(_ended(arguments))
        os.close(writing)

    def wait(self, timeout: float) -> int:
        end = time.monotonic() + timeout
        while self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > end:
                raise subprocess.TimeoutExpired("alexnet", timeout)
            else:
                time.sleep(0.005)
        return self.returncode

    def running(self) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode is None

    def communicate(self, timeout: float = 600) -> tuple[None, bytes]:
        self.wait(timeout)
        said = b""
        while part := os.read(self._said, 2**16):
            said += part
        os.close(self._said)
        return None, said


def _ended(arguments: list[str]) -> int:
    from alexnet.cli import main

    sys.argv = ["alexnet", *arguments[len(ALEXNET) :]]
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    else:
        code = 0
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


_kept = tempfile.TemporaryDirectory()
TRAINED = Path(_kept.name) / "run"
"""A run that other verbs read."""


def warm() -> None:
    """Imports what a training needs, once. Plots are not drawn: they take most of the time, and nothing reads them."""
    import torch

    import alexnet.data.dataset
    import alexnet.experiments.finish
    import alexnet.experiments.train

    alexnet.data.dataset.MEMORY_LIMIT = 0  # images are decoded when they are needed, as those of a large folder
    alexnet.experiments.train.draw_samples = alexnet.experiments.finish.draw = lambda *_: None
    torch.set_num_threads(1)
    os.environ.update(ENVIRONMENT)
    alexnet.train("digits", out=TRAINED, epochs=1, settings={"data.train_images": 200})


def started(arguments: list[str]) -> "subprocess.Popen[bytes] | Forked":
    if "--processes" not in arguments and arguments[: len(ALEXNET)] == ALEXNET:
        return Forked(arguments)
    return subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT, start_new_session=True
    )


_TRACKER = re.compile(
    r'Traceback [^\n]*\n  File "[^"\n]*resource_tracker\.py"[^\n]*\n(?: [^\n]*\n)*KeyError[^\n]*\n?'
    r"|[^\n]*resource_tracker[^\n]*\n?"
)
"""What multiprocessing's tracker says of a copy of a process (Forked), which does not end as Python does."""


def finished(process: "subprocess.Popen[bytes] | Forked", seconds: float = 600) -> tuple[int, str]:
    """Exit code and what was written to stderr. Lost when it hangs or shows a traceback."""
    try:
        said = process.communicate(timeout=seconds)[1].decode(errors="replace")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise Lost(f"still running after {seconds:g} s") from None
    said = _TRACKER.sub("", said)
    if "Traceback" in said:
        raise Lost(f"a traceback: {said.strip().splitlines()[-1]}")
    assert process.returncode is not None
    return process.returncode, said


def weights(place: Path) -> str:
    """Of the last and the best epoch, without what a file says of itself."""
    from alexnet.artifacts.store import load_tensors

    found = hashlib.sha256()
    for name in ("last", "best"):
        for key, value in sorted(load_tensors(place / FOLDER / f"{name}.safetensors").items()):
            found.update(key.encode() + value.contiguous().numpy().tobytes())
    return found.hexdigest()


def resumed(place: Path, expected: str, kind: Kind = 1) -> None:
    """Resumes until the end; the weights must be the undisturbed run's."""
    code, said = finished(started(command(place, "--resume", kind=kind)))
    if code:
        raise Lost(f"--resume ended with {code}: {said.strip()[:200]}")
    if weights(place) != expected:
        raise Lost("the weights differ from the undisturbed run's")


LENGTH: dict[Kind, float] = {}
"""Seconds of an undisturbed run."""


@contextlib.contextmanager
def mounted(place: Path, options: str) -> Iterator[None]:
    """A file system of its own at `place`; needs to be root."""
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=False, capture_output=True)
    if made.returncode:
        raise Skipped("needs to mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def one_line(code: int, said: str) -> None:
    """Lost unless the fault was not met, or was reported in one line as what the user can mend."""
    if code not in (0, 2) or (code == 2 and said.strip().count("\n")):
        raise Lost(f"ended with {code}: {said.strip()[:300]}")


def undisturbed(kind: Kind) -> str:
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        code, said = finished(started(command(Path(folder), kind=kind)))
        if code:
            raise SystemExit(f"an undisturbed run ended with {code}: {said}")
        LENGTH[kind] = time.monotonic() - begun
        return weights(Path(folder))
