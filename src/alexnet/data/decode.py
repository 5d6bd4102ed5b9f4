"""The one decoder: a picture file, of any kind that is accepted, to uint8 height × width × channels.

Training, evaluation, prediction and serving all decode here, so that a picture looks the same to each of them:
EXIF rotation is applied, 16-bit samples become 8-bit by dropping the low byte, transparency is laid on white, CMYK
(Adobe's inverted form too) becomes RGB as Pillow converts it, of an animation the first frame counts, gray is luma
(ITU-R 601), and resizing is Pillow's antialiased bilinear. A large JPEG is first reduced inside its own decoder to no
less than twice the size asked for, everywhere alike.
"""

import io
import threading
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from alexnet.errors import InputError
from alexnet.preprocessing import FITS, Preprocessing

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
EXTENSIONS = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif")
MAX_PIXELS = 89_478_485
"""The largest picture that is decoded: 256 MiB as RGB, which is also where Pillow starts to suspect a bomb."""
MAX_BYTES = 256 * 2**20
"""The largest picture file that is read."""

_quiet = threading.Lock()  # the warning filters are shared by all threads, so only one may change them at a time


class DecodeError(InputError):
    """A picture that cannot be read; `reason` says why in a few words, the text also says which."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.reason = reason


def decode(
    source: Path | bytes, channels: int = 3, size: tuple[int, int] | None = None, fit: str = "crop"
) -> np.ndarray:
    """A picture file, or its content, as uint8 height × width × channels (1: gray, 3: RGB).

    `size` is (height, width) of the result; None keeps the picture's own. `fit` 'crop' scales the picture until it
    covers the size and takes its centre; 'squash' does not keep the aspect ratio. Raises DecodeError.
    """
    name = "picture" if isinstance(source, bytes) else str(source)
    try:
        content = source if isinstance(source, bytes) else read(source)
        return _fitted(_flat(_load(content, size)), channels, size, fit)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise DecodeError(name, "not a picture (PNG, JPEG, WebP, BMP or GIF)") from error
    except Image.DecompressionBombError as error:
        raise DecodeError(name, f"more than {MAX_PIXELS:,} pixels") from error
    except Exception as error:  # broken content makes Pillow raise nearly anything: OSError, SyntaxError, struct.error
        raise DecodeError(
            name, f"cut short or damaged ({(str(error) or type(error).__name__).splitlines()[0]})"
        ) from error


def prepare(source: Path | bytes, preprocessing: Preprocessing) -> np.ndarray:
    """A picture file, or its content, as `Augmenter.evaluate` takes it for a network with this preprocessing."""
    channels = 1 if preprocessing.colours == "L" else 3
    return decode(source, channels, stored_size(preprocessing.size, preprocessing.resize), preprocessing.fit)


def stored_size(size: tuple[int, int], resize: int | None) -> tuple[int, int]:
    """(height, width) at which pictures are kept for a network of this size: its short side is `resize`, if given.

    What exceeds the network's size is room for the random crop in training and cut off in evaluation.
    """
    if resize is None:
        return size
    if resize < min(size):
        raise InputError(f"resize is {resize}, less than the network's input of {size[0]}×{size[1]}")
    return round(size[0] * resize / min(size)), round(size[1] * resize / min(size))


def refit(picture: np.ndarray, channels: int, size: tuple[int, int], fit: str) -> np.ndarray:
    """A decoded picture (uint8 H×W×C) with other channels and size, by the decoder's own rules."""
    image = Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
    return _fitted(image, channels, size, fit)


def read(path: Path) -> bytes:
    """The content of a picture file; a DecodeError when it is missing, empty, too large or no regular file."""
    if not path.is_file():
        raise DecodeError(str(path), "not a file" if path.exists() else "no such file")
    if path.stat().st_size > MAX_BYTES:
        raise DecodeError(str(path), f"a file of more than {MAX_BYTES >> 20} MiB")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DecodeError(str(path), f"cannot be read ({error.strerror})") from error
    if not content:
        raise DecodeError(str(path), "an empty file")
    return content


def _load(content: bytes, size: tuple[int, int] | None) -> Image.Image:
    """The upright first frame. Decoding itself runs outside the lock: it is the slow part and frees Python's own."""
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    if size:
        image.draft(None, (2 * max(size), 2 * max(size)))  # both sides alike: the rotation is not known yet
    image.load()
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a corrupt EXIF block does not make the pixels unreadable
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image


def _flat(image: Image.Image) -> Image.Image:
    """Mode L or RGB, from any mode that the accepted formats have."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode in ("L", "1"):
        return image.convert("L")
    return image.convert("RGB")


def _fitted(image: Image.Image, channels: int, size: tuple[int, int] | None, fit: str) -> np.ndarray:
    image = image.convert({1: "L", 3: "RGB"}[channels])
    if size and size != (image.height, image.width):
        height, width = size
        box = (0.0, 0.0, float(image.width), float(image.height))
        if fit not in FITS:
            raise InputError(f"fit is {fit!r}; choose one of: {', '.join(FITS)}")
        if fit == "crop":
            scale = min(image.width / width, image.height / height)
            left, top = (image.width - width * scale) / 2, (image.height - height * scale) / 2
            box = (left, top, left + width * scale, top + height * scale)
        image = image.resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.array(image).reshape(image.height, image.width, channels)
