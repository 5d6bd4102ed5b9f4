"""A server under load: clients on loopback that ask again as soon as they are answered.

The server runs in a process of its own, started for every turn: one way of batching cannot warm up the other.
"""

import asyncio
import base64
import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.errors import InputError

_SERVE = """
import sys
from alexnet.errors import InputError
from alexnet.inference.model import load_model
from alexnet.process.memory import keep_freed_memory
from alexnet.serving.app import create_app
from alexnet.serving.limits import Limits
from alexnet.serving.server import bound, run
keep_freed_memory()
listening = bound("127.0.0.1", 0)
try:
    app = create_app([load_model(sys.argv[1], several=True)], Limits(), batch=int(sys.argv[2]))
except InputError as error:
    sys.exit(print(error, flush=True))
print(listening.getsockname()[1], flush=True)
run(app, listening)
"""
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_PEER = Path(__file__).with_name("scripts") / "litserve_peer.py"


@dataclass
class Load:
    """What the clients saw, and the server's memory."""

    clients: int
    batch: int
    """Images in a batch at most; 1: one by one."""
    seconds: float
    answers: dict[int, int] = field(default_factory=dict)
    """HTTP status → requests."""
    per_second: float = 0.0
    """Requests answered with 200."""
    p50: float = 0.0
    """Milliseconds."""
    p99: float = 0.0
    memory: dict[int, float] = field(default_factory=dict)
    """Requests answered → the server's resident memory in MB: before them, after 1,000 and each 10,000, at the end."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def load(
    model: Path,
    image: bytes,
    *,
    clients: int = 64,
    seconds: float = 60.0,
    requests: int | None = None,
    batch: int = 64,
    peer: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Load:
    """Serves `model` and asks it for `image` (an encoded image) from `clients` connections for `seconds`.

    `requests`: as many instead, however long they take. `peer`: a Python that has LitServe, which then serves.
    """
    own = [sys.executable, "-c", _SERVE]
    command = [*([str(peer), str(_PEER)] if peer else own), str(model), str(batch)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            if not line.strip().isdecimal():
                why = line.strip() or f"`alexnet serve {model}` says why"
                raise InputError(f"{str(model)!r} could not be served: {why}")
            return asyncio.run(_ask(int(line), server.pid, Load(clients, batch, seconds), image, requests, progress))
        finally:
            _end(server)


def _end(server: "subprocess.Popen[str]") -> None:
    """Asks the server to stop, and ends what is left of its group: LitServe's workers may outlive it."""
    for number, patience in ((signal.SIGTERM, 40), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(patience)


async def _ask(
    port: int,
    pid: int,
    found: Load,
    image: bytes,
    requests: int | None,
    progress: Callable[[int, int], None] | None,
) -> Load:
    body = json.dumps({"images": [base64.b64encode(image).decode()]}).encode()
    head = ("POST /v1/predict HTTP/1.1", "Host: localhost", "Content-Type: application/json")
    request = "\r\n".join((*head, f"Content-Length: {len(body)}", "", "")).encode() + body
    first: list[int] = []
    await _connect(port, [_Client(request, iter([True, False]).__next__, lambda status, _: first.append(status))])
    if first[0] not in (200, 503):  # that request, which is slow, is not counted
        raise InputError(f"the server answers {first[0]} to this image: it is none that can be read")
    codes: Counter[int] = Counter()
    times: list[float] = []
    begun, sent, shown = time.monotonic(), 0, -1
    found.memory[0] = _memory(pid)

    def ask() -> bool:
        """Whether one more is to be asked."""
        nonlocal sent
        sent += 1
        return time.monotonic() < begun + found.seconds if requests is None else sent <= requests

    def answered(status: int, took: float) -> None:
        nonlocal shown
        codes[status] += 1
        if status == 200:
            times.append(took)
        count = sum(codes.values())
        if count == 1_000 or count % 10_000 == 0:
            found.memory[count] = _memory(pid)
        if progress:
            part = (time.monotonic() - begun) / found.seconds if requests is None else count / requests
            if (percent := min(int(100 * part), 100)) > shown:  # drawing takes longer than asking
                progress(shown := percent, 100)

    await _connect(port, [_Client(request, ask, answered) for _ in range(found.clients)])
    found.seconds = time.monotonic() - begun
    found.answers = dict(codes)
    found.memory[sum(codes.values())] = _memory(pid)
    found.per_second = len(times) / found.seconds
    found.p50, found.p99 = (float(np.percentile(times, q)) * 1e3 if times else float("nan") for q in (50, 99))
    return found


async def _connect(port: int, clients: "list[_Client]") -> None:
    """Lets clients ask until they have done."""
    for client in clients:
        await asyncio.get_running_loop().create_connection(lambda client=client: client, "127.0.0.1", port)
    await asyncio.gather(*(client.done for client in clients))


class _Client(asyncio.Protocol):
    """A connection that asks again as soon as it is answered, while `ask` says so; a refusal makes it wait 50 ms.

    It does little beside, for it takes its time from the server's processor.
    """

    def __init__(self, request: bytes, ask: Callable[[], bool], answered: Callable[[int, float], None]) -> None:
        self._request, self._ask, self._answered = request, ask, answered
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()
        self._got, self._started = b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, content = self._got.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or len(content) < (int(length[1]) if length else 0):
            return
        status, self._got = int(head[9:12]), b""
        self._answered(status, time.monotonic() - self._started)
        if status == 200:
            self._send()
        else:
            self._loop.call_later(0.05, self._send)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed a connection"))

    def _send(self) -> None:
        if self._ask():
            self._started = time.monotonic()
            self._transport.write(self._request)
        else:
            if not self.done.done():
                self.done.set_result(None)
            self._transport.close()


def _memory(pid: int) -> float:
    """Resident memory in MB; nan where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return float("nan")
    return pages * 4096 / 1e6


@dataclass
class Batching:
    """Batches against one by one, or against LitServe's batches, in turn."""

    together: list[Load]
    other: list[Load]

    @property
    def ratio(self) -> float:
        """Of the medians of requests per second."""
        together, other = (
            statistics.median(each.per_second for each in turns) for turns in (self.together, self.other)
        )
        return together / other

    def to_json(self) -> dict[str, Any]:
        turns = {name: [each.to_json() for each in getattr(self, name)] for name in ("together", "other")}
        return json.loads(json.dumps(turns)) | {"ratio": self.ratio}


def batching(
    model: Path,
    image: bytes,
    *,
    clients: int = 32,
    seconds: float = 10.0,
    rounds: int = 3,
    peer: Path | None = None,
    **options: Any,
) -> Batching:
    """What dynamic batching gives over one image at a time, or over LitServe in the Python `peer`, A B A B."""
    found = Batching([], [])
    other: dict[str, Any] = {"peer": peer} if peer else {"batch": 1}
    for _ in range(rounds):
        found.together.append(load(model, image, clients=clients, seconds=seconds, **options))
        found.other.append(load(model, image, clients=clients, seconds=seconds, **options, **other))
    return found
