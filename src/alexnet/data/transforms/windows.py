"""Parts of images, in batches: whole-pixel and shifted windows, resized crops, affine maps, rectangles."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

_LARGE = 64 * 64
"""Pixels from which on copying is eight times as quick as gathering (224 × 224 from 256 × 256, one core)."""


def window(
    images: Tensor, top: Tensor, left: Tensor, mirrored: Tensor, size: tuple[int, int], blend: bool = False
) -> tuple[Tensor, Tensor]:
    """Each image's window from (top, left) on, N×h×w×C, and which of its pixels lie inside, bool N×h×w.

    `images` is N×H×W×C, or 1×H×W×C for all; `top` and `left` float N, in pixels, also outside the image; `mirrored`
    bool N. With `blend` the two may be fractions, and the result is float and blends neighbors. Outside, the edge is
    repeated.

    One gather: each output pixel's row and column are computed, and mirroring reverses the columns. Large windows that
    lie inside are copied row by row instead where that is quicker, on a CPU.
    """
    height, width, channels = images.shape[1:]
    if images.device.type == "cpu" and not blend and size[0] * size[1] >= _LARGE and _within(images, top, left, size):
        return _copied(images, top, left, mirrored, size), torch.ones((), dtype=torch.bool).expand(len(top), *size)
    more = int(blend)  # one row and one column more, to blend with
    rows, columns = (torch.arange(side + more, device=images.device) for side in size)
    inside_rows, inside_columns = (
        ((exact >= 0) & (exact <= side - 1))[:, : exact.shape[1] - more]
        for exact, side in ((top[:, None] + rows, height), (left[:, None] + columns, width))
    )
    rows, columns = top.floor()[:, None] + rows, left.floor()[:, None] + columns
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    inside_columns = torch.where(mirrored[:, None], inside_columns.flip(1), inside_columns)
    starts = torch.arange(0, len(images) * height, height, device=images.device)[:, None]
    index = ((starts + rows.clamp(0, height - 1).long()) * width)[:, :, None]
    index = index + columns.clamp(0, width - 1).long()[:, None, :]
    pixels = images.reshape(-1, channels).index_select(0, index.flatten()).view(*index.shape, channels)
    if blend:
        down, right = top - top.floor(), left - left.floor()
        right = torch.where(mirrored, 1 - right, right)
        pixels = pixels.float()
        pixels = torch.lerp(pixels[:, :-1], pixels[:, 1:], down[:, None, None, None])
        pixels = torch.lerp(pixels[:, :, :-1], pixels[:, :, 1:], right[:, None, None, None])
    return pixels, inside_rows[:, :, None] & inside_columns[:, None, :]


def _within(images: Tensor, top: Tensor, left: Tensor, size: tuple[int, int]) -> bool:
    """Whether every window lies inside its image."""
    down, right = images.shape[1] - size[0], images.shape[2] - size[1]
    return bool(min(top.min(), left.min()) >= 0 and top.max() <= down and left.max() <= right)


def _copied(images: Tensor, top: Tensor, left: Tensor, mirrored: Tensor, size: tuple[int, int]) -> Tensor:
    result = images.new_empty(len(top), *size, images.shape[3])
    images = images.expand(len(top), -1, -1, -1)
    places = zip(top.int().tolist(), left.int().tolist(), mirrored.tolist(), strict=True)
    for own, image, (row, column, flipped) in zip(result, images, places, strict=True):
        part = image[row : row + size[0], column : column + size[1]]
        own.copy_(part.flip(1) if flipped else part)
    return result


def warp(pixels: Tensor, theta: Tensor, size: tuple[int, int], fill: Tensor | None = None) -> Tensor:
    """Affine maps, bilinear: float N×h×w×C. Outside lies the color `fill` [C]; None: the edge is repeated.

    `theta` is float N×2×3 as torch's affine_grid takes it: from output to source, both from -1 to 1 over their sides.
    """
    y, x = (torch.arange(1 - side, side, 2, device=theta.device) / side for side in size)
    across, down, start = theta[..., None, None].unbind(2)  # N×2×1×1; as affine_grid has it, at a seventh of the time
    grid = (down * y[:, None] + start + across * x).permute(0, 2, 3, 1)
    pixels = pixels.float() if fill is None else pixels - fill  # outside is 0
    moved = functional.grid_sample(
        pixels.permute(0, 3, 1, 2), grid, padding_mode="border" if fill is None else "zeros", align_corners=False
    ).permute(0, 2, 3, 1)
    return moved if fill is None else moved + fill


def resized_crop(
    images: Tensor,
    draws: Tensor,
    mirrored: Tensor,
    area: Sequence[float],
    ratio: Sequence[float],
    size: tuple[int, int],
) -> Tensor:
    """A part of each image, resized to `size`: float N×h×w×C. Szegedy et al. 2015, section 6 ('Inception crop').

    `draws` is N×4 in [0, 1); `area` the least and greatest share of the image, `ratio` the least and greatest width
    over height. Where a side exceeds the image it is clipped (others draw again).
    """
    height, width = images.shape[1:3]
    high, wide = _sides(draws, area, ratio, (height, width))
    top, left = draws[:, 2] * (height - high), draws[:, 3] * (width - wide)
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0] = torch.where(mirrored, -wide, wide) / width
    theta[:, 0, 2] = (2 * left + wide) / width - 1
    theta[:, 1, 1] = high / height
    theta[:, 1, 2] = (2 * top + high) / height - 1
    return warp(images, theta, size)


def rectangle(draws: Tensor, area: Sequence[float], ratio: Sequence[float], size: tuple[int, int]) -> Tensor:
    """Which pixels lie in a rectangle of a random area and shape (as in `resized_crop`) within `size`: bool N×h×w."""
    high, wide = (side.round() for side in _sides(draws, area, ratio, size))
    top, left = ((draw * (most - side + 1)).floor() for draw, most, side in zip(
        (draws[:, 2], draws[:, 3]), size, (high, wide), strict=True))  # fmt: skip
    rows, columns = (torch.arange(side, device=draws.device) for side in size)
    inside_rows = (rows >= top[:, None]) & (rows < (top + high)[:, None])
    inside_columns = (columns >= left[:, None]) & (columns < (left + wide)[:, None])
    return inside_rows[:, :, None] & inside_columns[:, None, :]


def square(draws: Tensor, side: int, size: tuple[int, int]) -> Tensor:
    """Which pixels lie in a square with its center anywhere in `size`, clipped: bool N×h×w; `draws` N×2 in [0, 1)."""
    rows, columns = (_near(draw, most, side) for draw, most in zip(draws.unbind(1), size, strict=True))
    return rows[:, :, None] & columns[:, None, :]


def _sides(
    draws: Tensor, area: Sequence[float], ratio: Sequence[float], size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Height and width in pixels, float N: the area uniform, the ratio uniform in its logarithm."""
    pixels = (area[0] + (area[1] - area[0]) * draws[:, 0]) * (size[0] * size[1])
    shape = (ratio[1] / ratio[0]) ** draws[:, 1] * ratio[0]
    return (pixels / shape).sqrt().clamp(max=size[0]), (pixels * shape).sqrt().clamp(max=size[1])


def _near(draw: Tensor, side: int, length: int) -> Tensor:
    """Which of `side` places lie within a stretch of `length` whose center is drawn; bool N×side."""
    start = (draw * side).floor()[:, None] - length // 2
    places = torch.arange(side, device=draw.device)
    return (places >= start) & (places < start + length)
