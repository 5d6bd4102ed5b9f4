"""Images with more than 8 bits a sample: which of their values become black and white.

A 16-bit file may hold 10 or 12 bits (medical and raw cameras) or a narrow band of them (thermal cameras): cut to their
high byte, such images are nearly black or all alike. So one range is found for a whole set, recorded in its
preprocessing, and used for every image of it, also at prediction.
"""

from collections.abc import Iterable

import numpy as np

from alexnet.arguments import number, refusal
from alexnet.errors import counted

Range = tuple[float, float]
"""The sample that becomes 0, and the one that becomes 255."""
DEEP = ("I", "F")
"""First letters of Pillow's modes with more than 8 bits a sample."""
NARROW = 1 / 8
"""The share of its bits below which a set's samples are spread from their lowest to their highest."""


def checked_range(values: Iterable[float]) -> Range:
    """InputError unless there are two numbers, the first below the second."""
    takes = "[lowest, highest], such as [0, 4095]"
    if not isinstance(values, Iterable):
        raise refusal("data.samples", takes, values)
    numbers = tuple(number("data.samples", value, takes) for value in values)
    if len(numbers) != 2 or not numbers[0] < numbers[1]:
        raise refusal("data.samples", takes, values)
    return numbers[0], numbers[1]


def eight_bits(samples: np.ndarray, spread: Range | None) -> np.ndarray:
    """uint8 of deep samples. `spread` None: of integers the high byte of 16 bits, of floats 0–1."""
    if spread is None and samples.dtype.kind != "f":
        return np.clip(samples >> 8, 0, 255).astype(np.uint8)
    low, high = spread or (0.0, 1.0)
    scaled = (samples.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return np.rint(np.clip(np.nan_to_num(scaled), 0, 255)).astype(np.uint8)


def is_deep(head: bytes) -> bool:
    """Whether a file may hold gray samples of more than 8 bits, by its first bytes: a PNG does, a TIFF may."""
    if head.startswith(b"\x89PNG"):
        return head[24:26] == b"\x10\0"
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def common_range(found: Iterable[Range], floats: bool) -> Range | None:
    """The range that serves all images, from each one's extremes; None: as single images are read."""
    lows, highs = zip(*found, strict=True)
    low, high = min(lows), max(highs)
    if floats:
        if low >= 0 and high <= 1:
            return None
        return (0.0, 255.0) if low >= 0 and high <= 255 else (low, max(high, low + 1))
    most = float(2 ** max(8, int(high).bit_length()) - 1)
    if low < 0 or high - low < NARROW * most:
        return low, max(high, low + 1)
    return None if most >= 65535 else (0.0, most)


def told(spread: Range, count: int) -> str:
    """What is said of it."""
    low, high = (f"{value:,.0f}" if value == int(value) else f"{value:.4g}" for value in spread)
    return (
        f"{counted(count, 'image has', 'images have')} more than 8 bits a sample: {low} to {high} become 0 to 255 "
        "(data.samples sets another range)"
    )
