"""`python -m fuzz.run`: mutated files for each reader, read within bounds, and a table of what happened."""

import argparse
import contextlib
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

SECONDS, BYTES = 10, 2**30
STARTS = 600
"""Seconds that a worker may take to import what its reader needs, and to make its valid files."""
FOUND = Path(__file__).parent / "found"


def _memory(name: str) -> int:
    """VmRSS or VmHWM of this process, in bytes (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def _work(name: str, pipe: Connection, folder: str, files: dict[str, bytes] | None = None) -> None:
    """Reads one file after the other, for each seed that comes, and answers with what it did."""
    from alexnet.errors import InputError
    from fuzz.mutate import mutated
    from fuzz.readers import READERS

    reader = READERS[name]
    files = files or reader.make()
    home = Path(folder)
    for own, content in files.items():
        (home / "in" / own).parent.mkdir(parents=True, exist_ok=True)
        (home / "in" / own).write_bytes(content)
    place, others = reader.place(home / "in"), b"".join(files.values())[: 2**16]
    known = {home / "in" / own for own in files}
    with contextlib.suppress(InputError):  # it imports what it needs; whether the small file fits is not asked
        reader.read(place)
    os.chdir(home)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + 8 * BYTES, used + 8 * BYTES))  # the measured bound is BYTES
    pipe.send(files)
    while (seed := pipe.recv()) is not None:
        own = random.Random(seed).choice(sorted(files))
        (home / "in" / own).write_bytes(mutated(files[own], seed, others))
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = _memory("VmRSS")
        try:
            reader.read(place)
            said = "read"
        except InputError as error:
            said = "refused" if str(error).isprintable() else f"unprintable: {str(error)!r}"
        except BaseException as error:  # what must not happen is what is looked for
            said = f"{type(error).__name__}: {str(error)[:200]}"
        if (peak := _memory("VmHWM") - before) > BYTES:
            said = f"takes {peak:,} bytes"
        (home / "in" / own).write_bytes(files[own])
        left = sorted(str(each.relative_to(home)) for each in home.rglob("*") if each.is_file() and each not in known)
        pipe.send(f"wrote {left}" if left else said)


def fuzz(name: str, count: int, first: int = 0) -> Counter[str]:
    """Reads `count` mutated files with the reader `name`. What is neither 'read' nor 'refused' is a fault."""
    tally: Counter[str] = Counter()
    context = multiprocessing.get_context("spawn")
    worker, pipe, files = None, None, None
    with tempfile.TemporaryDirectory() as root:
        for number in range(first, first + count):
            seed = f"{name} {number}"
            if worker is None or pipe is None:
                pipe, theirs = context.Pipe()
                folder = tempfile.mkdtemp(dir=root)
                worker = context.Process(target=_work, args=(name, theirs, folder, files), daemon=False)
                worker.start()
                theirs.close()
                if not pipe.poll(STARTS):
                    raise RuntimeError(f"the reader of {name} does not start")
                files = pipe.recv()
            pipe.send(seed)
            try:
                said = pipe.recv() if _answers(worker, pipe) else f"takes more than {SECONDS} s"
            except EOFError:
                worker.join()
                code = worker.exitcode or 0
                said = f"ended by {signal.Signals(-code).name if code < 0 else 'exit'}"
            tally[said if said in ("read", "refused") else "fault"] += 1
            if said not in ("read", "refused"):
                _keep(seed, said)
                worker.kill()
                worker.join()
                worker = None
        if worker is not None and pipe is not None:
            pipe.send(None)
            worker.join()
    return tally


def _answers(worker: BaseProcess, pipe: Connection) -> bool:
    """Whether the worker answers within SECONDS, which are of the processor where others use the machine, too."""
    used = _cpu_seconds(worker)
    for _ in range(12):
        if pipe.poll(SECONDS):
            return True
        if _cpu_seconds(worker) - used > SECONDS:
            return False
    return False


def _cpu_seconds(worker: BaseProcess) -> float:
    try:
        fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _keep(seed: str, said: str) -> None:
    FOUND.mkdir(exist_ok=True)
    with (FOUND / "faults.txt").open("a", encoding="utf-8") as file:
        file.write(f"{seed}\t{said}\n")
    print(f"  {seed}: {said}", file=sys.stderr)


def main() -> int:
    from fuzz.readers import READERS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first file, which is its seed")
    parser.add_argument("--limit", type=int, default=0, help="seconds after which all ends; 0: none")
    parser.add_argument("--only", default=",".join(READERS), help="readers, divided by commas")
    wanted = parser.parse_args()
    faults = 0
    signal.alarm(wanted.limit)
    print(f"{'reader':14} {'files':>7} {'read':>7} {'refused':>8} {'faults':>7} {'seconds':>8}")
    for name in wanted.only.split(","):
        start = time.perf_counter()
        count = max(1, round(wanted.count * READERS[name].share))
        tally = fuzz(name, count, wanted.first)
        faults += tally["fault"]
        row = f"{name:14} {count:7} {tally['read']:7} {tally['refused']:8} {tally['fault']:7}"
        print(f"{row} {time.perf_counter() - start:8.0f}", flush=True)
    return min(faults, 1)


if __name__ == "__main__":
    raise SystemExit(main())
