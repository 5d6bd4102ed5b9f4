"""HDF5 files, read by a process of their own: the library follows a file's every claim, and damaged ones have ended it.

`read` starts this file as a program that imports nothing of this package, with bounds on its memory and time, gives it
the content, and takes tensors and a few attributes from it. Links that lead out of the file, or to where they lie, are
refused. Format: docs.hdfgroup.org, 'HDF5 File Format Specification'; h5py: docs.h5py.org.
"""

import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

_MAX_NODES, _MAX_DEPTH, _MAX_SIDES = 10_000, 12, 8
_MAX_CHUNK = 2**28  # bytes that are decompressed at once
_HEADROOM = 1500 * 2**20  # of address space, above the content and the numbers
_SECONDS = 20  # of processor time, and one more for every 5 MB: what passes on a busy machine says nothing of the file
_PATIENCE = 20  # so many times as long may pass
_OVERTIME = -getattr(signal, "SIGXCPU", -1)  # the exit code of a process that used up its processor time
_TOO_LONG = "takes longer to read than any weights: a loop?"
_ATTRIBUTES = ("layer_names", "weight_names", "model_config", "data_format", "backend")


class Broken(Exception):
    """The file is damaged, or does what no weights need."""


@dataclass(frozen=True)
class Contents:
    tensors: dict[str, np.ndarray]
    """float32, by path."""
    attributes: dict[str, dict[str, Any]]
    """Of each group that has some of _ATTRIBUTES: strings, or lists of them; '' is the file."""


def read(content: bytes, most: int) -> Contents:
    """The tensors of an HDF5 file, at most `most` numbers in all. Broken says what is wrong with it."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    seconds, pipe = _SECONDS + len(content) // 5_000_000, subprocess.PIPE
    command = [sys.executable, "-P", __file__, str(most), str(seconds)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment) as child:
        try:
            given, _ = child.communicate(content, timeout=_PATIENCE * seconds)
        except subprocess.TimeoutExpired:
            raise Broken(_TOO_LONG) from None
        finally:
            child.kill()
    if child.returncode == _OVERTIME:
        raise Broken(_TOO_LONG)
    tensors: dict[str, np.ndarray] = {}
    at = 0
    while (end := given.find(b"\n", at)) >= 0:
        row = json.loads(given[at:end])
        if "error" in row:
            raise Broken(row["error"])
        if "attributes" in row:
            return Contents(tensors, row["attributes"])
        count = int(np.prod(row["shape"], dtype=np.int64))
        tensors[row["path"]] = np.frombuffer(given, np.float32, count, end + 1).reshape(row["shape"])
        at = end + 1 + 4 * count
    raise Broken("is damaged or cut short: reading it ended the HDF5 library")


class _Reader:
    """What the child does."""

    def __init__(self, most: int):
        self.most, self.numbers, self.nodes = most, 0, 0
        self.attributes: dict[str, dict[str, Any]] = {}

    def walk(self, h5py: Any, group: Any, path: tuple[str, ...]) -> None:
        if len(path) > _MAX_DEPTH:
            raise Broken("nests deeper than any weights: a loop?")
        if found := {key: _text(group.attrs[key]) for key in _ATTRIBUTES if key in group.attrs}:
            self.attributes["/".join(path)] = found
        for name in group:
            self.nodes += 1
            if self.nodes > _MAX_NODES:
                raise Broken("has more entries than any weights: a loop?")
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                kind = type(link).__name__
                raise Broken(f"points elsewhere at {name!r} ({kind}); weights lie in one file, nothing was read")
            if not path and name in ("optimizer", "optimizer_weights", "_layer_checkpoint_dependencies", "diff"):
                continue
            if group.get(name, getclass=True) is h5py.Group:
                self.walk(h5py, group[name], (*path, name))
            else:
                self.tensor(group[name], "/".join((*path, name)))

    def tensor(self, data: Any, path: str) -> None:
        if data.external or data.is_virtual:
            raise Broken(f"keeps the numbers of {data.name!r} in another file; nothing was read")
        if data.shape is None or (data.dtype.kind != "f" and (data.shape == () or data.dtype.kind not in "iu")):
            return  # a seed or a step counter
        self.numbers += data.size
        if self.numbers > self.most:
            raise Broken(f"claims {self.numbers:,} numbers, more than any network of this family has")
        if len(data.shape) > _MAX_SIDES:
            raise Broken(f"holds a tensor of {len(data.shape)} dimensions")
        if data.size and not data.id.get_storage_size():
            raise Broken(f"claims {data.size:,} numbers in {data.name!r} and holds none of them")
        if data.chunks and int(np.prod(data.chunks, dtype=object)) * data.dtype.itemsize > _MAX_CHUNK:
            raise Broken(f"packs {data.name!r} in larger pieces than any weights")
        values = np.zeros(data.shape, np.float32)
        if data.size:
            data.read_direct(values)
        sys.stdout.buffer.write(json.dumps({"path": path, "shape": data.shape}).encode() + b"\n")
        sys.stdout.buffer.write(values.data)


def _text(value: Any) -> Any:
    if isinstance(value, np.ndarray | list | tuple):
        return [_text(each) for each in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def main() -> None:
    """Reads a file from standard input, and writes tensors, a line and its numbers each, and a last line."""
    content = sys.stdin.buffer.read()
    try:
        import resource  # not on Windows
    except ImportError:
        pass
    else:
        most = 2 * len(content) + 4 * int(sys.argv[1]) + _HEADROOM
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]), int(sys.argv[2]) + 5))  # SIGXCPU, then SIGKILL
    import h5py

    reader = _Reader(int(sys.argv[1]))
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            reader.walk(h5py, file, ())
        last: dict[str, Any] = {"attributes": reader.attributes}
    except Broken as broken:
        last = {"error": str(broken)}
    except MemoryError:
        last = {"error": "claims more memory than any weights take"}
    except Exception as error:  # damage makes HDF5 raise nearly anything
        last = {"error": f"is damaged or cut short ({error})"}
    sys.stdout.buffer.write(json.dumps(last).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
