"""Fetched shards on this machine's disk: shared by its processes, of bounded size, the least recently used go first.

SHA-256/content     a file by its digest, so that sets and addresses that share it share the copy
SHA-256/.lock       held by the process that fetches it, or removes it; its time says when it was last wanted
"""

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from alexnet.data.download import Damaged, Digest, Unavailable, obtain
from alexnet.data.remote.stored import origin
from alexnet.errors import InputError
from alexnet.files import LOCK, lock, make_folder

ATTEMPTS = 5
"""In a row without a byte between them; and whole files that turn out to be damaged."""
PAUSE = 1.0
"""Seconds before the second attempt, doubled each time."""
TIMEOUT = 30.0
"""Seconds without a byte that count as a cut."""
_LOOK = 0.05  # seconds between looks at a file that another process fetches
_CONTENT = "content"


@dataclass(frozen=True)
class Object:
    """A file elsewhere, and what it must be."""

    url: str
    shown: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Cache:
    root: Path
    limit: int | None = None
    """Bytes; None: half of what the disk has for it."""

    @classmethod
    def default(cls) -> "Cache":
        """$ALEXNET_CACHE, else ~/.cache/alexnet/shards; $ALEXNET_CACHE_BYTES is its limit. InputError for no number."""
        place, limit = os.environ.get("ALEXNET_CACHE"), os.environ.get("ALEXNET_CACHE_BYTES", "")
        if limit and not limit.isdecimal():
            raise InputError(f"ALEXNET_CACHE_BYTES is {limit!r}; it is a number of bytes, such as 100000000000")
        root = Path(place).expanduser() if place else Path.home() / ".cache" / "alexnet" / "shards"
        return cls(root.absolute(), int(limit) if limit else None)

    @property
    def room(self) -> int:
        """Bytes that all its files may take."""
        if self.limit is not None:
            return self.limit
        make_folder(self.root)
        return (self._used() + shutil.disk_usage(self.root).free) // 2

    def path(self, wanted: Object) -> Path:
        """Where it is, if it is there."""
        return self.root / wanted.sha256 / _CONTENT

    def holds(self, wanted: Object) -> bool:
        path = self.path(wanted)
        return path.is_file() and _size(path) == wanted.bytes

    def get(self, wanted: Object) -> Path:
        """The file, fetched if it is not there, checked by its digest; also while other processes want it.

        What is not there, cut, damaged or late is asked for again, with growing waits. Raises Unavailable in the end,
        and at once where there is no permission; InputError where there is no room.
        """
        path = self.path(wanted)
        if not self.holds(wanted):
            make_folder(path.parent)
            with contextlib.ExitStack() as stack:
                if self._locked(wanted, stack):
                    path.unlink(missing_ok=True)  # of another length than it should have
                    self._make_room(wanted)
                    self._fetch(wanted, path)
        self.touch(wanted)
        return path

    def touch(self, wanted: Object) -> None:
        """Says that a file, if it is there, is wanted now."""
        now = time.time_ns()  # the system's own time stamps are coarser
        with contextlib.suppress(OSError):
            os.utime(self.path(wanted).with_name(LOCK), ns=(now, now))

    def _locked(self, wanted: Object, stack: contextlib.ExitStack) -> bool:
        """Holds the file's folder; False when another process fetched it meanwhile."""
        path, seen, since = self.path(wanted), -1, time.monotonic()
        while True:
            try:
                stack.enter_context(lock(path.parent))
                return not self.holds(wanted)
            except InputError:
                if time.monotonic() - since > 2 * ATTEMPTS * TIMEOUT:  # in which nothing came
                    raise
            if self.holds(wanted):
                return False
            time.sleep(_LOOK)
            there = _size(_part(path))
            if there != seen:
                seen, since = there, time.monotonic()

    def _fetch(self, wanted: Object, path: Path) -> None:
        source, digest = origin(wanted.url, waits=True), Digest("sha256", wanted.sha256)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                obtain(source, path, digest=digest, size=wanted.bytes, timeout=TIMEOUT, attempts=ATTEMPTS, pause=PAUSE)
                return
            except Damaged as error:
                _part(path).unlink(missing_ok=True)
                if attempt == ATTEMPTS:
                    raise Unavailable(wanted.shown, f"{error.reason}; {ATTEMPTS} attempts") from None
                time.sleep(PAUSE * 2 ** (attempt - 1))

    def _make_room(self, wanted: Object) -> None:
        """Removes what was not wanted for the longest time, until there is room."""
        need, room = wanted.bytes - _size(_part(self.path(wanted))), self.room
        if wanted.bytes > room:
            raise InputError(
                f"{wanted.shown} has {wanted.bytes:,} bytes, and the folder for fetched shards {self.root} may have "
                f"{room:,}: set ALEXNET_CACHE_BYTES to more, or ALEXNET_CACHE to a folder on a larger disk"
            )
        excess = self._used() + need - room
        for folder in sorted(self._folders(), key=_wanted_at):
            if excess <= 0:
                return
            if folder.name != wanted.sha256:
                with contextlib.suppress(InputError, OSError), lock(folder):  # in use: it is being fetched
                    freed = _taken(folder)
                    for each in (folder / _CONTENT, _part(folder / _CONTENT)):
                        each.unlink(missing_ok=True)
                    excess -= freed

    def _folders(self) -> list[Path]:
        with contextlib.suppress(FileNotFoundError), os.scandir(self.root) as entries:
            return [Path(each.path) for each in entries if each.is_dir(follow_symlinks=False)]
        return []

    def _used(self) -> int:
        return sum(map(_taken, self._folders()))


def _taken(folder: Path) -> int:
    return _size(folder / _CONTENT) + _size(_part(folder / _CONTENT))


def _wanted_at(folder: Path) -> float:
    try:
        return (folder / LOCK).stat().st_mtime
    except OSError:
        return 0.0


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
