"""The one decoder: an image file, of any kind that is accepted, to uint8 height × width × channels.

Training, evaluation, prediction and serving all decode here, so that an image looks the same to each of them:
EXIF rotation is applied, samples of more than 8 bits become 8 bits (see `samples`), transparency is laid on white, CMYK
(Adobe's inverted form too) becomes RGB as Pillow converts it, of an animation the first frame counts, gray is luma
(ITU-R 601), and resizing is antialiased bilinear. A large JPEG is first reduced inside its own decoder to no less than
twice the size asked for, everywhere alike. What an image takes in memory is counted before it is decoded.
"""

import io
import os
import stat
import threading
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError
from torch.nn import functional

from alexnet.data.loading.containers import FORMATS, NAMES, READ, cleaned, jpeg, kind_of
from alexnet.data.loading.memory import DECODING
from alexnet.data.loading.samples import DEEP, Range, eight_bits
from alexnet.errors import InputError
from alexnet.preprocessing import FITS, Preprocessing

EXTENSIONS = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif")
MAX_PIXELS = 89_478_485
"""The largest image that is decoded: 256 MiB as RGB, which is also where Pillow starts to suspect a bomb. A JPEG that
its decoder reduces may have twice as many."""
MAX_BYTES = 256 * 2**20
"""The largest image file that is read."""
_STRIP = 2**21  # pixels that are converted at a time

_COLORS = {"YCbCr": "RGB", "RGB": "RGB", "Gray": "GRAY"}  # stored → decoded; others, such as CMYK, are Pillow's
_MARKS = (b"Exif\0", b"Orientation", b"MPF\0")  # of segments that may turn a JPEG, or make several of it
_SCAN = 0xDA  # the segment after which pixels follow
_STORED = {"1": 1, "L": 1, "P": 1, "LA": 4, "I;16": 2, "I;16B": 2}  # bytes a pixel in Pillow's memory; others 4
_EXTRA = {"WEBP": 16, "AVIF": 16, "JPEG2000": 24, "TIFF": 8, "GIF": 4}  # what the format's own decoder takes
_REDUCED_IMAGE, _DNG_VERSION = 254, 50706  # TIFF tags: of a camera's raw file, Pillow would read the preview
_quiet = threading.Lock()  # the warning filters are shared by all threads, so only one may change them at a time


class DecodeError(InputError):
    """An image that cannot be read; `reason` says why in a few words, the text also says which."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)  # both, so that it can be sent to another process
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.reason}"


def decode(
    source: Path | bytes,
    channels: int = 3,
    size: tuple[int, int] | None = None,
    fit: str = "crop",
    antialias: bool = True,
    samples: Range | None = None,
) -> np.ndarray:
    """An image file, or its content, as uint8 height × width × channels (1: gray, 3: RGB).

    `size` is (height, width) of the result; None keeps the image's own. `fit` 'crop' scales the image until it
    covers the size and takes its center; 'squash' does not keep the aspect ratio. Without `antialias` each pixel is
    interpolated from the four nearest, however much the image shrinks. `samples`: the range of deep samples that
    becomes 0–255. Raises DecodeError.
    """
    name = "image" if isinstance(source, bytes) else str(source)
    content = source if isinstance(source, bytes) else read(source)
    try:
        return _decoded(content, channels, size, fit, antialias, samples)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise DecodeError(name, _unidentified(content)) from error
    except Image.DecompressionBombError as error:
        raise DecodeError(name, f"more than {MAX_PIXELS:,} pixels") from error
    except Exception as error:  # broken content makes Pillow raise nearly anything: OSError, SyntaxError, struct.error
        if isinstance(error, MemoryError) and str(error):
            raise DecodeError(name, str(error)) from error
        raise DecodeError(
            name, f"cut short or damaged ({(str(error) or type(error).__name__).splitlines()[0]})"
        ) from error


def prepare(source: Path | bytes, preprocessing: Preprocessing) -> np.ndarray:
    """An image file, or its content, as `Augmenter.evaluate` takes it for a network with this preprocessing."""
    channels = 1 if preprocessing.colors == "L" else 3
    size = stored_size(preprocessing.size, preprocessing.resize)
    return decode(source, channels, size, preprocessing.fit, preprocessing.antialias, preprocessing.samples)


def stored_size(size: tuple[int, int], resize: int | None) -> tuple[int, int]:
    """(height, width) at which images are kept for a network of this size: its short side is `resize`, if given.

    What exceeds the network's size is room for the random crop in training and cut off in evaluation.
    """
    if resize is None:
        return size
    if resize < min(size):
        raise InputError(f"resize is {resize}, less than the network's input of {size[0]}×{size[1]}")
    return round(size[0] * resize / min(size)), round(size[1] * resize / min(size))


def refit(image: np.ndarray, channels: int, size: tuple[int, int], fit: str, antialias: bool = True) -> np.ndarray:
    """A decoded image (uint8 H×W×C) with other channels and size, by the decoder's own rules."""
    return _fitted(_array(image, channels), size, fit, antialias)


CHANGED = "was changed or replaced since it was opened"


def stamp(found: os.stat_result) -> tuple[int, int]:
    """By which a file that was changed is told: its bytes and when it was written, in nanoseconds."""
    return found.st_size, found.st_mtime_ns


def read(path: Path, stamped: tuple[int, int] | None = None) -> bytes:
    """The content of an image file; a DecodeError when it is missing, empty, too large or no regular file.

    stamped: its `stamp` when it was listed; DecodeError for another one.
    """
    try:
        found = path.stat()
        if stamped is not None and stamp(found) != stamped:
            raise DecodeError(str(path), CHANGED)
        if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for
            raise DecodeError(str(path), "not a file")
        if found.st_size > MAX_BYTES:
            raise DecodeError(str(path), f"a file of more than {MAX_BYTES >> 20} MiB")
        with open(path, "rb", buffering=0) as file:
            content = file.read(found.st_size)
    except FileNotFoundError as error:
        raise DecodeError(str(path), "no such file") from error
    except OSError as error:
        raise DecodeError(str(path), f"cannot be read ({error.strerror})") from error
    if not content:
        raise DecodeError(str(path), "an empty file")
    return content


def opened(content: bytes) -> Image.Image:
    """The image of a file's content, its pixels not yet decoded. Raises what Pillow raises."""
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Image.open(io.BytesIO(content), formats=FORMATS)


def extremes_of(content: bytes) -> tuple[float, float, bool] | None:
    """The lowest and highest sample of an image with more than 8 bits each, and whether they are floats; else None.

    Raises DecodeError.
    """
    try:
        image = opened(cleaned(content))
        pixels = image.width * image.height
        if not image.mode.startswith(DEEP):
            return None
        if pixels > MAX_PIXELS:
            raise Image.DecompressionBombError
        with DECODING.held(_cost(image, pixels)):
            _load(image)
            array = np.asarray(image)
            found = array[np.isfinite(array)] if array.dtype.kind == "f" else array
            return (float(found.min()), float(found.max()), array.dtype.kind == "f") if found.size else None
    except Exception as error:  # as in `decode`, which says what is wrong
        raise DecodeError("image", "cut short or damaged") from error


def _decoded(
    content: bytes, channels: int, size: tuple[int, int] | None, fit: str, antialias: bool, samples: Range | None
) -> np.ndarray:
    content = cleaned(content)
    least = _least(size) if size and antialias else None  # reduced by the JPEG decoder is antialiased
    plain = _plain_jpeg_size(content, least)
    if plain:
        with DECODING.held(9 * plain[0] * plain[1]):
            if (array := _plain_jpeg(content)) is not None:
                return _fitted(_array(array, channels), size, fit, antialias)
    image = opened(content)
    original = image.width * image.height
    if least:
        image.draft(None, least)
    if image.width * image.height > MAX_PIXELS or original > 2 * MAX_PIXELS:
        raise Image.DecompressionBombError
    with DECODING.held(_cost(image, original)):
        array = _pixels(image, channels, samples)
        turns = _orientation(image)
        del image  # its memory is counted no more than once
        return _fitted(_upright(array, turns), size, fit, antialias)


def _cost(image: Image.Image, original: int) -> int:
    """Bytes that it takes to decode an image, the result included."""
    kind = image.format or ""
    pixels = image.width * image.height
    cost = pixels * (_STORED.get(image.mode, 4) + _EXTRA.get(kind, 0) + 3)
    if image.info.get("progressive"):
        cost += 6 * original  # all coefficients are held, reduced or not
    if tags := getattr(image, "tag_v2", None):
        if tags.get(_REDUCED_IMAGE, 0) & 1 or _DNG_VERSION in tags:
            raise UnidentifiedImageError
        width, height = (int(tags.get(tag, 0)) for tag in (322, 323))  # of a tile, which is unpacked whole
        cost += width * height * 16
    return cost


def _unidentified(content: bytes) -> str:
    kind = kind_of(content[:200])
    if kind in FORMATS and kind != "TIFF":
        return f"cut short or damaged ({NAMES.get(kind, kind)})"
    if kind == "TIFF":
        return "a TIFF or a camera's raw file that is not read; convert it to PNG or JPEG"
    return f"a {kind} image, which is not read; convert it to PNG or JPEG" if kind else f"not an image ({READ})"


def _least(size: tuple[int, int]) -> tuple[int, int]:
    """What a JPEG's own decoder may reduce to; both sides alike, for the rotation is not known yet."""
    return 2 * max(size), 2 * max(size)


def _plain_jpeg_size(content: bytes, least: tuple[int, int] | None) -> tuple[int, int] | None:
    """(height, width) of a JPEG that needs neither turning nor reducing; None: Pillow must see to it."""
    if jpeg is None or not content.startswith(b"\xff\xd8"):
        return None
    try:
        place = 2
        while content[place + 1] != _SCAN:
            length = int.from_bytes(content[place + 2 : place + 4], "big")
            if content[place] != 0xFF or any(mark in content[place : place + length] for mark in _MARKS):
                return None
            place += 2 + length
        header = jpeg.decode_jpeg_header(content)
    except (ValueError, IndexError):  # whatever is odd about it, Pillow says whether it can be read
        return None
    height, width, colors = int(header[0]), int(header[1]), header[2]
    reduced = least and min(width // least[0], height // least[1]) >= 2
    return None if colors not in _COLORS or reduced or height * width > MAX_PIXELS else (height, width)


def _plain_jpeg(content: bytes) -> np.ndarray | None:
    """Such a JPEG, uint8 H×W×C; None: Pillow must see to it.

    The same pixels as Pillow's (both use libjpeg-turbo) in 60 % of the time: Pillow keeps four bytes a pixel, and
    copies them.
    """
    try:
        return jpeg.decode_jpeg(content, _COLORS[jpeg.decode_jpeg_header(content)[2]])  # pyright: ignore
    except (ValueError, IndexError):
        return None


def _orientation(image: Image.Image) -> int:
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a corrupt EXIF block does not make the pixels unreadable
        return image.getexif().get(ExifTags.Base.Orientation, 1)


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """H×W×C as it is to be shown, by EXIF's number from 1 to 8."""
    if orientation in (5, 6, 7, 8):
        array = array.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def _load(image: Image.Image) -> None:
    """Decodes the pixels. Of a TIFF, Pillow reads more tags then, and may warn of them: one at a time, and quietly."""
    if image.format != "TIFF":
        image.load()
        return
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image.load()


def _pixels(image: Image.Image, channels: int, samples: Range | None) -> np.ndarray:
    """uint8 H×W×`channels` of any mode that the accepted formats have, converted a strip at a time."""
    _load(image)
    out = np.empty((image.height, image.width, channels), np.uint8)
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        strip = image if rows >= image.height else image.crop((0, top, image.width, min(image.height, top + rows)))
        flat = _flat(strip, samples).convert("L" if channels == 1 else "RGB")
        out[top : top + rows] = np.asarray(flat).reshape(flat.height, flat.width, channels)
    return out


def _flat(image: Image.Image, samples: Range | None) -> Image.Image:
    """Mode L or RGB."""
    if image.mode == "RGB" and "transparency" not in image.info:  # nearly every image, and convert() would copy it
        return image
    if image.mode.startswith(DEEP):
        image = Image.fromarray(eight_bits(np.asarray(image), samples))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode in ("L", "1"):
        return image.convert("L")
    return image.convert("RGB")


def _array(image: np.ndarray, channels: int) -> np.ndarray:
    """uint8 H×W×`channels`."""
    if image.shape[2] == channels:
        return image
    other = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    return np.array(other.convert("L" if channels == 1 else "RGB")).reshape(*image.shape[:2], channels)


def _fitted(image: np.ndarray, size: tuple[int, int] | None, fit: str, antialias: bool) -> np.ndarray:
    """An image, uint8 H×W×C, cut and resized; torch's resizing is Pillow's, four times as fast."""
    height, width = image.shape[:2]
    if size is None or size == (height, width):
        return np.ascontiguousarray(image)
    if fit not in FITS:
        raise InputError(f"fit is {fit!r}; choose one of: {', '.join(FITS)}")
    if fit == "crop":
        scale = min(height / size[0], width / size[1])
        rows, columns = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        top, left = (height - rows) // 2, (width - columns) // 2
        image = image[top : top + rows, left : left + columns]
    # A whole array in the order that torch calls channels_last is resized in one thread, this one; anything else is
    # copied first by all of torch's threads, which here stand in each other's way. (And every call of torch hands over
    # Python's lock: the arranging is left to NumPy.)
    batch = np.ascontiguousarray(image).reshape(1, *image.shape).transpose(0, 3, 1, 2)
    resized = functional.interpolate(torch.from_numpy(batch), size, mode="bilinear", antialias=antialias)
    return np.ascontiguousarray(resized.numpy()[0].transpose(1, 2, 0))
