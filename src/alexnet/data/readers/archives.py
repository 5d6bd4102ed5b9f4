"""Tar archives that nobody vouches for: what lies where in them, without unpacking anything to the disk."""

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from alexnet.errors import InputError

BLOCK = 512
"""Bytes in a block of a tar archive."""
MOST = 2_000_000
"""Members that are listed at most; ImageNet's training archive has 1.3 million."""


class Member(NamedTuple):
    """A regular file in an archive that is not packed: `size` bytes from byte `offset` of the archive on."""

    name: str
    offset: int
    size: int


def checked(archive: Path | str, tar: tarfile.TarFile, most: int) -> Iterator[tarfile.TarInfo]:
    """The regular files of an archive; InputError at the first member that an honest one does not have."""
    for count, member in enumerate(tar):
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts:
            raise InputError(f"{archive}: member {member.name!r} points outside the archive; nothing was read")
        if not (member.isreg() or member.isdir()) or member.issparse():
            raise InputError(f"{archive}: member {member.name!r} is a link or a device; nothing was read")
        if count >= most:
            raise InputError(f"{archive}: more than {most:,} members; this is not the official archive")
        if member.isreg():
            yield member


def members(archive: Path, inside: Member | None = None) -> Iterator[Member]:
    """The regular files of a tar that is not packed, or of the tar that is its member `inside`, in their order.

    Raises InputError, naming the last good member, where the archive is cut short or damaged; a damaged header in the
    middle, which tarfile takes for the end, is told from the end by the zeros that stand there.
    """
    place = f"{archive}: {inside.name}" if inside else str(archive)
    end = inside.offset if inside else 0
    limit = end + inside.size if inside else archive.stat().st_size
    last = "its beginning"
    with open(archive, "rb") as file:
        try:
            file.seek(end)
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for member in checked(place, tar, MOST):
                    end = member.offset_data + -(-member.size // BLOCK) * BLOCK
                    if end > limit:
                        raise InputError(f"{place}: cut short in member {member.name!r}")
                    last = repr(member.name)
                    yield Member(member.name, member.offset_data, member.size)
                found = tar.getmembers()
                if found:  # the last one may be a folder
                    end = max(end, found[-1].offset_data)
        except (tarfile.TarError, EOFError) as error:
            raise InputError(f"{place}: cut short or damaged after {last} ({error})") from error
        file.seek(end)
        if file.read(max(0, min(BLOCK, limit - end))).strip(b"\0"):
            raise InputError(f"{place}: damaged after {last}")
