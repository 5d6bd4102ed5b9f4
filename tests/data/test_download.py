import hashlib
import io
import re
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from alexnet.data.download import Digest, _Careful, fetch
from alexnet.errors import InputError

CONTENT = bytes(i * 7919 % 251 for i in range(300_000))
SHA256 = Digest("sha256", hashlib.sha256(CONTENT).hexdigest())


@dataclass
class Server:
    """A local server whose next answers each misbehave in their own way, then behave."""

    url: str = ""
    faults: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    """Where each answer began."""
    release: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fault = state.faults.pop(0) if state.faults else ""
            if fault.isdigit():
                self.send_error(int(fault))
                return
            if fault == "redirect":
                self.send_response(302)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                return
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(wanted[1]) if wanted and fault != "whole" else 0
            if start >= len(CONTENT):
                self.send_error(416)
                return
            state.starts.append(start)
            content = CONTENT[::-1] if fault == "corrupt" else CONTENT
            content = content + content if fault == "long" else content
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if fault != "no length":
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            half = start + (len(content) - start) // 2
            self.wfile.write(content[start : half if fault in ("cut", "stall") else len(content)])
            self.wfile.flush()
            if fault == "stall":
                state.release.wait(10)

        def log_message(self, format: str, *args: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    state.url = f"http://127.0.0.1:{listening.server_port}/weights.bin"
    yield state
    state.release.set()
    listening.shutdown()
    listening.server_close()


def get(server: Server, path: Path, digest: Digest | None = SHA256, size: int | None = None, attempts: int = 3) -> Path:
    return fetch(server.url, path, digest=digest, size=size, timeout=0.5, attempts=attempts, pause=0.0)


def test_a_file_arrives_whole_and_is_not_fetched_twice(server: Server, tmp_path: Path):
    seen: list[tuple[int, int]] = []
    path = tmp_path / "cache" / "weights.bin"
    fetch(server.url, path, digest=SHA256, size=len(CONTENT), progress=lambda *at: seen.append(at))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert get(server, path) == path
    assert server.starts == [0]
    assert [each.name for each in path.parent.iterdir()] == ["weights.bin"]


@pytest.mark.parametrize("faults", [["cut"], ["stall"], ["cut", "stall", "cut"], ["503", "cut", "503"], ["no length"]])
def test_cuts_and_stalls_are_gone_on_from(faults: list[str], server: Server, tmp_path: Path):
    server.faults = list(faults)
    assert get(server, tmp_path / "w").read_bytes() == CONTENT
    assert server.starts == sorted(server.starts)
    assert (server.starts[-1] > 0) == (faults != ["no length"])


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(server: Server, tmp_path: Path):
    server.faults = ["cut", "503", "503", "503"]
    with pytest.raises(InputError, match="what came is kept"):
        get(server, tmp_path / "w")
    assert (tmp_path / "w.part").stat().st_size == len(CONTENT) // 2
    assert get(server, tmp_path / "w").read_bytes() == CONTENT
    assert server.starts == [0, len(CONTENT) // 2]


def test_a_server_that_knows_no_ranges_gives_the_whole_again(server: Server, tmp_path: Path):
    server.faults = ["cut", "whole"]
    assert get(server, tmp_path / "w").read_bytes() == CONTENT
    assert server.starts == [0, 0]


def test_what_is_kept_of_another_file_is_thrown_away(server: Server, tmp_path: Path):
    (tmp_path / "w.part").write_bytes(b"x" * 1000)
    assert get(server, tmp_path / "w").read_bytes() == CONTENT
    (tmp_path / "w").unlink()
    (tmp_path / "w.part").write_bytes(b"x" * (len(CONTENT) + 5))  # longer than the file
    assert get(server, tmp_path / "w").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("fault", "said"), [("corrupt", "its sha256 differs"), ("long", "were expected"), ("404", "the server says 404")]
)
def test_another_file_is_refused_and_nothing_is_kept(fault: str, said: str, server: Server, tmp_path: Path):
    server.faults = [fault]
    with pytest.raises(InputError, match=said) as error:
        get(server, tmp_path / "w", size=len(CONTENT))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_in_the_cache_is_told(server: Server, tmp_path: Path):
    (tmp_path / "w").write_bytes(b"damaged")
    with pytest.raises(InputError, match="delete it"):
        get(server, tmp_path / "w")


def test_plain_http_needs_a_whole_digest(server: Server, tmp_path: Path):
    for digest in (None, Digest("sha256", SHA256.value[:8])):
        with pytest.raises(InputError, match="not HTTPS"):
            get(server, tmp_path / "w", digest=digest)
    assert server.starts == []
    with pytest.raises(InputError, match="not HTTPS"):
        fetch("file:///etc/hosts", tmp_path / "w", digest=SHA256)


def test_redirections_are_followed(server: Server, tmp_path: Path):
    server.faults = ["redirect"]
    assert get(server, tmp_path / "w").read_bytes() == CONTENT


def test_nothing_is_fetched_by_less_than_https_where_it_began_so():
    request = urllib.request.Request("https://example.org/w")
    with pytest.raises(InputError, match="not HTTPS"):
        _Careful().redirect_request(request, io.BytesIO(), 302, "", Message(), "http://example.org/w")


def test_a_server_that_is_not_there_is_one_line(unused: Callable[[], str], tmp_path: Path):
    with pytest.raises(InputError, match="could not be fetched") as error:
        fetch(unused(), tmp_path / "w", digest=SHA256, attempts=2, pause=0.0)
    assert "\n" not in str(error.value)


@pytest.fixture
def unused() -> Callable[[], str]:
    """The address of a port where nobody listens."""

    def find() -> str:
        gone = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
        gone.server_close()
        return f"http://127.0.0.1:{gone.server_port}/w"

    return find
