"""predictions.npz of a run whose images may have several labels each."""

from dataclasses import dataclass

import numpy as np

from alexnet.artifacts.predictions import Kinds, check_shown, pack, unpack


@dataclass(frozen=True)
class LabelPredictions:
    """One evaluated split of n images and k classes."""

    split: str
    """validation or test."""
    names: tuple[str, ...]
    targets: np.ndarray
    """uint8 [n, k]: 1 where an image has the label."""
    probabilities: np.ndarray
    """float32 [n, k]"""
    losses: np.ndarray
    """float32 [n]: mean binary cross-entropy over the classes, in nats."""
    thresholds: np.ndarray
    """float32 [k]: the probability from which on a class is predicted."""
    shown: np.ndarray
    """int64 [m]: which images have a thumbnail, the worst mistakes first."""
    thumbnails: np.ndarray
    """uint8 [m, height, width, 1 or 3]"""
    samples: np.ndarray
    """uint8 [s, height, width, 1 or 3]: training images."""
    sample_labels: np.ndarray
    """uint8 [s, k]: their labels."""

    def packed(self) -> bytes:
        """The content of predictions.npz."""
        return pack(self, _KINDS)


_KINDS: Kinds = {
    "names": ("uint8", 1),
    "targets": ("uint8", 2),
    "probabilities": ("float32", 2),
    "losses": ("float32", 1),
    "thresholds": ("float32", 1),
    "shown": ("int64", 1),
    "thumbnails": ("uint8", 4),
    "samples": ("uint8", 4),
    "sample_labels": ("uint8", 2),
}


def parse(content: bytes, origin: str) -> LabelPredictions:
    """What `packed` gave. InputError, before anything large is made, when it is not that; runs no code from it."""
    return unpack(content, origin, LabelPredictions, _KINDS, _check)


def _check(found: LabelPredictions) -> None:
    n, k = len(found.names), len(found.thresholds)
    if len(found.losses) != n or found.targets.shape != (n, k) or found.probabilities.shape != (n, k):
        raise ValueError("its arrays are not of one length")
    check_shown(found)
    if found.sample_labels.shape[1] != k or max(found.targets.max(initial=0), found.sample_labels.max(initial=0)) > 1:
        raise ValueError("its labels are not 0 and 1")
    if found.shown.size and not 0 <= found.shown.min() <= found.shown.max() < n:
        raise ValueError("an image is out of range")
