"""`alexnet … --processes N`: the same command N times, as processes that find each other, and one end for all.

torchrun does the same on many machines. Here, one process that fails takes the others with it, and what is told is its
own line and exit code. Needs no torch.
"""

import concurrent.futures
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from alexnet.cli.screen import say
from alexnet.errors import InputError

if TYPE_CHECKING:
    from alexnet.process.group import World

LOST = 69  # exit code of a process that ended because another did (EX_UNAVAILABLE of sysexits.h)
RENDEZVOUS = "ALEXNET_RENDEZVOUS"  # as alexnet.process.rendezvous has it, which needs torch
_RESUME = "resume from the last saved state with: alexnet train --resume --out …"
_GRACE = 20.0  # seconds in which the others notice that one is gone; then they are killed


def launched() -> bool:
    """Whether this is one of several processes, started here or by torchrun."""
    return "RANK" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"


def is_first() -> bool:
    """Whether this process is the one that prints."""
    return os.environ.get("RANK", "0") == "0"


def launch(count: int, command: Sequence[str] | None = None, again: str = _RESUME) -> int:
    """Runs a command (this process's own) `count` times, side by side; returns the exit code of the one that failed.

    again: what to do when one of them is killed.

    Ctrl-C and SIGTERM are handed on. When this process is killed, the others end as if they were asked to.
    """
    command = command or [sys.executable, "-m", "alexnet", *sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        processes = [stack.enter_context(_started(command, rank, count, Path(folder))) for rank in range(count)]
        asked = stack.enter_context(_handed_on(processes))
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            ends = [pool.submit(process.wait) for process in processes]
            waiting = set(ends)
            while waiting and not any(end.done() and end.result() for end in ends):
                waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED).not_done
            late = concurrent.futures.wait(ends, timeout=_GRACE).not_done
            killed = [rank for rank, end in enumerate(ends) if end in late]
            for rank in killed:
                processes[rank].kill()
        codes = [process.returncode for process in processes]
        culprit = _culprit(codes, killed)
        said = (Path(folder) / str(culprit)).read_text(encoding="utf-8", errors="replace")
        say(said, err=True, end="")
        code = codes[culprit]
        if code >= 0:
            return code
        if not asked:
            say(
                f"alexnet: process {culprit + 1} of {count} was ended by {signal.Signals(-code).name}; {again}",
                err=True,
            )
        return 128 - code


def _culprit(codes: list[int], killed: list[int]) -> int:
    """Which process's end is that of the run: the first that did not end because of another; 0 if all is well."""
    ranks = [rank for rank, code in enumerate(codes) if code and rank not in killed]
    return next((rank for rank in ranks if codes[rank] != LOST), ranks[0] if ranks else 0)


@contextlib.contextmanager
def _started(command: Sequence[str], rank: int, count: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command as process `rank` of `count`; what it says on stderr goes to a file of that name in `folder`."""
    threads = max(1, (os.cpu_count() or 1) // count)
    environment = {"OMP_NUM_THREADS": str(threads)} | os.environ | {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count),
        RENDEZVOUS: f"file://{folder / 'rendezvous'}",
    }  # fmt: skip
    with (folder / str(rank)).open("wb") as said:
        # A session of its own: Ctrl-C on a terminal comes once, through here. stdin: see `leashed`.
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=None if rank == 0 else subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@contextlib.contextmanager
def _handed_on(processes: list[subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """While the block runs, SIGINT and SIGTERM go to the processes as SIGTERM, and into the list that it gets."""
    asked: list[int] = []

    def hand_on(number: int, frame: object) -> None:
        asked.append(number)
        for process in processes:
            process.terminate()

    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, hand_on) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leashed() -> None:
    """In a process that `launch` started: when the one that started it is gone, it is asked to stop, as by SIGTERM.

    Its stdin is a pipe whose other end closes with the starter, however that ends.
    """

    def wait() -> None:
        os.read(0, 1)  # not through sys.stdin, which a thread must not hold when Python ends
        os.kill(os.getpid(), signal.SIGTERM)

    if RENDEZVOUS in os.environ:
        threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def together(processes: int | None, device: str) -> "Iterator[World]":
    """The processes that do this verb's work: those of `--processes`, which are started here, or of torchrun, or one.

    In all but the first nothing is printed.
    """
    count, device = count_of(None, processes, device)
    if count > 1 and not launched():
        raise typer.Exit(launch(count, again="run the command again"))
    leashed()
    from alexnet.process.rendezvous import Lost, joined

    try:
        with joined(device) as world, contextlib.ExitStack() as stack:
            if not world.is_writer:
                nowhere = stack.enter_context(open(os.devnull, "w"))
                stack.enter_context(contextlib.redirect_stdout(nowhere))
                stack.enter_context(contextlib.redirect_stderr(nowhere))
            yield world
    except Lost as lost:
        say(f"alexnet: lost {str(lost) or 'another process of this command'}; run the command again", err=True)
        raise typer.Exit(LOST) from None


def count_of(gpus: int | None, processes: int | None, device: str) -> tuple[int, str]:
    """How many processes train, and on which device: one per GPU, or several on the CPU."""
    if gpus and processes:
        raise InputError("--gpus starts one process per GPU, --processes starts processes on the CPU: give one of them")
    kind = "cuda" if gpus else "cpu" if processes else device
    if device not in ("auto", kind):
        raise InputError(
            f"--device {device} cannot be combined with {'--gpus' if gpus else '--processes'}; leave it out"
        )
    count = gpus or processes or 1
    size = os.environ["WORLD_SIZE"] if launched() else str(count)
    if not (size.isascii() and size.isdecimal()):
        raise InputError(f"the environment variable WORLD_SIZE is {size!r}, not a number; torchrun sets it")
    world = int(size)
    if count not in (1, world):
        raise InputError(f"torchrun started {world} processes, not {count}: leave out --gpus and --processes")
    return world, kind
