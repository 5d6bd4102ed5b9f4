"""`child.start` for many files: a process that has imported a reader and its library forks for each of them.

Half a second goes into starting Python and importing h5py, SciPy or Arrow, for each file; a fork takes milliseconds.
The forked process runs the same program with the same arguments and the same bounds, which it sets itself.
"""

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

_LIBRARIES = {"hdf5": "h5py", "matlab": "scipy.io", "parquet": "pyarrow.parquet"}
"""What a module of `alexnet.isolated` imports when it is asked."""
_SERVERS: dict[str, "_Server"] = {}


def start(command: Sequence[str], file: bytes | BinaryIO) -> "Forked":
    """As `child.start`."""
    *_, root, reader, bounds, options = command
    if reader not in _SERVERS:
        _SERVERS[reader] = _Server(root, reader)
    return Forked(_SERVERS[reader], ["-c", root, reader, bounds, options], file)


def end() -> None:
    """Ends the processes that fork."""
    while _SERVERS:
        _SERVERS.popitem()[1].end()


class _Server:
    def __init__(self, root: str, reader: str):
        from alexnet.isolated.child import SETTINGS

        self.pipe, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", __file__, root, reader, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env={**os.environ, **SETTINGS})

    def end(self) -> None:
        self.pipe.close()
        self._process.wait()


class Forked:
    """What `child.ask` uses of a `subprocess.Popen`."""

    def __init__(self, server: _Server, argv: list[str], file: bytes | BinaryIO):
        self.returncode: int | None = None
        self.stdin: BinaryIO | None = None
        self._pipe = server.pipe
        output, theirs = os.pipe()
        ends = [theirs]
        if isinstance(file, bytes):
            given, own = os.pipe()
            ends.append(given)
            self.stdin = os.fdopen(own, "wb")
        else:
            given = file.fileno()
        self.stdout = os.fdopen(output, "rb")
        request = json.dumps({"argv": argv, "folder": str(Path.cwd())}).encode()
        socket.send_fds(self._pipe, [len(request).to_bytes(4, "big")], [given, theirs])
        self._pipe.sendall(request)
        for each in ends:
            os.close(each)
        self._number = _number(self._pipe)

    def kill(self) -> None:
        if self.returncode is None:  # it is there until it is waited for
            os.kill(self._number, signal.SIGKILL)

    def wait(self) -> int:
        if self.returncode is None:
            self._pipe.sendall(b"w")
            self.returncode = _number(self._pipe)
        return self.returncode

    def __enter__(self) -> "Forked":
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self.stdin, self.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self.wait()


def _number(pipe: socket.socket) -> int:
    return int.from_bytes(_exactly(pipe, 4), "big", signed=True)


def _exactly(pipe: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        content += (more := pipe.recv(count - len(content)))
        if not more:
            raise EOFError
    return content


def _serve(root: str, reader: str, pipe: socket.socket) -> None:
    """Forks for each request; ends with who asks."""
    sys.path.append(root)
    from alexnet.isolated import child

    importlib.import_module(reader)
    if library := _LIBRARIES.get(reader.rpartition(".")[2]):
        importlib.import_module(library)
    while True:
        length, files, _, _ = socket.recv_fds(pipe, 4, 2)
        if not length:
            return
        request = json.loads(_exactly(pipe, int.from_bytes(length, "big")))
        number = os.fork()
        if not number:
            pipe.close()
            _run(child, request, *files)
        for each in files:
            os.close(each)
        pipe.sendall(number.to_bytes(4, "big"))
        asked = pipe.recv(1)
        if not asked:
            os.kill(number, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
        if not asked:
            return
        pipe.sendall(code.to_bytes(4, "big", signed=True))


def _run(child: Any, request: dict[str, Any], given: int, output: int) -> None:
    code = 1
    try:
        os.chdir(request["folder"])
        for own, place in ((given, 0), (output, 1), (os.open(os.devnull, os.O_WRONLY), 2)):
            os.dup2(own, place)
            os.close(own)
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        sys.argv = request["argv"]
        child.main()
        sys.stdout.flush()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    finally:
        os._exit(code)


if __name__ == "__main__":
    with contextlib.suppress(EOFError, ConnectionError), socket.socket(fileno=int(sys.argv[3])) as own:
        _serve(sys.argv[1], sys.argv[2], own)
