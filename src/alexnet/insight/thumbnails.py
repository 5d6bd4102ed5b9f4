"""Small pictures for pages."""

import io

import numpy as np
from PIL import Image

SIDE = 96
"""Pixels of a thumbnail on a page; stored at twice that for dense screens."""


def thumbnail(image: np.ndarray, side: int = SIDE) -> bytes:
    """A uint8 H×W×C image (C 1 or 3) as JPEG of at most twice `side`; smaller images are enlarged without blur."""
    drawn = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB")
    if max(drawn.size) < side:
        factor = -(-side // max(drawn.size))
        drawn = drawn.resize((drawn.width * factor, drawn.height * factor), Image.Resampling.NEAREST)
    drawn.thumbnail((2 * side, 2 * side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    drawn.save(file, "JPEG", quality=80)
    return file.getvalue()
