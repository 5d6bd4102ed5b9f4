"""A local HTTP server of a folder of shards, which misbehaves as it is told to: at a path, one fault after another."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class ShardServer:
    folder: Path
    url: str = ""
    """Of the folder, with a / at its end."""
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict[str, list[str]](list))
    """File → its next answers' faults: an HTTP status, cut, stall, corrupt, short, or a place to redirect to; the last
    one stays if it ends in '!'."""
    asked: list[str] = field(default_factory=list)
    """The files that were asked for, in order, each with its query."""
    users: list[str | None] = field(default_factory=list)
    """What each request said of who asks."""
    release: threading.Event = field(default_factory=threading.Event)

    def fault(self, name: str) -> str:
        waiting = self.faults.get(name)
        if not waiting:
            return ""
        return waiting[0][:-1] if waiting[0].endswith("!") else waiting.pop(0)

    def count(self, kind: str = ".tar") -> int:
        """How many files of a kind were asked for."""
        return sum(each.partition("?")[0].endswith(kind) for each in self.asked)


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes in the middle of an answer is what the tests are about."""


@contextmanager
def serving(folder: Path) -> Iterator[ShardServer]:
    state = ShardServer(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, _, query = self.path.removeprefix("/shards/").partition("?")
            state.asked.append(f"{name}?{query}" if query else name)
            state.users.append(self.headers.get("Authorization"))
            fault = state.fault(name)
            if fault.isdigit():
                return self.send_error(int(fault))
            if "/" in fault:
                self.send_response(302)
                self.send_header("Location", fault)
                self.send_header("Content-Length", "0")
                return self.end_headers()
            path = state.folder / name
            if not path.is_file():
                return self.send_error(404)
            content, half = path.read_bytes(), path.stat().st_size // 2
            if fault == "corrupt":
                content = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
            if fault == "short":
                content = content[:half]
            start = int(self.headers.get("Range", "bytes=0-")[6:-1])
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start : max(half, start) if fault in ("cut", "stall") else len(content)])
            self.wfile.flush()
            if fault == "stall":
                state.release.wait(60)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = _Quiet(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}/shards/"
    try:
        yield state
    finally:
        state.release.set()
        server.shutdown()
        server.server_close()
