"""The 1,797 handwritten digits that scikit-learn carries: 8×8, gray, real, and there without a network."""

import numpy as np

from alexnet.data.dataset import ArrayDataset
from alexnet.data.readers.source import Opened, Request, Source


class Digits(Source):
    name = "digits"

    def open(self, request: Request) -> Opened:
        return Opened({"train": read_digits()})


def read_digits() -> ArrayDataset:
    """Alpaydin and Kaynak, UCI 1998, its test part, with 0–16 scaled to 0–255; classes '0' to '9'."""
    from sklearn.datasets import load_digits  # here, because scikit-learn takes a second to import

    pixels, labels = load_digits(return_X_y=True)
    images = np.rint(np.asarray(pixels) * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    return ArrayDataset(images, np.asarray(labels), tuple("0123456789"), [f"digits#{i}" for i in range(len(images))])
