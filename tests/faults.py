"""`make faults`: what goes wrong around a training, tried for real; every run must end as if nothing had happened.

Each fault is done to a training in a process of its own, which is then resumed until it ends. It survived when the
weights are bit for bit those of an undisturbed run, and
all that was printed on the way is one line that says what to do.
"""

import argparse
import hashlib
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ALEXNET = [sys.executable, "-m", "alexnet"]
TRAIN = ["train", "digits", "--epochs", "4", "--set", "train.checkpoint_seconds=0.1", "--set", "data.train_images=400"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
FOLDER = "run"


class Lost(Exception):
    """A fault that was not survived; the text says how."""


def command(place: Path, *more: str, processes: int = 1) -> list[str]:
    own = [*ALEXNET, *TRAIN, "--out", str(place / FOLDER), *more]
    return own if processes == 1 else [*own, "--processes", str(processes)]


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


def warm() -> None:
    """Imports what a training needs, once. Plots are not drawn: they take most of the time, and nothing reads them."""
    import torch

    import alexnet.experiments.finish
    import alexnet.experiments.train

    alexnet.experiments.train.draw_samples = alexnet.experiments.finish.draw = lambda *_: None
    torch.set_num_threads(1)
    os.environ.update(ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        alexnet.train("digits", out=Path(folder) / "run", epochs=1, settings={"data.train_images": 200})


def started(arguments: list[str], processes: int = 1) -> "subprocess.Popen[bytes] | Forked":
    if processes == 1 and arguments[: len(ALEXNET)] == ALEXNET:
        return Forked(arguments)
    return subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT, start_new_session=True
    )


def finished(process: "subprocess.Popen[bytes] | Forked", seconds: float = 600) -> tuple[int, str]:
    """Exit code and what was written to stderr. Lost when it hangs or shows a traceback."""
    try:
        said = process.communicate(timeout=seconds)[1].decode(errors="replace")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise Lost(f"still running after {seconds:g} s") from None
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


def resumed(place: Path, expected: str, processes: int = 1, exact: bool = True) -> None:
    """Resumes until the end; the weights must be the undisturbed run's."""
    for _ in range(3):
        code, said = finished(started(command(place, "--resume", processes=processes), processes))
        if code == 0:
            break
        raise Lost(f"--resume ended with {code}: {said.strip()[:200]}")
    if exact and weights(place) != expected:
        raise Lost("the weights differ from the undisturbed run's")


def killed(place: Path, expected: str, draws: random.Random, processes: int = 1) -> None:
    """SIGKILL to every process at a random moment."""
    process = started(command(place, processes=processes), processes)
    try:
        process.wait(timeout=draws.uniform(0.0 if processes == 1 else 1.0, LENGTH[processes]))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    resumed(place, expected, processes)


LENGTH: dict[int, float] = {}
"""Seconds of an undisturbed run, by the number of processes."""


@contextmanager
def mounted(place: Path, options: str) -> Iterator[None]:
    """A file system of its own at `place`; needs to be root."""
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=False, capture_output=True)
    if made.returncode:
        raise Skipped("needs to mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


class Skipped(Exception):
    """A fault that this machine does not allow to be made; the text says why."""


def full_disk(place: Path, expected: str, draws: random.Random) -> None:
    """A disk that fills up at a random size; then there is room again."""
    with mounted(place, f"size={draws.randrange(200, 6000)}k"):
        code, said = finished(started(command(place)))
        if code != 0 and (code != 2 or "disk is full" not in said or said.strip().count("\n")):
            raise Lost(f"ended with {code}: {said.strip()[:200]}")
        subprocess.run(["mount", "-o", "remount,size=100m", place], check=True)
        if code != 0:
            resumed(place, expected)


def read_only(place: Path, expected: str, draws: random.Random) -> None:
    """The disk becomes read-only while training, and writable again."""
    with mounted(place, "size=100m"):
        process = started(command(place))
        time.sleep(draws.uniform(0.5, 1.0) * LENGTH[1])
        subprocess.run(["mount", "-o", "remount,ro", place], check=False, capture_output=True)
        code, said = finished(process)
        subprocess.run(["mount", "-o", "remount,rw", place], check=True)
        if code not in (0, 2):
            raise Lost(f"ended with {code}: {said.strip()[:200]}")
        if code:
            resumed(place, expected)


def few_files(place: Path, expected: str, draws: random.Random) -> None:
    """Hardly any file may be open (EMFILE)."""
    limited = ["bash", "-c", f'ulimit -n {draws.randrange(6, 20)}; exec "$@"', "bash", *command(place)]
    process = started(limited)
    said = process.communicate(timeout=300)[1].decode(errors="replace")
    if process.returncode == 0:
        return
    # Python itself may be unable to start; what it started must end with a line.
    if process.returncode == 2 and "Traceback" in said:
        raise Lost(f"a traceback: {said.strip().splitlines()[-1]}")
    resumed(place, expected)


def stopped(place: Path, expected: str, draws: random.Random) -> None:
    """SIGSTOP for a while, then SIGCONT."""
    process = started(command(place))
    time.sleep(draws.uniform(0.3, 1.0) * LENGTH[1])
    os.killpg(process.pid, signal.SIGSTOP)
    time.sleep(2)
    os.killpg(process.pid, signal.SIGCONT)
    code, said = finished(process)
    if code or weights(place) != expected:
        raise Lost(f"ended with {code}: {said.strip()[:200]}")


def interrupted(place: Path, expected: str, draws: random.Random) -> None:
    """Ctrl-C or SIGTERM at a random moment."""
    process = started(command(place))
    try:
        process.wait(timeout=draws.uniform(0.3, 1.0) * LENGTH[1])
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, draws.choice([signal.SIGINT, signal.SIGTERM]))
    code, said = finished(process)
    if code not in (0, 130, -signal.SIGINT, -signal.SIGTERM):
        raise Lost(f"ended with {code}: {said.strip()[:200]}")
    resumed(place, expected)


def two_at_once(place: Path, expected: str, draws: random.Random) -> None:
    """A second process resumes the run while the first still trains it."""
    first = started(command(place))
    time.sleep(draws.uniform(0.4, 0.9) * LENGTH[1])
    code, said = finished(started(command(place, "--resume")))
    own, told = finished(first)
    if own != 0:
        raise Lost(f"the first ended with {own}: {told.strip()[:200]}")
    if code not in (0, 2):
        raise Lost(f"the second ended with {code}: {said.strip()[:200]}")
    if weights(place) != expected:
        raise Lost("the weights differ from the undisturbed run's")


def removed(place: Path, expected: str, draws: random.Random) -> None:
    """The run folder is deleted while it is trained."""
    process = started(command(place))
    time.sleep(draws.uniform(0.4, 0.8) * LENGTH[1])
    shutil.rmtree(place / FOLDER, ignore_errors=True)
    code, said = finished(process)
    if code not in (0, 2):
        raise Lost(f"ended with {code}: {said.strip()[:200]}")


FAULTS: dict[str, tuple[Callable[[Path, str, random.Random], None], float]] = {
    "SIGKILL at a random moment": (killed, 1.0),
    "SIGKILL of two processes at a random moment": (lambda *a: killed(*a, processes=2), 0.1),
    "Ctrl-C or SIGTERM at a random moment": (interrupted, 0.1),
    "the disk is full, then there is room": (full_disk, 0.1),
    "the disk becomes read-only, then writable": (read_only, 0.05),
    "hardly any file may be open": (few_files, 0.05),
    "SIGSTOP, then SIGCONT": (stopped, 0.05),
    "two processes in one run folder": (two_at_once, 0.05),
    "the run folder is removed": (removed, 0.05),
}
"""Fault → what makes it, and how many tries it gets for each kill."""


def undisturbed(processes: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        code, said = finished(started(command(Path(folder), processes=processes), processes))
        if code:
            raise SystemExit(f"an undisturbed run ended with {code}: {said}")
        LENGTH[processes] = time.monotonic() - begun
        return weights(Path(folder))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="SIGKILLs; the other faults are tried in proportion")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="a Markdown file whose table of faults is replaced")
    parser.add_argument("--only", default="", help="a part of the names of the faults that are tried")
    arguments = parser.parse_args()
    warm()
    draws = random.Random(arguments.seed)
    chosen = {name: fault for name, fault in FAULTS.items() if arguments.only in name}
    expected = {1: undisturbed(1)}
    if any("two processes at" in name for name in chosen):
        expected[2] = undisturbed(2)
    rows, lost = [], 0
    for name, (fault, share) in chosen.items():
        tried, survived, why = 0, 0, set()
        for _ in range(max(1, round(arguments.kills * share))):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    tried += 1
                    fault(Path(folder), expected[2 if "two processes at" in name else 1], draws)
                    survived += 1
                except Skipped as error:
                    tried -= 1
                    why.add(f"not tried: {error}")
                    break
                except Lost as error:
                    why.add(str(error))
        lost += tried - survived
        rows.append(f"| {name} | {tried} | {survived} | {tried - survived} | {'; '.join(sorted(why))} |")
        print(rows[-1], flush=True)
    if arguments.write:
        written(arguments.write, rows, arguments)
    return 1 if lost else 0


def written(path: Path, rows: list[str], arguments: argparse.Namespace) -> None:
    """Replaces what stands between the two marks."""
    begin, end = "<!-- faults -->", "<!-- /faults -->"
    text = path.read_text(encoding="utf-8")
    about = (
        f"`make faults FAULTS_ARGS='--kills {arguments.kills} --seed {arguments.seed}'`, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}."
    )
    table = "\n".join([about, "", "| fault | tried | survived | lost | how |", "|---|---|---|---|---|", *rows])
    before, rest = text.split(begin)
    path.write_text(f"{before}{begin}\n{table}\n{end}{rest.split(end)[1]}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
