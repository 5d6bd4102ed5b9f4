"""MATLAB files, read by a process of their own: damaged ones have ended SciPy's reader with SIGSEGV.

`read` starts this file as a program that imports nothing of this package, with bounds on its memory and time.
"""

import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

_HEADROOM = 1500 * 2**20  # of address space, above the numbers

_SECONDS = 60  # of processor time, and one more for every 5 MB: what passes on a busy machine says nothing of the file
_PATIENCE = 20  # so many times as long may pass
_OVERTIME = -getattr(signal, "SIGXCPU", -1)  # the exit code of a process that used up its processor time
_TOO_LONG = "takes longer to read than any features"


class Broken(Exception):
    """The file is damaged, or no MATLAB file."""


def read(path: Path) -> dict[str, np.ndarray]:
    """A file's variables by name: numbers as they are, cells of text as arrays of strings."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    seconds = _SECONDS + path.stat().st_size // 5_000_000
    command = [sys.executable, "-P", __file__, str(path), str(seconds)]
    try:
        ended = subprocess.run(command, capture_output=True, env=environment, timeout=_PATIENCE * seconds, check=False)
    except subprocess.TimeoutExpired:
        raise Broken(_TOO_LONG) from None
    if ended.returncode == _OVERTIME:
        raise Broken(_TOO_LONG)
    if ended.returncode:
        raise Broken("damaged, or no MATLAB file of version 5")
    with np.load(io.BytesIO(ended.stdout), allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


def _plain(value: np.ndarray) -> np.ndarray:
    if value.dtype != object:
        return value
    return np.array([str(np.asarray(cell).reshape(-1)[0]) for cell in value.reshape(-1)])


def main() -> None:
    path = sys.argv[1]
    with contextlib.suppress(ImportError):  # not on Windows
        import resource

        most = 8 * Path(path).stat().st_size + _HEADROOM
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]), int(sys.argv[2]) + 5))  # SIGXCPU, then SIGKILL
    from scipy.io import loadmat

    variables = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    made = io.BytesIO()
    np.savez(made, **{name: _plain(value) for name, value in variables.items()})  # pyright: ignore[reportArgumentType]
    sys.stdout.buffer.write(made.getbuffer())
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
