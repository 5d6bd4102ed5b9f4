"""Fetching a public file: over HTTPS, resumed after a cut, checked by size and digest before it gets its name."""

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO

from alexnet.errors import InputError

Progress = Callable[[int, int], None]
"""(bytes done, bytes in all; 0: not known)"""

MAX_BYTES = 4 * 2**30
_BLOCK = 1 << 16
_MAX_PAUSE = 30.0  # seconds
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP answers that may be better a little later


@dataclass(frozen=True)
class Digest:
    """A file's checksum as its source publishes it, in hexadecimal; perhaps only its beginning."""

    algorithm: str
    value: str

    @property
    def whole(self) -> bool:
        return len(self.value) == 2 * hashlib.new(self.algorithm).digest_size

    def fits(self, path: Path) -> bool:
        with path.open("rb") as file:
            return hashlib.file_digest(file, self.algorithm).hexdigest().startswith(self.value)


class _Cut(Exception):
    """The connection gave less than it announced."""


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but never from HTTPS to something less."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise InputError(f"{req.full_url} redirects to {newurl}, which is not HTTPS")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # pyright: ignore[reportArgumentType]


def fetch(
    url: str,
    path: Path,
    *,
    digest: Digest | None = None,
    size: int | None = None,
    progress: Progress | None = None,
    timeout: float = 30.0,
    attempts: int = 5,
    pause: float = 1.0,
) -> Path:
    """Downloads `url` to `path`, whose folder is made; a file that is there already is only checked.

    What came before a cut stays in `path`.part and is gone on with, also by a later call. `timeout`: seconds without a
    byte that count as a cut; `attempts`: cuts in a row, without a byte between them, that end it; `pause`: seconds
    before the second attempt, doubled each time. Without a `digest` nothing is resumed from an earlier call.
    Raises InputError when the address is not HTTPS (allowed only with a whole digest), when the server refuses, when it
    is cut for good, and when size or digest are others (then nothing is kept).
    """
    if not url.startswith("https:") and not (digest and digest.whole and url.startswith("http:")):
        raise InputError(f"{url} is not HTTPS, and there is no whole digest to check the file by")
    if path.is_file():
        if digest is not None and not digest.fits(path):
            raise InputError(f"{path} is damaged or another file (its {digest.algorithm} differs): delete it")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    if digest is None:
        part.unlink(missing_ok=True)
    resumed = part.is_file() and part.stat().st_size > 0
    _complete(url, part, size, progress, timeout, attempts, pause)
    if resumed and digest is not None and not digest.fits(part):  # the file at the address may have changed meanwhile
        part.unlink()
        _complete(url, part, size, progress, timeout, attempts, pause)
    if size not in (None, part.stat().st_size) or (digest is not None and not digest.fits(part)):
        found = part.stat().st_size
        part.unlink()
        what = f"its {digest.algorithm} differs" if digest and size in (None, found) else f"it has {found:,} bytes"
        raise InputError(f"{url} is not the file that was expected ({what}): nothing was kept")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
    return path


def _complete(
    url: str,
    part: Path,
    size: int | None,
    progress: Progress | None,
    timeout: float,
    attempts: int,
    pause: float,
) -> None:
    """Fills `part` until the server has no more."""
    failures = 0
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            return _read(url, part, before, size, progress, timeout)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # there is nothing after what we have: it is of another file
                part.unlink(missing_ok=True)
            elif error.code not in _PASSING:
                raise InputError(f"{url}: the server says {error.code} {error.reason}") from None
            reason = f"the server says {error.code}"
        except (_Cut, OSError, http.client.HTTPException) as error:
            cause = getattr(error, "reason", error)
            reason = "no byte came for a while" if isinstance(cause, TimeoutError) else str(cause) or "it was cut"
        grew = part.is_file() and part.stat().st_size > before
        failures = 1 if grew else failures + 1
        if failures >= attempts:
            raise InputError(f"{url} could not be fetched ({reason}); what came is kept, run it again to go on")
        time.sleep(min(pause * 2 ** (failures - 1), _MAX_PAUSE))


def _read(url: str, part: Path, start: int, size: int | None, progress: Progress | None, timeout: float) -> None:
    """One connection. Raises _Cut when it ends early."""
    request = urllib.request.Request(url, headers={"User-Agent": "alexnet", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with urllib.request.build_opener(_NoDowngrade).open(request, timeout=timeout) as answer:
        if answer.status != 206 or not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0  # the server gives the whole file
        length = answer.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else 0
        limit = size or MAX_BYTES
        if total > limit:
            raise InputError(f"{url} has {total:,} bytes where {limit:,} were expected: nothing was read")
        done = start
        with part.open("ab" if start else "wb") as file:
            while block := answer.read1(_BLOCK):
                file.write(block)
                done += len(block)
                if done > limit:
                    raise InputError(f"{url} sends more than the {limit:,} bytes that were expected")
                if progress:
                    progress(done, total)
    if total and done < total:
        raise _Cut(f"cut after {done:,} of {total:,} bytes")
