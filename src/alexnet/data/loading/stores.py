"""Where the bytes of images lie: files in a folder, or members of tar archives."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from alexnet.data.loading.decode import CHANGED, MAX_BYTES, DecodeError, read, stamp
from alexnet.errors import InputError
from alexnet.files import regular


class Store(Protocol):
    """Where the bytes of images lie, by number."""

    def read(self, row: int) -> bytes:
        """The content of image `row`; raises DecodeError."""
        ...

    def head(self, row: int, size: int) -> bytes:
        """The first `size` bytes of it; empty where it cannot be read."""
        ...

    def part(self, rows: np.ndarray) -> Self:
        """Those of the images (int64 [n]) as a store of their own."""
        ...

    def sizes(self) -> np.ndarray:
        """Bytes of each image, int64 [n]."""
        ...

    def stamped(self) -> Self:
        """The same, with what the files are now: read later, one that was changed or replaced is a DecodeError."""
        ...


class Files:
    """Image files by their names below `root`."""

    def __init__(self, root: Path, names: Sequence[str], stamps: np.ndarray | None = None) -> None:
        """`stamps`: bytes and time of each file when it was listed, int64 [n, 2]; None: whatever they are now."""
        self.root, self.names, self.stamps = root, names, stamps

    def read(self, row: int) -> bytes:
        stamped = None if self.stamps is None else (int(self.stamps[row, 0]), int(self.stamps[row, 1]))
        return read(self.root / self.names[row], stamped)

    def head(self, row: int, size: int) -> bytes:
        try:
            with regular(self.root / self.names[row]) as file:
                return file.read(size)
        except (OSError, InputError):
            return b""

    def part(self, rows: np.ndarray) -> Self:
        stamps = None if self.stamps is None else self.stamps[rows]
        return type(self)(self.root, [self.names[int(row)] for row in rows], stamps)

    def stamped(self) -> Self:
        stamps = np.full((len(self.names), 2), -1, np.int64)  # no file is so: one that is gone stays missing
        for row, name in enumerate(self.names):
            with contextlib.suppress(OSError):
                stamps[row] = stamp((self.root / name).stat())
        return type(self)(self.root, self.names, stamps)

    def sizes(self) -> np.ndarray:
        if self.stamps is not None:
            return self.stamps[:, 0]
        return np.array([(self.root / name).stat().st_size for name in self.names], np.int64)


class Members:
    """Members of archives that are not packed: 18 bytes of memory an image, beside its name.

    `which` numbers the archive in `archives` (uint16 [n]), `offsets` and `lengths` say where in it (int64 [n]).
    """

    def __init__(
        self,
        archives: Sequence[Path],
        places: Sequence[tuple[int, int, int]] | np.ndarray,
        stamps: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        """`places`: archive's number, offset, length of each image. `stamps`: of each archive when it was listed."""
        table = np.asarray(places, np.int64).reshape(-1, 3)
        self.archives, self.stamps = tuple(archives), stamps
        self.which, self.offsets, self.lengths = table[:, 0].astype(np.uint16), table[:, 1].copy(), table[:, 2].copy()

    def read(self, row: int) -> bytes:
        archive, length = self.archives[self.which[row]], int(self.lengths[row])
        if not 0 < length <= MAX_BYTES:
            raise DecodeError(str(archive), f"an image of {length:,} bytes")
        try:
            with open(archive, "rb", buffering=0) as file:  # an open file of each would be a thousand for ImageNet
                if self.stamps is not None and stamp(os.fstat(file.fileno())) != self.stamps[self.which[row]]:
                    raise DecodeError(str(archive), CHANGED)
                file.seek(int(self.offsets[row]))
                content = file.read(length)
        except OSError as error:
            raise DecodeError(str(archive), f"cannot be read ({error.strerror})") from error
        if len(content) < length:
            raise DecodeError(str(archive), "cut short")
        return content

    def head(self, row: int, size: int) -> bytes:
        try:
            with open(self.archives[self.which[row]], "rb", buffering=0) as file:
                file.seek(int(self.offsets[row]))
                return file.read(min(size, int(self.lengths[row])))
        except OSError:
            return b""

    def part(self, rows: np.ndarray) -> Self:
        used, which = np.unique(self.which[rows], return_inverse=True)
        places = np.stack([which, self.offsets[rows], self.lengths[rows]], 1)
        stamps = None if self.stamps is None else [self.stamps[number] for number in used]
        return type(self)([self.archives[number] for number in used], places, stamps)

    def stamped(self) -> Self:
        stamps = [stamp(archive.stat()) for archive in self.archives]
        places = np.stack([self.which, self.offsets, self.lengths], 1)
        return type(self)(self.archives, places, stamps)

    def sizes(self) -> np.ndarray:
        return self.lengths
