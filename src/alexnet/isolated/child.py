"""A file's reader as a process of its own, with bounds on its memory, its time, and what it may answer.

Libraries of other formats follow a file's every claim, and damaged files have ended them with signals. `ask` starts a
process that imports one module of this room, gives it the file on standard input, and takes arrays and some JSON from
it. Such a module has a function `find(file, give, **options)`, which gives its arrays through a `Sink` and returns
the JSON.
"""

import contextlib
import importlib
import io
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

_HEADROOM = 1500 * 2**20  # of address space, above the file and the answer
_SECONDS = 8  # of processor time, and one more for every 5 MB: what passes on a busy machine says nothing of the file
_PATIENCE = 20  # so many times as long may pass
_OVERTIME = -getattr(signal, "SIGXCPU", -1)  # the exit code of a process that used up its processor time
TOO_LONG = "takes longer to read than any such file: a loop?"
_SMALL, _DENSE = 2**29, 16  # bytes of an answer whatever the file's, and as many more for each of its bytes
_TEXT = 2**26  # of them, in JSON
_CELLS = 2**22  # of a table, and as many more
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from alexnet.isolated.child import main; main()"
_ROOT = Path(__file__).parents[2]
# Arrow's own allocators claim far more addresses than they use.
SETTINGS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}


class Broken(Exception):
    """The file is damaged, or does what no such file needs: the rest of a sentence that begins with its name."""


@dataclass(frozen=True)
class Found:
    arrays: dict[str, np.ndarray]
    about: Any
    """What else the file says, as JSON holds it."""


def most_of(size: int) -> int:
    """Bytes that a file of `size` bytes may hold once they are unpacked: more are packed too well to be measured."""
    return _SMALL + _DENSE * size


def cells_of(size: int) -> int:
    """Values that a table in a file of `size` bytes may hold: each is an object of Python's once it is read."""
    return _CELLS + _DENSE * size


def ask(reader: str, file: bytes | BinaryIO, most: int | None = None, **options: Any) -> Found:
    """What the module `reader` finds in a file: its content, or the regular file, open at its beginning.

    most: bytes of all arrays; None: `most_of` its size. options: of its `find`, as JSON holds them. Raises Broken.
    """
    size = len(file) if isinstance(file, bytes) else os.fstat(file.fileno()).st_size
    most = most_of(size) if most is None else most
    seconds = _SECONDS + size // 5_000_000
    bounds = {"memory": 2 * size + most + _HEADROOM, "seconds": seconds, "most": most, "text": _TEXT + _DENSE * size}
    command = [sys.executable, "-P", "-c", _PROGRAM, str(_ROOT), reader, json.dumps(bounds), json.dumps(options)]
    with start(command, file) as child:
        watch = threading.Timer(_PATIENCE * seconds, child.kill)
        watch.daemon = True
        watch.start()
        try:
            if child.stdin and isinstance(file, bytes):
                with contextlib.suppress(BrokenPipeError), child.stdin:
                    child.stdin.write(file)
            assert child.stdout, "it is a pipe"
            found = _answer(child.stdout)
            if found is None:
                child.wait()
        finally:
            late = not watch.is_alive()
            watch.cancel()
            child.kill()
    if found is not None:
        return found
    if late or child.returncode == _OVERTIME:
        raise Broken(TOO_LONG)
    raise Broken("is damaged or cut short: reading it ended the library of its format")


def start(command: Sequence[str], file: bytes | BinaryIO) -> "subprocess.Popen[bytes]":
    pipe = subprocess.PIPE
    given = pipe if isinstance(file, bytes) else file
    return subprocess.Popen(
        command, stdin=given, stdout=pipe, stderr=subprocess.DEVNULL, env={**os.environ, **SETTINGS}
    )


def _answer(pipe: IO[bytes]) -> Found | None:
    """What the process wrote; None: it ended before its last line."""
    arrays: dict[str, np.ndarray] = {}
    while (line := pipe.readline()).endswith(b"\n"):
        row = json.loads(line)
        if "error" in row:
            raise Broken(row["error"])
        if "about" in row:
            return Found(arrays, row["about"])
        array = np.empty(row["shape"], row["dtype"])
        if pipe.readinto(array.reshape(-1).view(np.uint8)) != array.nbytes:  # pyright: ignore[reportAttributeAccessIssue]
            return None
        arrays[row["name"]] = array
    return None


class Sink:
    """What a reader gives: at most `most` bytes of arrays."""

    def __init__(self, pipe: BinaryIO, most: int):
        self.pipe, self.most, self.given, self.begun = pipe, most, 0, False

    def __call__(self, name: str, shape: Sequence[int], dtype: Any, blocks: Iterable[np.ndarray]) -> None:
        """An array, of which blocks of rows hold the numbers. Broken when it claims too much."""
        kind = np.dtype(dtype).newbyteorder("=")
        if kind.kind not in "biufc":
            raise Broken(f"holds {kind} in {name!r}, which are no numbers")
        size = int(np.prod(shape, dtype=object)) * kind.itemsize
        self.given += size
        if self.given > self.most:
            raise Broken(f"claims {self.given:,} bytes of numbers, more than such a file can hold")
        self.pipe.write(json.dumps({"name": name, "shape": [*shape], "dtype": kind.str}).encode() + b"\n")
        self.begun = True
        for block in blocks:
            data = np.ascontiguousarray(block, kind).reshape(-1).view(np.uint8)
            size -= len(data)
            self.pipe.write(data.data)
        if size:
            raise ValueError("the rows are not as many as the file claims")
        self.begun = False

    def end(self, last: dict[str, Any], most: int) -> None:
        """The last line, of at most `most` bytes; none within an array that could not be read to its end."""
        if self.begun:
            return
        text = json.dumps(last, default=str)
        if len(text) > most:
            text = json.dumps({"error": f"claims {len(text):,} bytes of text, more than such a file can hold"})
        self.pipe.write(text.encode() + b"\n")
        self.pipe.flush()


def main() -> None:
    """Reads a file from standard input, and writes arrays, a line and its numbers each, and a last line."""
    _, reader, bounds, options = sys.argv[1:]
    limit = json.loads(bounds)
    with contextlib.suppress(ImportError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit["memory"], limit["memory"]))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (limit["seconds"], limit["seconds"] + 5))  # SIGXCPU, then SIGKILL
    file = sys.stdin.buffer
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file = io.BytesIO(file.read())
    give = Sink(sys.stdout.buffer, limit["most"])
    try:
        last = {"about": importlib.import_module(reader).find(file, give, **json.loads(options))}
    except Broken as broken:
        last = {"error": str(broken)}
    except MemoryError:
        last = {"error": "claims more memory than such a file can need"}
    except Exception as error:  # damage makes each library raise nearly anything
        last = {"error": f"is damaged or cut short ({str(error)[:200]})"}
    give.end(last, limit["text"])
