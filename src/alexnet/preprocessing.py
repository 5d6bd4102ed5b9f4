"""What turns an image into a network's input. It travels with the weights: in the catalog, in cards, in exports."""

import hashlib
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from alexnet.errors import InputError

if TYPE_CHECKING:  # the catalog is listed without numpy
    import numpy as np

FITS = ("crop", "squash")
COLORS = ("RGB", "BGR", "L")


@dataclass(frozen=True)
class MeanImage:
    """The mean of the training images, pixel by pixel; equal when all pixels are."""

    pixels: "np.ndarray" = field(compare=False, repr=False)
    """float32 height × width × channels, after scaling, in the order of `colors`.

    At the network's size it is subtracted from every crop as it is (2012). A larger one is the mean of the images as
    they are stored: from each pixel its own mean is subtracted, wherever the crop was taken and also when it is
    mirrored (Caffe's mean_file, data_transformer.cpp).
    """
    sha256: str = field(init=False)
    """Of the shape and the pixels: what a card says of it."""

    def __post_init__(self) -> None:
        import numpy as np

        if self.pixels.dtype != np.float32 or self.pixels.ndim != 3 or not np.isfinite(self.pixels).all():
            raise InputError("preprocessing: a mean image is height × width × channels of finite float32 numbers")
        content = f"{self.pixels.shape}".encode() + self.pixels.astype("<f4").tobytes()
        object.__setattr__(self, "sha256", hashlib.sha256(content).hexdigest())


@dataclass(frozen=True)
class Preprocessing:
    """Image (uint8, height × width × channels, 0–255) → network input (float32, channels × height × width).

    input = (scale · pixel − mean) / std per channel, after resizing and cropping.
    """

    size: tuple[int, int]
    """Height and width that the network takes, in pixels."""
    resize: int | None = None
    """Short side in pixels before the crop; None: the size itself."""
    fit: str = "crop"
    """'crop' keeps the aspect ratio (short side to `resize`, then the center); 'squash' does not."""
    antialias: bool = True
    """Whether resizing averages over what it shrinks; False: bilinear from the four nearest pixels, as OpenCV does."""
    samples: tuple[float, float] | None = None
    """The range of samples of more than 8 bits that becomes 0–255; None: all of 16 bits, of floats 0–1."""
    colors: str = "RGB"
    """Channel order of the input: RGB, BGR (Caffe) or L (gray)."""
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    """Per channel in the order of `colors`, after scaling; one number serves all channels."""
    std: tuple[float, ...] = (1.0,)
    mean_image: MeanImage | None = None
    """A mean for each pixel, which is subtracted in place of `mean` (its mean); None: `mean` alone."""

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise InputError(f"preprocessing: fit is {self.fit!r}; choose one of: {', '.join(FITS)}")
        if self.colors not in COLORS:
            raise InputError(f"preprocessing: colors is {self.colors!r}; choose one of: {', '.join(COLORS)}")
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in (1, self.channels):
                raise InputError(
                    f"preprocessing: {name} has {len(getattr(self, name))} numbers for {self.channels} channels"
                )
        if self.samples is not None and not self.samples[0] < self.samples[1]:
            raise InputError(f"preprocessing: samples must be [lowest, highest], not {list(self.samples)}")
        if min(self.std) <= 0:
            raise InputError(f"preprocessing: std must be above 0, not {min(self.std)}")
        if self.mean_image:
            shape = height, width, channels = self.mean_image.pixels.shape
            if height < self.size[0] or width < self.size[1] or channels != self.channels:
                raise InputError(
                    f"preprocessing: the mean image is {shape}, the network takes {(*self.size, self.channels)}"
                )

    @property
    def channels(self) -> int:
        return len(self.colors)

    @property
    def mean_by_place(self) -> bool:
        """Whether the mean image is that of the stored images, so that its part depends on the crop."""
        return self.mean_image is not None and self.mean_image.pixels.shape[:2] != tuple(self.size)

    def to_json(self) -> dict[str, Any]:
        """For a card. Of a mean image it gives the SHA-256: the image itself is a file beside the card."""
        content = {each.name: getattr(self, each.name) for each in fields(self)}
        image = content.pop("mean_image")
        return content | ({"mean_image": image.sha256} if image else {})

    @classmethod
    def from_json(cls, content: dict[str, Any], mean_image: MeanImage | None = None) -> Self:
        """What `to_json` gave. Raises InputError when it names another mean image than the one that is given."""
        values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in content.items()}
        if values.pop("mean_image", None) != (mean_image.sha256 if mean_image else None):
            raise InputError("the mean image is not the one that the card names")
        return cls(**values, mean_image=mean_image)
