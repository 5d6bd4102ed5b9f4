"""The parts of the heartbeat that need no second machine; test_hosts.py has two."""

import socket
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from alexnet.process import heartbeat


@pytest.mark.parametrize(
    ("said", "seconds"), [(None, 60.0), ("10", 10.0), ("0", 3.0), ("-1", 3.0), ("soon", 60.0), ("", 60.0)]
)
def test_the_permitted_silence_is_the_environments(
    said: str | None, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if said is None:
        monkeypatch.delenv("ALEXNET_SILENCE", raising=False)
    else:
        monkeypatch.setenv("ALEXNET_SILENCE", said)
    assert heartbeat.patience() == seconds


def quiet(silent: dict[int, float], rank: int = 0) -> Any:
    """A heartbeat of three processes that does not beat; seconds since each was heard."""
    beat = object.__new__(heartbeat.Heartbeat)
    vars(beat).update(
        rank=rank, patience=60.0, gone="", _hosts=["a", "b", "b"], _erred=False, _failing=False,
        _silence=[silent.get(each, 0.0) for each in range(3)], _done=set(), _stopped=threading.Event(), _server=True,
    )  # fmt: skip
    return beat


@pytest.mark.parametrize(
    ("silent", "erred", "gone"),
    [
        ({1: 30.0}, False, ""),  # slow to speak, and not gone
        ({1: 61.0}, False, "rank 1 on b"),
        ({1: 61.0, 2: 59.0}, False, "rank 1 on b and rank 2 on b"),  # they went together
        ({1: 9.0}, True, "rank 1 on b"),  # somebody met an error
    ],
)
def test_who_is_silent_is_gone(silent: dict[int, float], erred: bool, gone: str) -> None:
    beat = quiet(silent)
    beat._erred = erred
    beat._judge()
    assert beat.gone == gone


def test_a_process_that_is_done_may_be_silent() -> None:
    beat = quiet({1: 61.0})
    beat.heard(1, "done")
    beat._silence[1] = 61.0
    beat._judge()
    assert beat.gone == ""


def test_whoever_was_stopped_itself_does_not_blame_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two beats of its own an hour went by."""
    beat, clock = quiet({}), iter(range(0, 10**6, 3600))
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: next(clock))
    waits = iter([False] * 5 + [True])
    beat._stopped = SimpleNamespace(wait=lambda seconds: next(waits))
    beat._beat()
    assert beat.gone == ""
    assert 0 < beat._silence[1] <= 10


def test_rank_0_answers_only_those_that_know_the_token() -> None:
    beat = SimpleNamespace(heard=lambda rank, what: f"{rank} {what}")
    server = heartbeat._Server(beat, "127.0.0.1")  # pyright: ignore
    try:
        for token, answer in ((server.token, b"2 there\n"), ("guess", b"")):
            with socket.create_connection(server.server_address[:2], timeout=10) as asking:  # pyright: ignore
                asking.sendall(f"{token} 2 there\n".encode())
                assert asking.recv(100) == answer
    finally:
        server.shutdown()
        server.server_close()
