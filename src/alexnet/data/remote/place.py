"""What an index elsewhere says, and which of its shards are there."""

import hashlib
import http.client
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.data.download import Cut, Unavailable, complete
from alexnet.data.public_sets import offline
from alexnet.data.remote import cache as caches
from alexnet.data.remote.address import INDEX, MAX_INDEX, Address, plain
from alexnet.data.remote.cache import Cache, Object
from alexnet.data.remote.store import STREAMS, RemoteMembers
from alexnet.data.remote.stored import origin
from alexnet.errors import InputError, counted

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_SHARD = 2**40  # bytes


class Elsewhere:
    """Packed images at an address. Nothing that its index says is believed before it is checked."""

    def __init__(self, address: Address) -> None:
        """Raises InputError where nothing may be fetched."""
        if offline():
            raise InputError(f"{address.shown} is not fetched: --offline, or ALEXNET_OFFLINE, was set")
        self.address, self.shown, self.cache = address, address.shown, Cache.default()
        self._failed: dict[str, Unavailable] = {}

    def index(self, most: int) -> bytes:
        """The content of index.json, of at most `most` bytes. Raises Unavailable."""
        url = self.address.joined(INDEX)
        with tempfile.TemporaryDirectory() as folder:
            part = Path(folder) / INDEX
            complete(origin(url, waits=False), part, most, None, caches.TIMEOUT, caches.ATTEMPTS, caches.PAUSE)
            return part.read_bytes()

    def prepare(self, shards: Sequence[dict[str, Any]], small: bool, skips: bool, step: Callable[[int], None]) -> None:
        """Fetches every shard's list, and the shards themselves where they are all wanted now: for a `small` set, which
        is kept in memory, and to know which can be had where others are skipped. Of those that are not fetched yet, the
        length is asked for.

        `step` is called with the images of a shard. Raises Unavailable for the first that cannot be had; with `skips`,
        `told` raises it.
        """
        wanted = [(each["file"], self._list(each), self._archive(each), int(each["count"])) for each in shards]
        whole = (small or skips) and sum(archive.bytes for _, _, archive, _ in wanted) <= self.cache.room

        def look(file: str, listed: Object, archive: Object, count: int) -> int:
            try:
                self.cache.get(listed)
                if whole:
                    self.cache.get(archive)
                elif not self.cache.holds(archive):
                    _asked_for(archive)
            except Unavailable as error:
                if not skips:
                    raise
                self._failed[file] = error
            return count

        with ThreadPoolExecutor(STREAMS) as pool:
            try:
                for count in pool.map(look, *zip(*wanted, strict=True)) if wanted else ():
                    step(count)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def told(self, shard: dict[str, Any]) -> bytes:
        """The list of a shard. Raises Unavailable for one that `prepare` could not have."""
        if error := self._failed.get(shard["file"]):
            raise error
        return self.cache.get(self._list(shard)).read_bytes()

    def names(self, shard: dict[str, Any]) -> bytes | None:
        """The list of a shard that is skipped, where it is there."""
        listed = self._list(shard)
        return self.cache.path(listed).read_bytes() if self.cache.holds(listed) else None

    def store(self, shards: Sequence[dict[str, Any]], places: np.ndarray) -> RemoteMembers:
        return RemoteMembers([self._archive(each) for each in shards], places, self.cache)

    def note(self, content: bytes, shards: Sequence[dict[str, Any]]) -> str:
        """How the images are read, in one line."""
        size = sum(int(each["bytes"]) for each in shards)
        told = f"{counted(len(shards), 'shard')} of {size:,} bytes in all, read from {self.shown}"
        if size > self.cache.room:
            told += (
                f"; the folder for fetched shards may have {self.cache.room:,} bytes (ALEXNET_CACHE_BYTES): they are "
                "fetched again in every epoch"
            )
        return f"{told}; SHA-256 of {INDEX}: {hashlib.sha256(content).hexdigest()}"

    def _archive(self, shard: dict[str, Any]) -> Object:
        return self._object(plain(shard["file"], ".tar"), shard["sha256"], shard["bytes"])

    def _list(self, shard: dict[str, Any]) -> Object:
        if "list" not in shard:
            raise InputError(
                f"{self.shown} was packed by an earlier version of alexnet, without digests of the lists: run the same "
                f"`alexnet pack` again, which packs no shard anew, and put the new {INDEX} there"
            )
        name = plain(shard["file"], ".tar").removesuffix(".tar") + ".json"
        return self._object(name, shard["list"]["sha256"], shard["list"]["bytes"], MAX_INDEX)

    def _object(self, name: str, sha256: Any, size: Any, most: int = _MOST_SHARD) -> Object:
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise ValueError(f"the SHA-256 of {name}")
        if type(size) is not int or not 0 <= size <= most:
            raise ValueError(f"the length of {name}")
        return Object(self.address.joined(name), f"{self.shown.removesuffix(INDEX).rstrip('/')}/{name}", sha256, size)


def _asked_for(wanted: Object) -> None:
    """Raises Unavailable unless it is there, as long as it should be."""
    reason = ""
    for attempt in range(caches.ATTEMPTS):
        if attempt:
            time.sleep(caches.PAUSE * 2 ** (attempt - 1))
        try:
            with origin(wanted.url, waits=True).open(0, caches.TIMEOUT) as answer:
                if answer.total in (0, wanted.bytes):
                    return
            reason = f"it has {answer.total:,} bytes where {wanted.bytes:,} were packed"
        except TimeoutError:
            reason = "no answer came for a while"
        except (Cut, OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
    raise Unavailable(wanted.shown, reason)
