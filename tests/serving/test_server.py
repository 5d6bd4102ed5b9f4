"""A real server on loopback: slow and broken clients, and a stop that finishes what it accepted."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from requests_made import png

from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.serving.server import bound

SERVE = """
import sys, alexnet, time
from alexnet.serving import engine
from alexnet.serving.app import create_app
from alexnet.serving.limits import Limits
from alexnet.serving.server import bound, run
slow = float(sys.argv[2])
if slow:
    plain = engine.Engine.probabilities
    def probabilities(self, images):
        time.sleep(slow)
        return plain(self, images)
    engine.Engine.probabilities = probabilities
listening = bound("127.0.0.1", 0)
app = create_app([alexnet.load(sys.argv[1])] * 2, Limits(body_seconds=1, images=4, waiting_images=4))
print(listening.getsockname()[1], flush=True)
run(app, listening)
"""
IMAGE = png(np.zeros((8, 8), np.uint8))


def started(run: Path, slow: float = 0.0) -> tuple[subprocess.Popen, int]:
    process = subprocess.Popen([sys.executable, "-c", SERVE, run, str(slow)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.fixture(scope="module")
def port(trained: Run) -> Iterator[int]:
    process, port = started(trained.path)
    yield port
    ended(process)


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def predict(port: int) -> Answer:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", "/v1/predict", IMAGE, {"Content-Type": "image/png", "Connection": "close"})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())


def ended(process: subprocess.Popen) -> None:
    """Asks a server to stop, and waits for it."""
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGTERM)


def test_it_serves(port: int) -> None:
    response = predict(port)
    assert response.status == 200
    assert len(json.loads(response.body)["results"][0]["predictions"]) == 5
    assert "server" not in response.headers


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nslow",  # and then nothing
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"NONSENSE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS where HTTP is spoken
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_broken_clients_are_answered_with_4xx_or_cut_off_and_the_next_is_served(port: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=15) as client:
        client.sendall(sent)
        if sent.startswith((b"\x16", b"NON")):
            client.shutdown(socket.SHUT_WR)
        answer = client.recv(4096)
    assert answer == b"" or answer.split()[1].startswith(b"4"), answer
    if b"99999999999" in sent:
        assert answer.split()[1] == b"413"  # refused by what it claims, before a byte of it was read
    assert predict(port).status == 200


def test_a_client_that_leaves_takes_nobody_with_it(port: int) -> None:
    for _ in range(20):
        client = socket.create_connection(("127.0.0.1", port), timeout=15)
        client.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(IMAGE) + IMAGE)
        client.close()
    deadline = time.monotonic() + 20
    while predict(port).status == 503 and time.monotonic() < deadline:  # those that left still count until they ran
        time.sleep(0.05)
    assert predict(port).status == 200


def test_too_many_at_once_get_503_and_a_stop_finishes_what_was_accepted(trained: Run) -> None:
    process, port = started(trained.path, slow=0.4)
    assert predict(port).status == 200  # it is up, and can be asked to stop
    codes: list[tuple[int, str | None]] = []

    def ask() -> None:
        answer = predict(port)
        codes.append((answer.status, answer.headers.get("retry-after")))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    ended(process)
    for thread in threads:
        thread.join(30)
    assert set(codes) <= {(200, None), (503, "1")}
    assert (200, None) in codes
    assert (503, "1") in codes


def test_an_address_that_cannot_be_had(port: int) -> None:
    for host, number in (("127.0.0.1", 99999), ("256.1.1.1", 0)):
        with pytest.raises(InputError, match="choose another with --host and --port"):
            bound(host, number)
    if os.geteuid() != 0:
        with pytest.raises(InputError, match="choose another"):
            bound("127.0.0.1", 80)
