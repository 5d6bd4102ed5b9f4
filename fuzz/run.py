"""`python -m fuzz.run`: mutated files for each reader, read within bounds, and a table of what happened."""

import argparse
import contextlib
import multiprocessing
import os
import queue
import random
import resource
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

SECONDS, BYTES = 10, 2**30
STARTS = 600
"""Seconds that a worker may take to import what a reader needs, and to make its valid files."""
FOUND = Path(__file__).parent / "found"
FINE = ("read", "refused")
"""What is no fault."""

Files = dict[str, bytes]
Task = tuple[str, range, Files | None]
"""A reader, the numbers of its mutated files, and its valid files where they have been made before."""


def _memory(name: str) -> int:
    """VmRSS or VmHWM of this process, in bytes (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def _work(pipe: Connection, root: str) -> None:
    """Answers each task with the valid files, then with what each mutated file did."""
    from alexnet.isolated import child
    from fuzz import forked

    child.start = forked.start  # pyright: ignore[reportAttributeAccessIssue]
    child._SECONDS = 2  # some damaged HDF5 loops for ever; nothing is imported within this bound
    while (task := pipe.recv()) is not None:
        _read_all(pipe, Path(tempfile.mkdtemp(dir=root)), *task)


def _read_all(pipe: Connection, home: Path, name: str, numbers: Iterable[int], files: Files | None) -> None:
    from alexnet.errors import InputError
    from fuzz.mutate import mutated
    from fuzz.readers import READERS

    reader = READERS[name]
    files = files or reader.make()
    for own, content in files.items():
        (home / "in" / own).parent.mkdir(parents=True, exist_ok=True)
        (home / "in" / own).write_bytes(content)
    place, others = reader.place(home / "in"), b"".join(files.values())[: 2**16]
    known = {home / "in" / own for own in files}
    with contextlib.suppress(InputError):  # it imports what it needs; whether the small file fits is not asked
        reader.read(place)
    os.chdir(home)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (used + 8 * BYTES, hard))  # the measured bound is BYTES
    pipe.send(files)
    for number in numbers:
        seed = f"{name} {number}"
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


class Worker:
    """A process that reads files for one reader after the other; another takes its place after a fault."""

    def __init__(self, root: str):
        self._root = root
        self._process: BaseProcess | None = None
        self._pipe: Connection

    def fuzz(self, name: str, count: int, first: int = 0) -> Counter[str]:
        """Reads `count` mutated files with the reader `name`. What is neither 'read' nor 'refused' is a fault."""
        tally: Counter[str] = Counter()
        number, files = first, None
        while number < first + count:
            process = self._started()
            task: Task = (name, range(number, first + count), files)
            self._pipe.send(task)
            try:
                if not self._pipe.poll(STARTS):
                    raise EOFError
                files = self._pipe.recv()
            except EOFError:
                self.end()
                raise RuntimeError(f"the reader of {name} does not start") from None
            said = FINE[0]
            while said in FINE and number < first + count:
                said = self._answer(process)
                tally[said if said in FINE else "fault"] += 1
                if said not in FINE:
                    _keep(f"{name} {number}", said)
                number += 1
            if said not in FINE:
                self.end()
        return tally

    def _started(self) -> BaseProcess:
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_work, args=(theirs, self._root), daemon=False)
            self._process.start()
            theirs.close()
        return self._process

    def _answer(self, process: BaseProcess) -> str:
        try:
            return self._pipe.recv() if _answers(process, self._pipe) else f"takes more than {SECONDS} s"
        except EOFError:
            process.join()
            code = process.exitcode or 0
            return f"ended by {signal.Signals(-code).name if code < 0 else 'exit'}"

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None


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
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes that read files; one per core")
    wanted = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    faults, failed, begun = Counter[str](), list[BaseException](), time.perf_counter()
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in wanted.only.split(","):
        waiting.put(name)
    signal.alarm(wanted.limit)
    print(f"{'reader':14} {'files':>7} {'read':>7} {'refused':>8} {'faults':>7} {'seconds':>8}")

    def work(root: str) -> None:
        worker = Worker(root)
        try:
            while True:
                name, start = waiting.get_nowait(), time.perf_counter()
                tally = worker.fuzz(name, wanted.count, wanted.first)
                faults[name] = tally["fault"]
                row = f"{name:14} {wanted.count:7} {tally['read']:7} {tally['refused']:8} {tally['fault']:7}"
                print(f"{row} {time.perf_counter() - start:8.0f}", flush=True)
        except queue.Empty:
            pass
        except BaseException as error:
            failed.append(error)
        finally:
            worker.end()

    with tempfile.TemporaryDirectory() as root:
        threads = [threading.Thread(target=work, args=(root,)) for _ in range(max(wanted.jobs, 1))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]
    used = [resource.getrusage(which) for which in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(each.ru_utime + each.ru_stime for each in used)
    print(f"{faults.total()} faults; {time.perf_counter() - begun:.0f} s, of which the processor worked {cpu:.0f} s")
    return min(faults.total(), 1)


if __name__ == "__main__":
    raise SystemExit(main())
