"""A checkout of github.com/pypa/advisory-database, served as osv.dev's API: an audit without a network.

OSV's format and its query: ossf.github.io/osv-schema, google.github.io/osv.dev/post-v1-query.
"""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from packaging.version import InvalidVersion, Version


class UnreadableAdvisory(Exception):
    """A file of the database that is no advisory; its message is one line."""


def affecting(database: Path, name: str, version: str) -> list[dict[str, Any]]:
    """The advisories of `database` that a version of a package is in; `name` normalized, as 'pip-audit'.

    Raises:
        UnreadableAdvisory: a file of this package is no advisory.
    """
    found = []
    for path in sorted((database / "vulns" / name).glob("*.yaml")):
        try:
            advisory = yaml.load(path.read_bytes(), yaml.CSafeLoader)
            parts = [each for each in advisory.get("affected", ()) if each["package"]["name"].lower() == name]
            inside = any(version in each.get("versions", ()) or _in_range(each, version) for each in parts)
        except (OSError, yaml.YAMLError, AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise UnreadableAdvisory(f"{path} is no advisory in OSV's format ({type(error).__name__})") from error
        if inside:
            # The dates are not asked for, and YAML makes them of another type than JSON has.
            found.append({key: value for key, value in advisory.items() if key not in ("modified", "published")})
    return found


def _in_range(affected: dict[str, Any], version: str) -> bool:
    """Whether a version lies in a range of versions, where 0 is the first."""
    for each in affected.get("ranges", ()):
        inside = False
        for event in each["events"] if each["type"] == "ECOSYSTEM" else ():
            ((kind, at),) = event.items()
            with contextlib.suppress(InvalidVersion):
                past = at == "0" or Version(version) >= Version(str(at))
                if kind == "introduced" and past:
                    inside = True
                elif (kind == "fixed" and past) or (kind == "last_affected" and Version(version) > Version(str(at))):
                    inside = False
        if inside:
            return True
    return False


@contextlib.contextmanager
def served(database: Path) -> Iterator[tuple[str, list[str]]]:
    """The address that answers OSV's queries from a database; and a list, to which each advisory that could not be read
    adds a line."""
    unreadable: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found: list[dict[str, Any]] = []
            try:
                found = affecting(database, asked["package"]["name"], asked["version"])
            except UnreadableAdvisory as error:
                unreadable.append(str(error))
            content = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query", unreadable
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
