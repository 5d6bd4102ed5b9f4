"""A stand-in for a model hub on this machine: repositories in memory, and the requests that huggingface_hub makes."""

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_stand_in"


class Hub:
    """`repositories`: OWNER/NAME → name of a file → its content. Writing needs TOKEN."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.asked: list[str] = []
        self.address = ""

    def sha(self, name: str) -> str:
        files = self.repositories[name]
        return hashlib.sha1(
            json.dumps([(n, hashlib.sha1(c).hexdigest()) for n, c in sorted(files.items())]).encode()
        ).hexdigest()


@contextlib.contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def answer(self, status: int, content: bytes | Any = b"", **headers: str) -> None:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def missing(self, code: str) -> None:
            self.answer(404, {"error": code}, X_Error_Code=code)

        def do_GET(self) -> None:
            hub.asked.append(self.path)
            path = self.path.partition("?")[0]
            if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
                name, revision = found[1], found[2]
                if name not in hub.repositories:
                    return self.missing("RepoNotFound")
                if revision not in (None, "main", hub.sha(name)):
                    return self.missing("RevisionNotFound")
                files = [{"rfilename": file} for file in hub.repositories[name]]
                about = {"id": name, "modelId": name, "sha": hub.sha(name), "siblings": files, "private": False}
                return self.answer(200, about | {"tags": [], "downloads": 0, "likes": 0})
            if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/[^/]+", path):
                listed = [{"type": "file", "path": file, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                          for file, content in hub.repositories[found[1]].items()]  # fmt: skip
                return self.answer(200, listed)
            if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
                content = hub.repositories.get(found[1], {}).get(found[2])
                if content is None:
                    return self.missing("EntryNotFound")
                tag = f'"{hashlib.sha256(content).hexdigest()}"'
                return self.answer(200, content, ETag=tag, X_Repo_Commit=hub.sha(found[1]))
            self.missing("EntryNotFound")

        do_HEAD = do_GET

        def do_POST(self) -> None:
            hub.asked.append(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path.startswith("/api/validate-yaml"):
                return self.answer(200, {"errors": [], "warnings": []})
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self.answer(401, {"error": "Invalid credentials"})
            if self.path == "/api/repos/create":
                asked = json.loads(body)
                name = f"{asked.get('organization', 'me')}/{asked['name']}"
                hub.private[name] = asked.get("visibility") == "private" or bool(asked.get("private"))
                hub.repositories.setdefault(name, {})
                return self.answer(200, {"url": f"{hub.address}/{name}", "name": name})
            if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", self.path.partition("?")[0]):
                files = [{"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                         for each in json.loads(body)["files"]]  # fmt: skip
                return self.answer(200, {"files": files})
            if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", self.path.partition("?")[0]):
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        content = base64.b64decode(line["value"]["content"])
                        hub.repositories[found[1]][line["value"]["path"]] = content
                sha = hub.sha(found[1])
                return self.answer(
                    200, {"success": True, "commitOid": sha, "commitUrl": f"{hub.address}/{found[1]}/commit/{sha}"}
                )
            self.missing("EntryNotFound")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
