"""One image file, looked at once: what it is, whether it can be read, and what tells it from others."""

import hashlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from PIL import ExifTags, Image

from alexnet.data.loading.decode import DecodeError, decode

SMALL = 64  # pixels of the side at which an image is looked at
SIDE = 16  # of the thumbnail that near duplicates are compared by
TINY = 16  # pixels of the short side below which nothing is left to see in an image of a photograph's kind
HUGE = 50_000_000  # pixels
SLENDER = 5.0  # times as long as wide: most of it is lost in a square crop
FLAT = 1.5  # standard deviation in gray levels below which an image is one color
_SUFFIXES = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "WEBP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif", ".avifs"),
    "JPEG2000": (".jp2", ".j2k", ".jpx"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
_SIXTEEN = ("I", "I;16", "I;16B", "I;16L", "F")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at an image found. About 600 bytes: a hundred thousand of them stay in memory."""

    digest: bytes
    """SHA-256 of the file's content, or of the pixels of an image that is no file; empty: not read."""
    problems: tuple[tuple[str, str], ...] = ()
    """(kind, detail)"""
    size: tuple[int, int] = (0, 0)
    """(height, width) in pixels; (0, 0): not known."""
    mode: str = ""
    """'gray' or 'color', as stored; empty: not known."""
    hash: bytes = b""
    """128 bits: which neighbor is brighter, by rows and by columns, on 8 × 8 places; empty: unreadable."""
    thumbnail: bytes = b""
    """SIDE × SIDE gray levels."""


Look = tuple[Seen, np.ndarray | None]
"""What is known at once, and the image as uint8 SMALL × SMALL × 3, from which `described` makes the rest."""


def look(name: str, content: bytes) -> Look:
    """Looks at the content of an image file called `name`."""
    digest = hashlib.sha256(content).digest()
    header = _header(content)
    try:
        small = decode(content, channels=3, size=(SMALL, SMALL), fit="squash")
    except DecodeError as error:
        kind = "damaged" if header.format or begins_like_an_image(content) else "not an image"
        return Seen(digest, ((kind, error.reason),), header.size), None
    problems = [*_named(name, header.format), *header.problems, *_shaped(header.size)]
    return Seen(digest, tuple(problems), header.size, "gray" if header.gray else "color"), small


def begins_like_an_image(content: bytes) -> bool:
    return content.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*"))


def unreadable(reason: str) -> Look:
    """A file that could not be opened at all."""
    return Seen(b"", (("empty file" if "empty" in reason else "damaged", reason),)), None


def described(looks: Sequence[Look]) -> list[Seen]:
    """The looks with what is computed from pixels, many at a time."""
    images = [small for _, small in looks if small is not None]
    if not images:
        return [seen for seen, _ in looks]
    pixels = np.stack(images).astype(np.float32)
    gray = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    flat = [
        spread < FLAT and np.ptp(each, (0, 1)).max() < 8 for spread, each in zip(gray.std((1, 2)), pixels, strict=True)
    ]
    cell = SMALL // SIDE
    thumbnails = gray.reshape(-1, SIDE, cell, SIDE, cell).mean((2, 4)).round().astype(np.uint8)
    hashes = _hashes(gray)
    found, row = [], 0
    for seen, small in looks:
        if small is None:
            found.append(seen)
            continue
        blank = (("one color", "every pixel is nearly the same"),) if flat[row] else ()
        found.append(
            replace(
                seen,
                problems=(*seen.problems, *blank),
                hash=hashes[row].tobytes(),
                thumbnail=thumbnails[row].tobytes(),
            )
        )
        row += 1
    return found


@dataclass(frozen=True)
class _Header:
    format: str | None = None
    size: tuple[int, int] = (0, 0)
    gray: bool = False
    problems: tuple[tuple[str, str], ...] = ()


def _header(content: bytes) -> _Header:
    """What an image says of itself, without its pixels."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(content))
            turned = image.getexif().get(ExifTags.Base.Orientation, 1)
            frames = getattr(image, "n_frames", 1)
    except Exception:  # whatever is broken, decoding says so
        return _Header()
    problems = []
    if image.mode == "CMYK":
        problems.append(("CMYK", "four inks, converted to RGB"))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        problems.append(("transparency", "is laid on white"))
    if image.mode in _SIXTEEN:
        problems.append(("more than 8 bits", f"mode {image.mode}"))
    if turned in range(2, 9):
        problems.append(("rotated by EXIF", f"orientation {turned}"))
    if frames > 1 and image.format != "MPO":
        problems.append(("animated", f"{frames} frames; the first is read"))
    gray = image.mode in ("1", "L", "LA", "La", *_SIXTEEN)
    return _Header(image.format, (image.height, image.width), gray, tuple(problems))


def _named(name: str, found: str | None) -> list[tuple[str, str]]:
    """Whether a file's name says what it is."""
    suffix = PurePosixPath(name).suffix.lower()
    if found is None or suffix in _SUFFIXES.get(found, (suffix,)):
        return []
    return [("wrong extension", f"{found} in a file named {suffix or 'without extension'}")]


def _shaped(size: tuple[int, int]) -> list[tuple[str, str]]:
    """Whether an image's sides are out of the ordinary."""
    height, width = size
    shape = f"{width} × {height} pixels"
    odd = {
        "tiny": min(size) < TINY,
        "huge": height * width > HUGE,
        "slender": max(size) > SLENDER * min(size),
    }
    return [(kind, shape) for kind, so in odd.items() if so]


def _hashes(gray: np.ndarray) -> np.ndarray:
    """Of n × 64 × 64 gray levels, uint8 n × 16: the signs of differences between neighbors (dHash, both ways)."""
    cells = gray[:, :, :63].reshape(-1, 8, 8, 9, 7).mean((2, 4))
    rows = cells[:, :, 1:] > cells[:, :, :-1]
    cells = gray[:, :63].reshape(-1, 9, 7, 8, 8).mean((2, 4))
    columns = cells[:, 1:] > cells[:, :-1]
    return np.packbits(np.concatenate([rows.reshape(-1, 64), columns.reshape(-1, 64)], 1), axis=1)
