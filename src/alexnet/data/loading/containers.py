"""What an image file is by its content, and small faults around the pixels that every viewer overlooks."""

import zlib
from collections.abc import Iterator

from PIL import features

try:
    import simplejpeg as jpeg
except ImportError:  # it has no wheel for this machine: Pillow alone gives the same pixels
    jpeg = None

_BUILT = {"AVIF": "avif", "JPEG2000": "jpg_2000"}  # formats that Pillow may have been built without
FORMATS = (
    "PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM",
    *(name for name, feature in _BUILT.items() if features.check(feature)),
)  # fmt: skip
"""What is read, by Pillow's names."""
NAMES = {"WEBP": "WebP", "JPEG2000": "JPEG 2000", "PPM": "Netpbm"}
READ = ", ".join(NAMES.get(name, name) for name in FORMATS)
"""The same for people."""
HEAD = 132
"""Bytes that `kind_of` looks at."""

_PNG = b"\x89PNG\r\n\x1a\n"
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, _PNG, "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (8, b"WEBP", "WEBP"),
    (0, b"BM", "BMP"),
    (0, b"GIF8", "GIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (4, b"jP  \r\n\x87\n", "JPEG2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG2000"),
    *((0, b"P%d%c" % (number, space), "PPM") for number in range(1, 7) for space in b"\n \r\t"),
    *((4, b"ftyp" + brand, "HEIC") for brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1")),
    (4, b"JXL \r\n\x87\n", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"8BPS", "Photoshop"),
    (0, b"v/1\x01", "OpenEXR"),
    (128, b"DICM", "DICOM"),
    (0, b"#?RADIANCE", "Radiance"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"<svg", "SVG"),
)
_KEPT = (b"tRNS",)  # the only chunk beside the critical ones that decides how pixels look
_MAX_TEXT = 2**18  # bytes that a chunk of text may unpack to, and of all chunks that are kept


def kind_of(content: bytes) -> str | None:
    """The format of an image file by its first HEAD bytes, one of FORMATS or another by its name; None: no image."""
    content = _begun(content)
    found = (name for place, mark, name in _SIGNATURES if content.startswith(mark, place))
    kind = next(found, None)
    if kind == "BMP" and content[6:10] != bytes(4):  # two letters are few: the reserved bytes are zero
        return None
    return kind


def cleaned(content: bytes) -> bytes:
    """An image file without what stands in the way of its pixels.

    Line ends before its first byte (a text download), of a PNG the ancillary chunks that are damaged or large, of a
    JPEG a missing end marker, where everything before it is there. Any other content is given back as it is.
    """
    content = _begun(content)
    if content.startswith(_PNG):
        return _without_ancillary(content)
    if content.startswith(b"\xff\xd8") and jpeg is not None and not content.endswith(b"\xff\xd9"):
        ended = content.rstrip(b"\0\r\n ")
        if not ended.endswith(b"\xff\xd9"):
            ended += b"\xff\xd9"
            try:  # strict: a file of which more is missing than its end is still refused
                jpeg.decode_jpeg(ended, "GRAY")
            except ValueError:
                return content
            return ended
    return content


def _begun(content: bytes) -> bytes:
    if content[:1] in b"\r\n \t" and content:
        begun = content.lstrip(b"\r\n \t")
        if len(content) - len(begun) <= 16:
            return begun
    return content


def _chunks(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(begin, end, type) of a PNG's chunks, as far as they are whole."""
    at = len(_PNG)
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        if end > len(content):
            return
        yield at, end, content[at + 4 : at + 8]
        at = end


def _without_ancillary(content: bytes) -> bytes:
    kept = 0
    dropped: list[tuple[int, int]] = []
    for begin, end, kind in _chunks(content):
        if not kind[0] & 0x20 or kind in _KEPT:  # critical: Pillow checks it
            continue
        data = content[begin + 8 : min(end - 4, begin + 8 + _MAX_TEXT)]
        size = end - begin - 12
        sound = size <= _MAX_TEXT and zlib.crc32(kind + data) == int.from_bytes(content[end - 4 : end], "big")
        if kind in (b"zTXt", b"iTXt", b"iCCP") and sound:
            sound = kind != b"iCCP" and _unpacked(data) <= _MAX_TEXT
        kept += size if sound else 0
        if not sound or kept > 4 * _MAX_TEXT:
            dropped.append((begin, end))
    if not dropped:
        return content
    pieces, at = [], 0
    for begin, end in dropped:
        pieces.append(content[at:begin])
        at = end
    return b"".join([*pieces, content[at:]])


def _unpacked(data: bytes) -> int:
    """Bytes that a text chunk unpacks to, at most one more than _MAX_TEXT; where it is not packed, its own."""
    start = data.find(b"\x78")  # the first byte of a zlib stream
    while 0 <= start < len(data):
        try:
            return len(zlib.decompressobj().decompress(data[start:], _MAX_TEXT + 1))
        except zlib.error:
            start = data.find(b"\x78", start + 1)
            if start > 2000:  # behind any keyword
                break
    return len(data)
