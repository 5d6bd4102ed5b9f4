"""Faults beside a training: the clock, shared memory, processes that decode, its images, and a second writer."""

import contextlib
import ctypes
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from disturbed import (
    ALEXNET,
    LENGTH,
    TRAINED,
    Forked,
    Lost,
    Skipped,
    command,
    finished,
    make_images,
    one_line,
    resumed,
)

_NAMESPACE = 0x00020000  # CLONE_NEWNS of linux/sched.h
_NOT_ALLOWED = 77


def clock_jumps(place: Path, expected: str, draws: random.Random) -> None:
    """Python's clock jumps back and forward by years at every call; the run is killed, and resumed in another year."""
    real = time.time
    seed = draws.random()

    def jumping() -> None:
        jumps = random.Random(seed)
        time.time = lambda: real() + jumps.uniform(-1e9, 1e9)
        time.time_ns = lambda: int(time.time() * 1e9)

    process = Forked(command(place), jumping)
    try:
        process.wait(timeout=draws.uniform(0.3, 1.5) * LENGTH[1])
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    resumed(place, expected)


def full_shared_memory(place: Path, expected: str, draws: random.Random) -> None:
    """Shared memory of a few pages, in a mount namespace of the training's own."""
    size = draws.choice([4, 8, 16, 32])

    def small() -> None:
        made = ctypes.CDLL(None, use_errno=True).unshare(_NAMESPACE) == 0
        for line in ("mount --make-rprivate /", f"mount -t tmpfs -o size={size}k tmpfs /dev/shm"):
            made = made and subprocess.run(line.split(), check=False, capture_output=True).returncode == 0
        if not made:
            os._exit(_NOT_ALLOWED)

    code, said = finished(Forked(command(place, kind="images"), small))
    if code == _NOT_ALLOWED:
        raise Skipped("needs to mount a file system")
    one_line(code, said)
    if code == 2 and "/dev/shm" not in said:
        raise Lost(f"does not name /dev/shm: {said.strip()[:200]}")
    resumed(place, expected, "images")


def worker_dies(place: Path, expected: str, draws: random.Random) -> None:
    """SIGKILL to the process that decodes images for a training, while the training runs."""
    process = Forked(command(place, kind="images"))
    while not (decoders := _decoders(process.pid)) and process.running():
        time.sleep(0.005)
    time.sleep(draws.uniform(0.0, 0.3) * LENGTH["images"])
    for decoder in decoders:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.kill(decoder, signal.SIGKILL)
    one_line(*finished(process))
    resumed(place, expected, "images")


def _decoders(pid: int) -> list[int]:
    """What the fork server, a child of the training, has started."""
    return [decoder for child in _children(pid) for decoder in _children(child)]


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):  # it has ended
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def images_removed(place: Path, expected: str, draws: random.Random) -> None:
    """The folder of images is moved away while it is trained on."""
    _meanwhile(place, draws, lambda: None)
    resumed(place, expected, "images")


def images_replaced(place: Path, expected: str, draws: random.Random) -> None:
    """Other images of the same names and sizes take the places of those that are trained on."""
    _meanwhile(place, draws, lambda: make_images(place / "images", seed=1))
    resumed(place, expected, "images")


def _meanwhile(place: Path, draws: random.Random, act: Callable[[], None]) -> None:
    process = Forked(command(place, kind="images"))
    time.sleep(draws.uniform(0.2, 0.9) * LENGTH["images"])
    (place / "images").rename(place / "kept")
    act()
    one_line(*finished(process))
    shutil.rmtree(place / "images", ignore_errors=True)
    (place / "kept").rename(place / "images")


def _packed(out: Path) -> None:
    from alexnet.data.sources import open_splits

    open_splits(None, out, size=(8, 8), validation=None).train.batch(range(4))  # pyright: ignore[reportArgumentType]


def _model(out: Path) -> None:
    import alexnet

    alexnet.load(out)


def _features(out: Path) -> None:
    from alexnet.inference.feature_read import read

    read(out)


def _rows(out: Path) -> None:
    if len(out.read_text().splitlines()) != 81:
        raise ValueError("rows are missing")


def _page(out: Path) -> None:
    if not out.read_text().rstrip().endswith("</html>"):
        raise ValueError("the page is cut")


RUN = str(TRAINED)
WRITERS: dict[str, tuple[list[str], str, Callable[[Path], None]]] = {
    "pack": (["pack", "--data", "images", "--size", "8"], "packed", _packed),
    "import": (["import", "weights.pth", "--model", "alexnet-digits"], "own.safetensors", _model),
    "export": (["export", RUN, "--format", "safetensors"], "model.safetensors", _model),
    "features": (["features", RUN, "--data", "images", "--layers", "fc6"], "features.npz", _features),
    "report": (["report", RUN], "report.html", _page),
    "predict": (["predict", RUN, "images"], "predictions.csv", _rows),
    "evaluate": (["evaluate", RUN, "--data", "images"], "rows.csv", _rows),
}
"""Verb → its arguments, the output that two processes write at once, and what reads it."""


def two_writers(verb: str, place: Path, expected: str, draws: random.Random) -> None:
    """Two of the same command at once: one at least is done, the other too or says in one line who writes there."""
    import torch

    from alexnet.artifacts.store import load_tensors

    arguments, name, check = WRITERS[verb]
    make_images(place / "images")
    torch.save(load_tensors(TRAINED / "best.safetensors"), place / "weights.pth")
    line = [*ALEXNET, *arguments, "--out", name]
    first = Forked(line, lambda: os.chdir(place))
    time.sleep(draws.uniform(0, 0.5))
    second = Forked(line, lambda: os.chdir(place))
    ended = [finished(first), finished(second)]
    codes = [code for code, _ in ended]
    if 0 not in codes or not {*codes} <= {0, 2}:
        raise Lost(f"ended with {codes}: {' / '.join(said.strip()[:200] for _, said in ended)}")
    for code, said in ended:
        if code:
            one_line(code, said)
    # In a process of its own: the readers start threads, which the copies that are forked later would wait for.
    process = multiprocessing.get_context("fork").Process(target=check, args=(place / name,))
    process.start()
    process.join()
    if process.exitcode:
        raise Lost(f"what {verb} left is not whole")
