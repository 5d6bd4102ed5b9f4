"""Bad requests to a real server: each is answered with a typed 4xx, and the next request is served."""

import base64
import contextlib
import http.client
import io
import json
import shutil
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from requests_made import png
from test_server import Answer, ended, predict, started

from alexnet.artifacts.run import Run


@pytest.fixture(scope="module")
def port(trained: Run) -> Iterator[int]:
    process, port = started(trained.path)
    yield port
    ended(process)


def asked(port: int, body: bytes, kind: str = "image/png", path: str = "/v1/predict") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body, {"Content-Type": kind})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def bomb() -> bytes:
    """A PNG of 2 kB that says it has 30,000 × 30,000 pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(2**20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def form(parts: int, name: str = "a.png", content: bytes = b"x") -> bytes:
    part = (
        (
            f'--b\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
        ).encode()
        + content
        + b"\r\n"
    )
    return part * parts + b"--b--\r\n"


FORM = "multipart/form-data; boundary=b"
BAD: dict[str, tuple[Callable[[], bytes], str, int]] = {
    "empty": (lambda: b"", "image/png", 422),
    "bomb": (bomb, "image/png", 413),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "image/svg+xml", 415),
    "html named jpg": (lambda: form(1, "cat.jpg", b"<html></html>"), FORM, 415),
    "base64": (lambda: json.dumps({"images": ["@@@@"]}).encode(), "application/json", 422),
    "10,000 parts": (lambda: form(10_000), FORM, 400),
    "no boundary": (lambda: form(1), "multipart/form-data", 400),
    "cut form": (lambda: form(1)[:-30], FORM, 400),
    "cut in its last boundary": (lambda: form(2)[:-4], FORM, 400),
    "another boundary": (lambda: form(1), "multipart/form-data; boundary=other", 400),
    "10,000 images": (lambda: json.dumps({"images": ["aaaa"] * 10_000}).encode(), "application/json", 413),
}


@pytest.mark.parametrize("name", BAD)
def test_each_is_a_typed_4xx(port: int, name: str) -> None:
    make, kind, status = BAD[name]
    answer = asked(port, make(), kind)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.body)["status"] == status
    assert predict(port).status == 200


def test_a_broken_form_leaves_nothing_in_the_log(trained: Run, capfd: pytest.CaptureFixture[str]) -> None:
    process, port = started(trained.path)
    try:
        for body in (b"--secret\r\n\r\n--other--", b"secret--other--", form(1) + b"--other--"):
            assert asked(port, body, "multipart/form-data; boundary=other").status == 400
    finally:
        ended(process)
    assert capfd.readouterr().err == ""


def test_200_megabytes_are_refused_before_they_are_read(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 209715200\r\n\r\n")
        assert client.recv(4096).split()[1] == b"413"
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        block = b"100000\r\n" + bytes(2**20) + b"\r\n"
        with contextlib.suppress(OSError):  # it may be cut off
            for _ in range(200):
                client.sendall(block)
            answer = client.recv(4096)
    assert answer == b"" or answer.split()[1] == b"413"
    assert predict(port).status == 200


def test_the_first_frame_of_an_animation_is_read(port: int) -> None:
    frames = [Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (0, 255)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    moving, still = (
        json.loads(asked(port, content, "image/gif").body)["results"]
        for content in (file.getvalue(), png(np.zeros((8, 8), np.uint8)))
    )
    assert moving[0]["predictions"][0]["label"] == still[0]["predictions"][0]["label"]
    assert moving[0]["predictions"][0]["score"] == pytest.approx(still[0]["predictions"][0]["score"], abs=1e-5)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "..\\..\\x", "a\x1b[31m.png", "%2e%2e%2fx"])
def test_a_file_name_is_never_used(port: int, name: str) -> None:
    answer = asked(port, form(1, name, png(np.zeros((8, 8), np.uint8))), FORM)
    assert answer.status == 200
    assert b"passwd" not in answer.body


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v2/models/..%2f..%2fx", "//etc/passwd"]
)
def test_a_path_leads_nowhere(port: int, path: str) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert client.recv(4096).split()[1] == b"404"


def test_a_slow_sender_is_told_so_and_holds_up_nobody(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
        slow.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        for _ in range(4):  # a byte now and then does not extend the time that a request has
            slow.sendall(b"x")
            assert predict(port).status == 200
            time.sleep(0.1)
        assert slow.recv(4096).split()[1] == b"408"
    assert predict(port).status == 200


@pytest.mark.parametrize("given", [10, 1000])
def test_a_half_closed_connection_is_answered_or_ended(port: int, given: int) -> None:
    image = png(np.zeros((8, 8), np.uint8))
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(image) + image[:given]
        )
        client.shutdown(socket.SHUT_WR)
        answer = client.recv(4096)
    assert answer == b"" or answer.split()[1] in (b"200", b"400", b"408"), answer
    assert predict(port).status == 200


def test_a_model_whose_files_vanish_is_still_served(trained: Run, tmp_path: Path) -> None:
    """The weights are in memory: nothing of the folder is read again, and no request fails for it."""
    copy = tmp_path / "run"
    shutil.copytree(trained.path, copy)
    process, port = started(copy)
    try:
        before = predict(port)
        shutil.rmtree(copy)
        after = predict(port)
        assert (before.status, after.status) == (200, 200)
        first, second = (json.loads(each.body)["results"] for each in (before, after))
        assert first == second
        encoded = json.dumps({"images": [base64.b64encode(png(np.zeros((8, 8), np.uint8))).decode()]}).encode()
        for path in ("/v1/features", "/v1/explain", "/v1/activations", "/v1/what-if"):
            assert asked(port, encoded, "application/json", path).status == 200, path
    finally:
        ended(process)
