"""What turns a picture into a network's input. It travels with the weights: in the catalog, in cards, in exports."""

import hashlib
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np

from alexnet.errors import InputError

FITS = ("crop", "squash")
COLOURS = ("RGB", "BGR", "L")


@dataclass(frozen=True)
class MeanPicture:
    """The mean of the training pictures, pixel by pixel; equal when all pixels are."""

    pixels: np.ndarray = field(compare=False, repr=False)
    """float32 height × width × channels, after scaling, in the order of `colours`.

    At the network's size it is subtracted from every crop as it is (2012). A larger one is the mean of the pictures as
    they are stored: from each pixel its own mean is subtracted, wherever the crop was taken and also when it is
    mirrored (Caffe's mean_file, data_transformer.cpp).
    """
    sha256: str = field(init=False)
    """Of the shape and the pixels: what a card says of it."""

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.float32 or self.pixels.ndim != 3 or not np.isfinite(self.pixels).all():
            raise InputError("preprocessing: a mean picture is height × width × channels of finite float32 numbers")
        content = f"{self.pixels.shape}".encode() + self.pixels.astype("<f4").tobytes()
        object.__setattr__(self, "sha256", hashlib.sha256(content).hexdigest())


@dataclass(frozen=True)
class Preprocessing:
    """Picture (uint8, height × width × channels, 0–255) → network input (float32, channels × height × width).

    input = (scale · pixel − mean) / std per channel, after resizing and cropping.
    """

    size: tuple[int, int]
    """Height and width that the network takes, in pixels."""
    resize: int | None = None
    """Short side in pixels before the crop; None: the size itself."""
    fit: str = "crop"
    """'crop' keeps the aspect ratio (short side to `resize`, then the centre); 'squash' does not."""
    colours: str = "RGB"
    """Channel order of the input: RGB, BGR (Caffe) or L (gray)."""
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    """Per channel in the order of `colours`, after scaling; one number serves all channels."""
    std: tuple[float, ...] = (1.0,)
    mean_picture: MeanPicture | None = None
    """A mean for each pixel, which is subtracted in place of `mean` (its mean); None: `mean` alone."""

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise InputError(f"preprocessing: fit is {self.fit!r}; choose one of: {', '.join(FITS)}")
        if self.colours not in COLOURS:
            raise InputError(f"preprocessing: colours is {self.colours!r}; choose one of: {', '.join(COLOURS)}")
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in (1, self.channels):
                raise InputError(
                    f"preprocessing: {name} has {len(getattr(self, name))} numbers for {self.channels} channels"
                )
        if min(self.std) <= 0:
            raise InputError(f"preprocessing: std must be above 0, not {min(self.std)}")
        if self.mean_picture:
            shape = height, width, channels = self.mean_picture.pixels.shape
            if height < self.size[0] or width < self.size[1] or channels != self.channels:
                raise InputError(
                    f"preprocessing: the mean picture is {shape}, the network takes {(*self.size, self.channels)}"
                )

    @property
    def channels(self) -> int:
        return len(self.colours)

    @property
    def mean_by_place(self) -> bool:
        """Whether the mean picture is that of the stored pictures, so that its part depends on the crop."""
        return self.mean_picture is not None and self.mean_picture.pixels.shape[:2] != tuple(self.size)

    def to_json(self) -> dict[str, Any]:
        """For a card. Of a mean picture it gives the SHA-256: the picture itself is a file beside the card."""
        content = {each.name: getattr(self, each.name) for each in fields(self)}
        picture = content.pop("mean_picture")
        return content | ({"mean_picture": picture.sha256} if picture else {})

    @classmethod
    def from_json(cls, content: dict[str, Any], mean_picture: MeanPicture | None = None) -> Self:
        """What `to_json` gave. Raises InputError when it names another mean picture than the one that is given."""
        values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in content.items()}
        if values.pop("mean_picture", None) != (mean_picture.sha256 if mean_picture else None):
            raise InputError("the mean picture is not the one that the card names")
        return cls(**values, mean_picture=mean_picture)
