"""What the tests send, and the small limits of the server that they ask."""

import io

import numpy as np
from PIL import Image

from alexnet.serving.limits import Limits

LIMITS = Limits(body_bytes=200_000, pixels=250_000, images=4, body_seconds=5, waiting_images=16)


def png(array: np.ndarray) -> bytes:
    """uint8 H×W or H×W×3, as a PNG file's content."""
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()
