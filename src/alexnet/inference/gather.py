"""The images that a user named: files, folders, patterns, lists of paths, or paths on standard input."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from glob import iglob
from pathlib import Path

from alexnet.data.loading.decode import EXTENSIONS
from alexnet.errors import InputError

_LISTS = (".txt", ".lst", ".list")
_SYSTEM = ("@eaDir", "$RECYCLE.BIN", "__MACOSX", "lost+found", "System Volume Information")
_HEADS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ")
_LONGEST = 4096
"""Bytes in a path, which is also Linux's limit."""


@dataclass
class Gathered:
    """Goes through the images; `passed_over` counts the files of folders that are no images, as they are met."""

    named: Iterable[str]
    stdin: Iterable[str] = ()
    passed_over: list[Path] = field(default_factory=list)

    def __iter__(self) -> Iterator[Path]:
        """Paths in the order in which they were named, those of a folder sorted. InputError where there is nothing.

        What is named itself is given whatever it is; the files in a folder only where they have an image's name or
        content.
        """
        for name in self.named:
            path = Path(name)
            if name == "-":
                yield from _lines(self.stdin)
            elif path.is_dir():
                yield from self._folder(path)
            elif path.suffix.lower() in _LISTS and path.is_file():
                with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
                    yield from _lines(file)
            elif not path.exists() and any(mark in name for mark in "*?["):
                found = False
                for match in sorted(iglob(name, recursive=True)):  # noqa: PTH207 (Path's takes no absolute pattern)
                    found = True
                    yield from self._folder(Path(match)) if Path(match).is_dir() else (Path(match),)
                if not found:
                    raise InputError(f"no file matches {name!r}")
            else:
                yield path

    def _folder(self, folder: Path) -> Iterator[Path]:
        found = False
        for root, folders, files in os.walk(folder):
            folders[:] = sorted(each for each in folders if not each.startswith(".") and each not in _SYSTEM)
            for name in sorted(each for each in files if not each.startswith(".")):
                path = Path(root, name)
                if path.suffix.lower() in EXTENSIONS or _looks(path):
                    found = True
                    yield path
                else:
                    self.passed_over.append(path)
        if not found:
            raise InputError(f"no images in {str(folder)!r}")


def _looks(path: Path) -> bool:
    """Whether a file begins as images do."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return True  # it is named among those that cannot be read
    return head.startswith(_HEADS) or head[8:12] == b"WEBP" or head[4:8] == b"ftyp"


def _lines(lines: Iterable[str]) -> Iterator[Path]:
    for line in lines:
        text = line.strip("\r\n")
        if len(text) > _LONGEST or "\0" in text:
            raise InputError(f"a list of images has one path per line; this is none: {text[:40]!r}…")
        if text:
            yield Path(text)
