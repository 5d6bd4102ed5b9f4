"""The one decoder: an image file, of any kind that is accepted, to uint8 height × width × channels.

Training, evaluation, prediction and serving all decode here, so that an image looks the same to each of them:
EXIF rotation is applied, 16-bit samples become 8-bit by dropping the low byte, transparency is laid on white, CMYK
(Adobe's inverted form too) becomes RGB as Pillow converts it, of an animation the first frame counts, gray is luma
(ITU-R 601), and resizing is antialiased bilinear. A large JPEG is first reduced inside its own decoder to no less than
twice the size asked for, everywhere alike.
"""

import io
import stat
import threading
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch.nn import functional

from alexnet.errors import InputError
from alexnet.preprocessing import FITS, Preprocessing

try:
    import simplejpeg as jpeg
except ImportError:  # it has no wheel for this machine: Pillow alone gives the same pixels
    jpeg = None

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
EXTENSIONS = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif")
MAX_PIXELS = 89_478_485
"""The largest image that is decoded: 256 MiB as RGB, which is also where Pillow starts to suspect a bomb."""
MAX_BYTES = 256 * 2**20
"""The largest image file that is read."""

_COLORS = {"YCbCr": "RGB", "RGB": "RGB", "Gray": "GRAY"}  # stored → decoded; others, such as CMYK, are Pillow's
_MARKS = (b"Exif\0", b"Orientation", b"MPF\0")  # of segments that may turn a JPEG, or make several of it
_SCAN = 0xDA  # the segment after which pixels follow
_quiet = threading.Lock()  # the warning filters are shared by all threads, so only one may change them at a time


class DecodeError(InputError):
    """An image that cannot be read; `reason` says why in a few words, the text also says which."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)  # both, so that it can be sent to another process
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.reason}"


def decode(
    source: Path | bytes, channels: int = 3, size: tuple[int, int] | None = None, fit: str = "crop"
) -> np.ndarray:
    """An image file, or its content, as uint8 height × width × channels (1: gray, 3: RGB).

    `size` is (height, width) of the result; None keeps the image's own. `fit` 'crop' scales the image until it
    covers the size and takes its center; 'squash' does not keep the aspect ratio. Raises DecodeError.
    """
    name = "image" if isinstance(source, bytes) else str(source)
    try:
        content = source if isinstance(source, bytes) else read(source)
        return _fitted(_array(_flat(_load(content, size)), channels), size, fit)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise DecodeError(name, "not an image (PNG, JPEG, WebP, BMP or GIF)") from error
    except Image.DecompressionBombError as error:
        raise DecodeError(name, f"more than {MAX_PIXELS:,} pixels") from error
    except Exception as error:  # broken content makes Pillow raise nearly anything: OSError, SyntaxError, struct.error
        raise DecodeError(
            name, f"cut short or damaged ({(str(error) or type(error).__name__).splitlines()[0]})"
        ) from error


def prepare(source: Path | bytes, preprocessing: Preprocessing) -> np.ndarray:
    """An image file, or its content, as `Augmenter.evaluate` takes it for a network with this preprocessing."""
    channels = 1 if preprocessing.colors == "L" else 3
    return decode(source, channels, stored_size(preprocessing.size, preprocessing.resize), preprocessing.fit)


def stored_size(size: tuple[int, int], resize: int | None) -> tuple[int, int]:
    """(height, width) at which images are kept for a network of this size: its short side is `resize`, if given.

    What exceeds the network's size is room for the random crop in training and cut off in evaluation.
    """
    if resize is None:
        return size
    if resize < min(size):
        raise InputError(f"resize is {resize}, less than the network's input of {size[0]}×{size[1]}")
    return round(size[0] * resize / min(size)), round(size[1] * resize / min(size))


def refit(image: np.ndarray, channels: int, size: tuple[int, int], fit: str) -> np.ndarray:
    """A decoded image (uint8 H×W×C) with other channels and size, by the decoder's own rules."""
    return _fitted(_array(image, channels), size, fit)


def read(path: Path) -> bytes:
    """The content of an image file; a DecodeError when it is missing, empty, too large or no regular file."""
    try:
        found = path.stat()
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


def _load(content: bytes, size: tuple[int, int] | None) -> Image.Image | np.ndarray:
    """The upright first frame. Decoding runs outside the lock: it is the slow part and frees Python's own."""
    if (array := _plain_jpeg(content, size)) is not None:
        return array
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    if size:
        image.draft(None, _least(size))
    image.load()
    return ImageOps.exif_transpose(image) if _turned(image) else image


def _least(size: tuple[int, int]) -> tuple[int, int]:
    """What a JPEG's own decoder may reduce to; both sides alike, for the rotation is not known yet."""
    return 2 * max(size), 2 * max(size)


def _plain_jpeg(content: bytes, size: tuple[int, int] | None) -> np.ndarray | None:
    """A JPEG that needs neither turning nor reducing, uint8 H×W×C; None: Pillow must see to it.

    The same pixels as Pillow's (both use libjpeg-turbo) in 60 % of the time: Pillow keeps four bytes a pixel, and
    copies them.
    """
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
        height, width, colors = int(header[0]), int(header[1]), header[2]
        reduced = size and min(width // _least(size)[0], height // _least(size)[1]) >= 2
        if colors not in _COLORS or reduced or height * width > MAX_PIXELS:
            return None
        return jpeg.decode_jpeg(content, _COLORS[colors])
    except (ValueError, IndexError):  # whatever is odd about it, Pillow says whether it can be read
        return None


def _turned(image: Image.Image) -> bool:
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a corrupt EXIF block does not make the pixels unreadable
        return image.getexif().get(ExifTags.Base.Orientation, 1) != 1


def _flat(image: Image.Image | np.ndarray) -> Image.Image | np.ndarray:
    """Mode L or RGB, from any mode that the accepted formats have."""
    if isinstance(image, np.ndarray):
        return image
    if image.mode == "RGB" and "transparency" not in image.info:  # nearly every image, and convert() would copy it
        return image
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode in ("L", "1"):
        return image.convert("L")
    return image.convert("RGB")


def _array(image: Image.Image | np.ndarray, channels: int) -> np.ndarray:
    """uint8 H×W×`channels`."""
    if isinstance(image, np.ndarray) and image.shape[2] == channels:
        return image
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    mode = {1: "L", 3: "RGB"}[channels]
    if image.mode != mode:
        image = image.convert(mode)
    return np.array(image).reshape(image.height, image.width, channels)


def _fitted(image: np.ndarray, size: tuple[int, int] | None, fit: str) -> np.ndarray:
    """An image, uint8 H×W×C, cut and resized; torch's resizing is Pillow's, four times as fast."""
    height, width = image.shape[:2]
    if size is None or size == (height, width):
        return image
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
    resized = functional.interpolate(torch.from_numpy(batch), size, mode="bilinear", antialias=True)
    return np.ascontiguousarray(resized.numpy()[0].transpose(1, 2, 0))
