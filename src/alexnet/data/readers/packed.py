"""Reading a gzip file from anywhere: linear in its size, and never more out of it than was agreed on before."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from alexnet.errors import InputError
from alexnet.files import regular

CHUNK = 1 << 16
"""Bytes that are read at a time."""
STEP = 1 << 12
"""What each gzip member counts at least: a file of a million empty ones is as slow to read as one of four gigabytes."""
MAGIC = b"\x1f\x8b"


class Gunzip:
    """The unpacked content of a gzip file, read forward only; InputError where it is more than `limit` bytes."""

    def __init__(self, file: BinaryIO, limit: int, excess: str) -> None:
        """`excess`: what is said of a file that unpacks to more."""
        self._file, self._left, self._excess = file, limit, excess
        self._member = zlib.decompressobj(wbits=31)
        self._waiting = b""

    def read(self, size: int) -> bytes:
        """The next bytes, `size` unless the content ends. Raises EOFError and zlib.error for a damaged file."""
        blocks: list[bytes] = []
        while size > 0:
            block = self._some(min(size, CHUNK))
            if not block:
                break
            blocks.append(block)
            size -= len(block)
        return b"".join(blocks)

    def _some(self, size: int) -> bytes:
        while True:
            if self._member.eof:
                self._waiting = self._member.unused_data.lstrip(b"\0")  # zeros may fill the file's last block
                while not self._waiting and (chunk := self._file.read(CHUNK)):
                    self._waiting = chunk.lstrip(b"\0")
                if not self._waiting:
                    return b""
                self._charge(STEP)
                self._member = zlib.decompressobj(wbits=31)
            chunk = self._waiting or self._file.read(CHUNK)
            block = self._member.decompress(chunk, size)
            self._waiting = self._member.unconsumed_tail
            if block:
                self._charge(len(block))
                return block
            if not chunk and not self._member.eof:
                raise EOFError("the compressed data ends too early")

    def _charge(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise InputError(self._excess)


@contextmanager
def told(path: Path | str) -> Iterator[None]:
    """What a damaged gzip or tar file raises, as one line."""
    try:
        yield
    except (EOFError, zlib.error) as error:
        raise InputError(f"{path}: cut short or damaged ({error})") from error


def is_packed(path: Path) -> bool:
    """Whether a regular file is gzipped, by its first bytes."""
    with regular(path) as file:
        return file.read(2) == MAGIC
