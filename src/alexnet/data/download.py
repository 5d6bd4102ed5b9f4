"""Fetching a public file: over HTTPS, resumed after a cut, checked by size and digest before it gets its name."""

import base64
import contextlib
import errno
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Protocol, TypedDict, Unpack

from alexnet.errors import InputError

Progress = Callable[[int, int], None]
"""(bytes done, bytes in all; 0: not known)"""

MAX_BYTES = 4 * 2**30
_BLOCK = 1 << 16
_MAX_PAUSE = 30.0  # seconds
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP answers that may be better a little later
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # nothing that waiting mends


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


class Unavailable(InputError):
    """What an address does not give, or not as it was expected; `reason` says why, without the address."""

    def __init__(self, shown: str, reason: str) -> None:
        super().__init__(f"{shown}: {reason}")
        self.reason = reason


class Damaged(Unavailable):
    """What came is not the file that was expected."""


class Cut(Exception):
    """What may be better a little later: less came than was announced, or the server says so."""


class Beyond(Exception):
    """There is nothing after what was asked to begin with."""


@dataclass(frozen=True)
class Answer:
    """What comes from an address, from byte `start` on."""

    start: int
    total: int
    """Bytes of the whole file; 0: not known."""
    read: Callable[[], bytes]
    """The next bytes; none at the end."""


class Origin(Protocol):
    """A file elsewhere."""

    shown: str
    """Its address without what nobody else should see."""

    def open(self, start: int, timeout: float) -> AbstractContextManager[Answer]:
        """Its bytes from `start` on, or all of them. Raises Unavailable; Cut and OSError for what may pass; Beyond."""
        ...


def shown(url: str) -> str:
    """An address without user, password, query and fragment, where secrets may stand."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    path = path.partition("?")[0].partition("#")[0]
    return f"{scheme}://{authority.rpartition('@')[2].partition('?')[0]}{slash}{path}"


class _Careful(urllib.request.HTTPRedirectHandler):
    """Follows few redirections: never from HTTPS to something less, and to another machine by HTTPS only."""

    max_redirections = 5

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        before, after = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if after.scheme != "https" and (before.scheme == "https" or before.netloc != after.netloc):
            fp.close()
            raise Unavailable(shown(req.full_url), f"it redirects to {shown(newurl)}, which is not HTTPS")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # pyright: ignore[reportArgumentType]


class Web:
    """A file at an HTTP or HTTPS address. User and password in it are sent to its own machine only."""

    def __init__(self, url: str, passing: Collection[int] = _PASSING) -> None:
        """`passing`: the server's answers that may be better a little later."""
        self.shown, self.passing = shown(url), passing
        parts = urllib.parse.urlsplit(url)
        user, at, host = parts.netloc.rpartition("@")
        self.url = urllib.parse.urlunsplit(parts._replace(netloc=host, fragment=""))
        self.user = urllib.parse.unquote(user).encode() if at else None

    @contextlib.contextmanager
    def open(self, start: int, timeout: float) -> Iterator[Answer]:
        request = urllib.request.Request(self.url, headers={"User-Agent": "alexnet", "Accept-Encoding": "identity"})
        if start:
            request.add_header("Range", f"bytes={start}-")
        if self.user is not None:
            request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(self.user).decode()}")
        with self._answer(request, timeout) as answer:
            if answer.status != 206 or not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                start = 0  # the server gives the whole file
            length = answer.headers.get("Content-Length", "")
            yield Answer(start, start + int(length) if length.isdigit() else 0, lambda: answer.read1(_BLOCK))

    def _answer(self, request: urllib.request.Request, timeout: float) -> http.client.HTTPResponse:
        try:
            return urllib.request.build_opener(_Careful).open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:
                raise Beyond from None
            if error.code in self.passing:
                raise Cut(f"the server says {error.code}") from None
            says = f"the server says {error.code} {http.client.responses.get(error.code, '')}".rstrip()
            raise Unavailable(self.shown, f"no permission ({says})" if error.code in (401, 403) else says) from None


class How(TypedDict, total=False):
    """How patiently a file is fetched, and what is known of it."""

    size: int | None
    """Its bytes."""
    progress: Progress | None
    timeout: float
    """Seconds without a byte that count as a cut; 30, unless given."""
    attempts: int
    """Cuts in a row, without a byte between them, that end it; 5, unless given."""
    pause: float
    """Seconds before the second attempt, doubled each time; 1, unless given."""


def fetch(url: str, path: Path, *, digest: Digest | None = None, **how: Unpack[How]) -> Path:
    """Downloads `url` to `path`, whose folder is made; a file that is there already is only checked.

    What came before a cut stays in `path`.part and is gone on with, also by a later call; without a `digest` nothing
    is resumed from an earlier call. Raises InputError when the address is not HTTPS (allowed only with a whole
    digest), and as `obtain`.
    """
    if not url.startswith("https:") and not (digest and digest.whole and url.startswith("http:")):
        raise InputError(f"{url} is not HTTPS, and there is no whole digest to check the file by")
    return obtain(Web(url), path, digest=digest, **how)


def obtain(
    origin: Origin,
    path: Path,
    *,
    digest: Digest | None = None,
    size: int | None = None,
    progress: Progress | None = None,
    timeout: float = 30.0,
    attempts: int = 5,
    pause: float = 1.0,
) -> Path:
    """As `fetch`, of a file from anywhere.

    Raises Unavailable when the server refuses, when it is cut for good, and, Damaged, when size or digest are others
    (then nothing is kept); InputError when `path` is damaged or there is no room for it.
    """
    if path.is_file():
        if digest is not None and not digest.fits(path):
            raise InputError(f"{path} is damaged or another file (its {digest.algorithm} differs): delete it")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    if digest is None:
        part.unlink(missing_ok=True)
    resumed = part.is_file() and part.stat().st_size > 0
    complete(origin, part, size, progress, timeout, attempts, pause)
    if resumed and digest is not None and not digest.fits(part):  # the file at the address may have changed meanwhile
        part.unlink()
        complete(origin, part, size, progress, timeout, attempts, pause)
    if size not in (None, part.stat().st_size) or (digest is not None and not digest.fits(part)):
        found = part.stat().st_size
        part.unlink()
        what = f"its {digest.algorithm} differs" if digest and size in (None, found) else f"it has {found:,} bytes"
        raise Damaged(origin.shown, f"not the file that was expected ({what}): nothing was kept")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
    return path


def complete(
    origin: Origin,
    part: Path,
    size: int | None,
    progress: Progress | None,
    timeout: float,
    attempts: int,
    pause: float,
) -> None:
    """Fills `part` until the server has no more, `size` bytes at most (None: MAX_BYTES)."""
    failures = 0
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            return _read(origin, part, before, size or MAX_BYTES, progress, timeout)
        except Beyond:  # it is of another file
            part.unlink(missing_ok=True)
            reason = "the server says 416"
        except (Cut, OSError, http.client.HTTPException) as error:
            cause = getattr(error, "reason", error)
            if isinstance(cause, OSError) and cause.errno in _FULL:
                raise InputError(f"{part}: {cause.strerror}") from None
            reason = "no byte came for a while" if isinstance(cause, TimeoutError) else str(cause) or "it was cut"
        grew = part.is_file() and part.stat().st_size > before
        failures = 1 if grew else failures + 1
        if failures >= attempts:
            raise Unavailable(
                origin.shown, f"could not be fetched ({reason}); what came is kept, run it again to go on"
            )
        time.sleep(min(pause * 2 ** (failures - 1), _MAX_PAUSE))


def _read(origin: Origin, part: Path, start: int, limit: int, progress: Progress | None, timeout: float) -> None:
    """One connection. Raises Cut when it ends early."""
    with origin.open(start, timeout) as answer:
        if answer.total > limit:
            raise Damaged(
                origin.shown, f"it has {answer.total:,} bytes where {limit:,} were expected: nothing was read"
            )
        done = answer.start
        with part.open("ab" if done else "wb") as file:
            while block := answer.read():
                file.write(block)
                done += len(block)
                if done > limit:
                    raise Damaged(origin.shown, f"it sends more than the {limit:,} bytes that were expected")
                if progress:
                    progress(done, answer.total)
    if answer.total and done < answer.total:
        raise Cut(f"cut after {done:,} of {answer.total:,} bytes")
