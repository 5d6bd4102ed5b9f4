"""Random changes of color and shape, in batches: PCA color augmentation, and a set in the manner of RandAugment."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from alexnet.data.transforms.windows import warp
from alexnet.errors import InputError

FORMS = ("paper", "code")

Part = tuple[int, slice]
"""How many images a whole batch has, and which of them are at hand: several processes may share it."""


@dataclass(frozen=True)
class Spectrum:
    """Principal components of the pixels' colors, on the scale 0–1, greatest first."""

    eigenvalues: tuple[float, ...]
    """Variances along the components."""
    eigenvectors: tuple[tuple[float, ...], ...]
    """One component each, in the images' order of channels (RGB or gray), of length 1."""
    images: int
    """How many images it was computed from."""

    def __post_init__(self) -> None:
        """Raises InputError unless it can be the spectrum of a covariance."""
        if not self.eigenvalues or any(len(vector) != len(self.eigenvalues) for vector in self.eigenvectors):
            raise InputError(
                "PCA color augmentation: there must be as many eigenvalues as eigenvectors, and as they have channels"
            )
        values, vectors = (torch.tensor(each, dtype=torch.float64) for each in (self.eigenvalues, self.eigenvectors))
        if not (values.isfinite().all() and vectors.isfinite().all()):
            raise InputError("PCA color augmentation: an eigenvalue or eigenvector is not a finite number")
        if len(vectors) != len(values) or not torch.allclose(
            vectors @ vectors.T, torch.eye(len(values), dtype=torch.float64), atol=1e-3
        ):
            raise InputError("PCA color augmentation: the eigenvectors are not perpendicular and of length 1")
        if values.min() < 0 or values.max() > 1:
            raise InputError("PCA color augmentation: the eigenvalues must be variances of colors on the scale 0 to 1")

    @property
    def channels(self) -> int:
        return len(self.eigenvalues)

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class PCAColor:
    """One color shift per image along the principal components of the training images' colors.

    - 'paper' (Krizhevsky et al. 2012, section 4.1): adds Σ pᵢ αᵢ λᵢ with λᵢ the eigenvalue. That is quadratic in the
      scale of the pixels, which the paper leaves open; here it is 0–1, as its re-implementations have it.
    - 'code' (convdata_jpeg.py and its ancestors): adds Σ pᵢ αᵢ √λᵢ, linear in the scale and about twice as strong on
      natural images, once the mean is subtracted, and divides everything by 1 + `strength`, so that training
      images do not differ more than test images do.

    αᵢ ~ N(0, `strength`) is drawn once per image; both papers' strength is 0.1. From epoch `until` on there is none
    (the 2012 run switched it off at epoch 67).
    """

    spectrum: Spectrum
    strength: float
    form: str = "paper"
    until: float = math.inf

    def to_json(self) -> dict[str, Any]:
        """For a card: the spectrum and how it is used; `until` None: to the end."""
        until = None if math.isinf(self.until) else self.until
        return {**self.spectrum.to_json(), "strength": self.strength, "form": self.form, "until": until}

    @property
    def divisor(self) -> float:
        return 1 + self.strength if self.form == "code" else 1.0

    def shifts(self, count: int, generator: torch.Generator) -> Tensor:
        """What to add to each image's channels on the scale 0–1, before the division: float32 count × channels."""
        values = torch.tensor(self.spectrum.eigenvalues)
        alphas = self.strength * torch.randn(count, len(values), generator=generator)
        return (alphas * (values.sqrt() if self.form == "code" else values)) @ torch.tensor(self.spectrum.eigenvectors)


def rand_augment(
    pixels: Tensor,
    count: int,
    strength: float,
    fill: Tensor | None,
    generator: torch.Generator,
    part: Part | None = None,
    inside: Tensor | None = None,
) -> Tensor:
    """`count` operations of OPERATIONS on each image, each drawn anew and in a random direction.

    `pixels` is N×h×w×C on the scale 0–255; the result is float, not rounded. `strength` 0–1 corresponds to M/30 in
    Cubuk et al. 2020, section 3, whose ranges these are; identity, equalize and sharpness of its fourteen are
    left out. `fill` [C]: the color that moving uncovers, and that lies where `inside` (bool N×h×w) is not;
    None: the edge. Of a `part` of a batch each image gets what it would get in the whole.
    """
    planes = pixels.permute(0, 3, 1, 2).float().contiguous()  # operations on single channels are quicker so
    if inside is not None and fill is not None:
        planes = torch.lerp(fill[:, None, None], planes, inside[:, None].float())  # one or the other, exactly
    whole, rows = part or (len(planes), slice(None))
    height, width = planes.shape[2:]
    place = torch.arange(len(planes))  # whose each row is: they are put in the order of their operations
    for _ in range(count):
        # What is drawn is put in order on the CPU: no waiting for a GPU.
        chosen = torch.randint(len(OPERATIONS), (whole,), generator=generator)[rows][place]
        amounts = ((torch.randint(2, (whole,), generator=generator)[rows] * 2 - 1) * strength)[place]
        (chosen, order), drawn = chosen.sort(), torch.bincount(chosen, minlength=len(OPERATIONS)).tolist()
        place, amounts = place[order], amounts[order]
        still = sum(drawn[: len(COLORS)])
        moves = torch.tensor(list(MOVES.values()))[chosen[still:] - len(COLORS)] * amounts[still:, None]
        theta = _maps(moves, width / height)
        order, amounts, theta = (each.to(planes.device, non_blocking=True) for each in (order, amounts, theta))
        pixels = planes.index_select(0, order).permute(0, 2, 3, 1)
        parts = (each.split(drawn) for each in (pixels, amounts[:, None, None, None]))
        changed = [change(*part) for change, *part in zip(COLORS.values(), *parts, strict=False) if len(part[0])]
        if still < len(pixels):
            changed.append(warp(pixels[still:], theta, (height, width), fill))
        planes = torch.cat([each.permute(0, 3, 1, 2) for each in changed])
    back = place.argsort().to(planes.device, non_blocking=True)
    return planes.index_select(0, back).permute(0, 2, 3, 1)


def _blend(plain: Callable[[Tensor], Tensor]) -> "Change":
    """Away from or towards an image without what is changed, by a factor from 0.1 to 1.9."""
    return lambda x, amount: torch.lerp(plain(x), x, 1 + 0.9 * amount).clamp(0, 255)


def _luma(x: Tensor) -> Tensor:
    """ITU-R 601, N×h×w×1."""
    return (x * x.new_tensor((0.299, 0.587, 0.114))).sum(3, keepdim=True) if x.shape[3] == 3 else x


def _posterise(x: Tensor, amount: Tensor) -> Tensor:
    """Keeps 8 to 4 bits."""
    step = 2 ** (4 * amount.abs()).round()
    return (x / step).floor() * step


def _solarise(x: Tensor, amount: Tensor) -> Tensor:
    """Inverts what is brighter than a threshold from 256 down to 0."""
    return torch.lerp(x, 255 - x, (x >= 256 * (1 - amount.abs())).float())  # one or the other; quicker than `where`


def _autocontrast(x: Tensor, amount: Tensor) -> Tensor:
    """Stretches each channel to 0–255; a channel of one value stays."""
    low, high = x.amin((1, 2), keepdim=True), x.amax((1, 2), keepdim=True)
    stretched = (x - low) * (255 / (high - low).clamp(min=1e-6))
    return torch.where(high > low, stretched.clamp(0, 255), x)


def _maps(moves: Tensor, aspect: float) -> Tensor:
    """`warp`'s N×2×3 for MOVES, N×5, on images of this width over height."""
    angle, shear_x, shear_y, x, y = moves.unbind(1)
    across, down = shear_x - angle.sin(), shear_y + angle.sin()
    return torch.stack((angle.cos(), across / aspect, x, down * aspect, angle.cos(), y), 1).view(-1, 2, 3)


Change = Callable[[Tensor, Tensor], Tensor]
"""(pixels float N×h×w×C on 0–255, amount from -1 to 1, N×1×1×1) → pixels."""

COLORS: dict[str, Change] = {
    "brightness": _blend(torch.zeros_like),
    "contrast": _blend(lambda x: _luma(x).mean((1, 2, 3), keepdim=True).expand_as(x)),
    "saturation": _blend(lambda x: _luma(x).expand_as(x)),
    "autocontrast": _autocontrast,
    "posterise": _posterise,
    "solarise": _solarise,
}
"""At amount 1: factors of 1.9, 4 bits, all inverted."""
MOVES = {
    "rotate": (math.radians(30), 0.0, 0.0, 0.0, 0.0),
    "shear-x": (0.0, 0.3, 0.0, 0.0, 0.0),
    "shear-y": (0.0, 0.0, 0.3, 0.0, 0.0),
    "translate-x": (0.0, 0.0, 0.0, 0.9, 0.0),
    "translate-y": (0.0, 0.0, 0.0, 0.0, 0.9),
}
"""Angle, shears along x and y, moves along x and y in half sides: at amount 1."""
OPERATIONS = (*COLORS, *MOVES)
