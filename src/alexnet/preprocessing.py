"""What turns a picture into a network's input. It travels with the weights: in the catalog, in cards, in exports."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from alexnet.errors import InputError

FITS = ("crop", "squash")
COLOURS = ("RGB", "BGR", "L")


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

    @property
    def channels(self) -> int:
        return len(self.colours)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in content.items()}
        return cls(**values)
