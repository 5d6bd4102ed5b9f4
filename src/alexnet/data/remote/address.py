"""Addresses of packed shards that lie elsewhere: https://HOST/FOLDER/, s3://BUCKET/FOLDER/, whatever fsspec knows."""

import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from alexnet.data.download import shown
from alexnet.errors import InputError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}")
INDEX = "index.json"
MAX_INDEX = 2**24
"""Bytes of the largest index, or list of a shard, that is read: one of 10,000 images has some two million."""


def is_url(data: object) -> bool:
    """Whether it is an address, and no path: a string that begins with https://, s3:// or the like."""
    return isinstance(data, str) and _URL.match(data) is not None


def recorded(data: Path | str) -> str:
    """How a run records where its images are: an absolute path, or an address without what is secret in it."""
    return shown(str(data)) if is_url(data) else str(Path(data).absolute())


@dataclass(frozen=True)
class Address:
    """A folder of shards elsewhere, by an address that may hold a password or a signature: never print `text`."""

    text: str

    @classmethod
    def parsed(cls, text: str) -> "Address":
        """Of a folder or its index.json. Raises InputError for what is no address of a folder."""
        scheme, _, rest = text.partition("://")
        told = shown(text)
        if not text.isascii() or not text.isprintable() or " " in text or "::" in text or len(text) > 4000:
            raise InputError(
                f"{told[:200]!r} is no address: write characters other than ASCII letters as %20 or the like"
            )
        if scheme.lower() in ("file", "local"):
            raise InputError(f"{told!r} is on this machine: give --data the folder's path")
        if scheme.lower() in ("http", "https"):
            try:
                parts = urllib.parse.urlsplit(text)
                named = bool(parts.hostname) and parts.port != 0
            except ValueError:
                named = False
            if not named:
                raise InputError(f"{told!r} names no host; an address is such as https://HOST/FOLDER/")
            text = f"{scheme.lower()}://{rest}"
        elif not rest.strip("/"):
            raise InputError(f"{told!r} names no folder; an address is such as s3://BUCKET/FOLDER/")
        return cls(text)

    @property
    def is_web(self) -> bool:
        return self.text.startswith(("http://", "https://"))

    @property
    def shown(self) -> str:
        return shown(self.text)

    def joined(self, name: str) -> str:
        """The address of a file in the folder, with the same password and signature."""
        if self.is_web:
            parts = urllib.parse.urlsplit(self.text)
            return urllib.parse.urlunsplit(parts._replace(path=f"{_folder(parts.path)}/{name}", fragment=""))
        return f"{_folder(self.text)}/{name}"


def _folder(path: str) -> str:
    return path.removesuffix(INDEX).rstrip("/")


def plain(name: object, kind: str) -> str:
    """`name` if it is a file name of this kind in the folder itself, such as train-000000.tar. Raises ValueError."""
    if not isinstance(name, str) or not _PLAIN.fullmatch(name) or not name.endswith(kind):
        raise ValueError(f"{name!r:.100} is no plain name of a {kind} file")
    return name
