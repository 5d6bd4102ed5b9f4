"""Whether the other processes of a run are still there.

Whoever waits for the others in the middle of a step cannot tell one that is slow from one that is gone when its machine
or the network between them vanishes: nothing closes the connection. So a thread of every process speaks to rank 0 every
second, while its process computes, reads or waits, however slow that is; rank 0 answers who is gone. Silence means that
the process, its machine or the network is gone. Every process measures with its own clock, and only while it runs
itself: neither clocks that differ matter, nor a process that was stopped and finds all others silent.
"""

import contextlib
import hmac
import os
import secrets
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from typing import Any

from torch import distributed

_BEAT = 1.0  # seconds
_AFTER_ERROR = 8 * _BEAT  # of silence, after an error: by then the process that caused it counts as gone
_TOLD = 3 * _BEAT  # rank 0 goes on answering for so long once a process is gone, so that all name the same
_LONGEST = 200  # bytes of a line that rank 0 reads

on_silence: Callable[[str], None] | None = None
"""What a program does when another process is gone and this one might wait for it for half an hour: it is told which,
in a thread, and may end the process. A library call leaves it to torch's own time-out."""


def patience() -> float:
    """Seconds of silence after which a process counts as gone: $ALEXNET_SILENCE, or 60."""
    with contextlib.suppress(ValueError):
        return max(float(os.environ.get("ALEXNET_SILENCE", "")), 3 * _BEAT)
    return 60.0


class Heartbeat:
    """Beats for process `rank` of `size` from now on, until `stop`; to be made by all of them."""

    def __init__(self, rank: int, size: int):
        self.rank, self.patience = rank, patience()
        self._hosts: list[Any] = [""] * size
        distributed.all_gather_object(self._hosts, socket.gethostname())
        self.gone = ""
        """Which processes are gone, in words, as soon as one is."""
        self._silence = [0.0] * size
        """Seconds that this process has waited for a word: of each process in rank 0, of rank 0 elsewhere."""
        self._done: set[int] = set()
        self._stopped = threading.Event()
        self._erred = self._failing = False  # an error somewhere; in this process
        self._server = _Server(self, os.environ["MASTER_ADDR"]) if rank == 0 else None
        told: list[Any] = [self._server and (self._server.server_address[1], self._server.token)]
        distributed.broadcast_object_list(told, 0)
        self._port, self._token = told[0]
        self._connection: socket.socket | None = None
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def after_error(self) -> str:
        """Which processes are gone, in words, when one of them may have caused an error here; empty: none is known."""
        self._erred = self._failing = True
        until = time.monotonic() + _AFTER_ERROR + 4 * _BEAT
        while not self.gone and time.monotonic() < until:
            time.sleep(_BEAT / 4)
        if self._server:
            time.sleep(_TOLD)
        return self.gone

    def stop(self, done: bool) -> None:
        """done: this process needs the others no more: its silence means nothing from now on."""
        self._stopped.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
        elif done:
            with contextlib.suppress(OSError):
                self._speak("done")

    def heard(self, rank: int, what: str) -> str:
        """Rank 0 hears of a process: that it is there, has met an error, or is done; the answer is who is gone."""
        self._silence[rank] = 0.0
        if what == "done":
            self._done.add(rank)
        self._erred |= what == "error"
        return self.gone

    def _beat(self) -> None:
        before = time.monotonic()
        while not self._stopped.wait(_BEAT):
            before, elapsed = time.monotonic(), time.monotonic() - before
            for rank in range(len(self._silence)):
                self._silence[rank] += min(elapsed, 2 * _BEAT)
            if self._server:
                self._judge()
            else:
                with contextlib.suppress(OSError):
                    self.gone = self._speak("error" if self._erred else "there")
                    self._silence[0] = 0.0
                if self._silent(0):
                    self.gone = self._named([0])
            if self.gone:
                time.sleep(_TOLD)  # in which an error may show it to the process itself
                if on_silence and not self._failing and not self._stopped.is_set():
                    on_silence(self.gone)
                return

    def _judge(self) -> None:
        """Rank 0 notes who is gone; of those that go together, one is noticed first."""
        others = range(1, len(self._silence))
        if not self.gone and any(map(self._silent, others)):
            self.gone = self._named([rank for rank in others if self._silent(rank, 2 * _BEAT)])

    def _silent(self, rank: int, less: float = 0.0) -> bool:
        limit = min(self.patience, _AFTER_ERROR) if self._erred else self.patience
        return rank not in self._done and self._silence[rank] > limit - less

    def _named(self, ranks: list[int]) -> str:
        return " and ".join(f"rank {rank} on {self._hosts[rank]}" for rank in ranks)

    def _speak(self, what: str) -> str:
        """Rank 0's answer. Raises OSError when there is none."""
        try:
            if self._connection is None:
                address = os.environ["MASTER_ADDR"], self._port
                self._connection = socket.create_connection(address, timeout=2 * _BEAT)
            self._connection.sendall(f"{self._token} {self.rank} {what}\n".encode())
            answer = b""
            while not answer.endswith(b"\n"):
                part = self._connection.recv(4096)
                if not part:
                    raise ConnectionError
                answer += part
            return answer.decode().strip()
        except OSError:
            if self._connection:
                self._connection.close()
            self._connection = None
            raise


class _Server(socketserver.ThreadingTCPServer):
    """Where rank 0 listens: at the address where the processes met, to those that know the token."""

    daemon_threads = True

    def __init__(self, beat: Heartbeat, address: str):
        try:
            super().__init__((address, 0), _Handler)
        except OSError:  # a name that others know this machine by, and no address of its own
            super().__init__(("", 0), _Handler)
        self.beat, self.token = beat, secrets.token_hex(16)
        threading.Thread(target=self.serve_forever, name="heartbeats", daemon=True).start()


class _Handler(socketserver.StreamRequestHandler):
    timeout = 60.0

    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        with contextlib.suppress(OSError, ValueError, IndexError):
            while line := self.rfile.readline(_LONGEST):
                token, rank, what = line.decode().split()
                if not hmac.compare_digest(token, self.server.token):
                    return
                self.wfile.write(f"{self.server.beat.heard(int(rank), what)}\n".encode())
