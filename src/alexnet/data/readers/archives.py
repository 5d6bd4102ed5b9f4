"""Tar archives that nobody vouches for: what lies where in them, without unpacking anything to the disk.

Headers are read here, not by `tarfile`, which takes a header's word for how much to read: a pax header or a long name
is read up to MAX_NAME bytes, a size must be at least 0 and fit into the archive, and every header counts as a step.
Format: POSIX.1-1988 (ustar), POSIX.1-2001 (pax: only `path` and `size` matter), and GNU's long names and sizes.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from alexnet.data.readers.packed import CHUNK, Gunzip, told
from alexnet.errors import InputError
from alexnet.files import regular

BLOCK = 512
"""Bytes in a block of a tar archive."""
MOST = 2_000_000
"""Members that are listed at most; ImageNet's training archive has 1.3 million."""
MAX_NAME = 1 << 16
"""Bytes of the largest header that gives the next member its name."""


class Member(NamedTuple):
    """A regular file in an archive that is not packed: `size` bytes from byte `offset` of the archive on."""

    name: str
    offset: int
    size: int


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Content:
    """What is left of one member, of an archive that is read forward only."""

    def __init__(self, file: Readable, left: int) -> None:
        self._file, self.left = file, left

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer where the member ends. Raises EOFError where the archive does."""
        block = self._file.read(min(size, self.left))
        if len(block) < min(size, self.left):
            raise EOFError("a member is cut")
        self.left -= len(block)
        return block


def members(archive: Path, inside: Member | None = None) -> Iterator[Member]:
    """The regular files of a tar that is not packed, or of the tar that is its member `inside`, in their order.

    Raises InputError, naming the last good member, where the archive is cut short or damaged.
    """
    place = f"{archive}: {inside.name}" if inside else str(archive)
    with regular(archive) as file:
        start = inside.offset if inside else 0
        limit = start + inside.size if inside else archive.stat().st_size
        file.seek(start)
        walk = _Walk(place, file, MOST, start, limit)
        for member in walk:
            yield member
            file.seek(walk.next)


@contextlib.contextmanager
def unpacked(archive: Path, most: int, limit: int) -> Iterator[Iterator[tuple[Member, Content]]]:
    """The regular files of a .tar.gz with their content, in their order, each to be read before the next is asked for.

    `most` members and `limit` bytes unpacked are read at most. Raises InputError for anything wrong.
    """
    with regular(archive) as file, told(archive):
        stream = Gunzip(file, limit, f"{archive}: unpacks to more than the official archive does")
        yield _contents(_Walk(str(archive), stream, most, 0, None), stream)


def _contents(walk: "_Walk", stream: Gunzip) -> Iterator[tuple[Member, Content]]:
    for member in walk:
        content = Content(stream, member.size)
        yield member, content
        left = content.left + walk.next - member.offset - member.size
        while left and (block := stream.read(min(left, CHUNK))):
            left -= len(block)
        if left >= BLOCK:
            raise EOFError(f"member {member.name!r} is cut")


class _Walk:
    """Iterates over an archive's regular files. `file` must stand at `next` when another one is asked for."""

    def __init__(self, place: str, file: Readable, most: int, start: int, limit: int | None) -> None:
        """`limit`: where the archive ends in `file`; None: not known."""
        self.place, self.file, self.most, self.limit = place, file, most, limit
        self.left = 4 * most  # headers: a member may have some that name it
        self.next = start
        self.last = "its beginning"

    def __iter__(self) -> Iterator[Member]:
        renamed: dict[str, str] = {}
        count = 0
        while header := self._header():
            kind, size, name = header[156:157], self._size(header), _name(header)
            if kind in b"LKxg" and kind:
                renamed |= self._renaming(kind, size)
                continue
            name = renamed.get("path", name)
            if (told_size := renamed.get("size", "")).isdecimal() and len(told_size) < 20:
                size = self._checked(int(told_size))
            if kind == b"5" or (kind in (b"0", b"\0") and name.endswith("/")):
                size = 0
            elif kind not in (b"0", b"\0", b"7") or any(key.startswith("GNU.sparse") for key in renamed):
                raise InputError(f"{self.place}: member {name!r} is a link or a device; nothing was read")
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise InputError(f"{self.place}: member {name!r} points outside the archive; nothing was read")
            member, renamed = Member(name, self.next, size), {}
            self._advance(size, name)
            if kind != b"5" and not name.endswith("/"):
                count += 1
                if count > self.most:
                    raise self._crowd()
                yield member

    def _header(self) -> bytes | None:
        """The next header; None at the archive's end."""
        self.left -= 1
        if self.left < 0:
            raise self._crowd()
        size = BLOCK if self.limit is None else max(0, min(BLOCK, self.limit - self.next))
        header = self.file.read(size)
        if not header.strip(b"\0"):  # zeros, or nothing at all
            return None
        if len(header) < BLOCK:
            raise InputError(f"{self.place}: cut short or damaged after {self.last}")
        unsigned = sum(header) - sum(header[148:156]) + 8 * ord(" ")
        try:
            told_sum = int(header[148:156].strip(b"\0 "), 8)
        except ValueError:
            told_sum = -1
        if told_sum != unsigned:
            state = "cut short or damaged" if self.last == "its beginning" else "damaged"
            raise InputError(f"{self.place}: {state} after {self.last}")
        self.next += BLOCK
        return header

    def _crowd(self) -> InputError:
        return InputError(f"{self.place}: more than {self.most:,} members; this is not the official archive")

    def _size(self, header: bytes) -> int:
        field = header[124:136]
        if field[0] & 0x80:  # GNU: a number in base 256, negative where the first byte is 0xFF
            positive = int.from_bytes(field, "big") - (0x80 << 88)
            return self._checked(positive if field[0] == 0x80 else int.from_bytes(field, "big", signed=True))
        try:
            return self._checked(int(field.strip(b"\0 ") or b"0", 8))
        except ValueError:
            raise InputError(f"{self.place}: damaged after {self.last}") from None

    def _checked(self, size: int) -> int:
        if size < 0:
            raise InputError(f"{self.place}: damaged after {self.last}: a member claims {size:,} bytes")
        if self.limit is not None and self.next + size > self.limit:
            raise InputError(f"{self.place}: cut short after {self.last}: a member claims {size:,} bytes")
        return size

    def _renaming(self, kind: bytes, size: int) -> dict[str, str]:
        """What a header says of the next member."""
        if size > MAX_NAME:
            raise InputError(f"{self.place}: damaged after {self.last}: a name of {size:,} bytes")
        content = self.file.read(-(-size // BLOCK) * BLOCK)[:size]
        if len(content) < size:
            raise EOFError("a header is cut")
        self.next += -(-size // BLOCK) * BLOCK
        if kind == b"L":
            return {"path": _text(content)}
        return self._records(content) if kind == b"x" else {}

    def _records(self, content: bytes) -> dict[str, str]:
        """Of a pax header: records 'LENGTH KEY=VALUE\\n'."""
        found: dict[str, str] = {}
        while content.strip(b"\0"):
            length, space, _ = content[:20].partition(b" ")
            count = int(length) if length.isdigit() else 0
            key, sign, value = content[len(length) + 1 : max(0, count - 1)].partition(b"=")
            if not space or not sign or count > len(content):
                raise InputError(f"{self.place}: damaged after {self.last}: a pax header that is none")
            found[_text(key)] = _text(value)
            content = content[count:]
        return found

    def _advance(self, size: int, name: str) -> None:
        end = self.next + -(-size // BLOCK) * BLOCK
        if self.limit is not None and end > self.limit:
            raise InputError(f"{self.place}: cut short in member {name!r}")
        self.next, self.last = end, repr(name)


def _name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")
