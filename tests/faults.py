"""`make faults`: what goes wrong around a training, tried for real; every run must end as if nothing had happened.

Each fault is done to a training in a process of its own, which is then resumed until it ends. It survived when the
weights are bit for bit those of an undisturbed run, and all that was printed on the way is one line that says what to
do. Of two writers of one output, one at least must be done, and what it wrote is read.
"""

import argparse
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import faults_beside as beside
from disturbed import (
    FOLDER,
    LENGTH,
    Kind,
    Lost,
    Skipped,
    command,
    finished,
    mounted,
    resumed,
    started,
    undisturbed,
    warm,
    weights,
)


def killed(place: Path, expected: str, draws: random.Random, kind: Kind = 1) -> None:
    """SIGKILL to every process at a random moment."""
    process = started(command(place, kind=kind))
    try:
        process.wait(timeout=draws.uniform(1.0 if kind == 2 else 0.0, LENGTH[kind]))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    resumed(place, expected, kind)


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
    if code not in (0, 130, 143, -signal.SIGINT, -signal.SIGTERM):
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


FAULTS: dict[str, tuple[Callable[[Path, str, random.Random], None], float, Kind]] = {
    "SIGKILL at a random moment": (killed, 1.0, 1),
    "SIGKILL of two processes at a random moment": (lambda *a: killed(*a, kind=2), 0.1, 2),
    "Ctrl-C or SIGTERM at a random moment": (interrupted, 0.1, 1),
    "the disk is full, then there is room": (full_disk, 0.1, 1),
    "the disk becomes read-only, then writable": (read_only, 0.05, 1),
    "hardly any file may be open": (few_files, 0.05, 1),
    "SIGSTOP, then SIGCONT": (stopped, 0.05, 1),
    "two processes in one run folder": (two_at_once, 0.05, 1),
    "the run folder is removed": (removed, 0.05, 1),
    "the clock jumps by years, and SIGKILL": (beside.clock_jumps, 0.1, 1),
    "/dev/shm is full, then there is room": (beside.full_shared_memory, 0.1, "images"),
    "a process that decodes images is killed": (beside.worker_dies, 0.1, "images"),
    "SIGKILL while another process decodes images": (lambda *a: killed(*a, kind="images"), 0.1, "images"),
    "the images are removed, and come back": (beside.images_removed, 0.1, "images"),
    "the images are replaced, and come back": (beside.images_replaced, 0.1, "images"),
    **{
        f"two processes write one output: {verb}": (partial(beside.two_writers, verb), 0.05, 1)
        for verb in beside.WRITERS
    },
}
"""Fault → what makes it, how many tries it gets for each kill, and what is trained."""


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
    expected = {kind: undisturbed(kind) for kind in {kind for _, _, kind in chosen.values()}}
    rows, lost = [], 0
    for name, (fault, share, kind) in chosen.items():
        tried, survived, why = 0, 0, set()
        for _ in range(max(1, round(arguments.kills * share))):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    tried += 1
                    fault(Path(folder), expected[kind], draws)
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
