"""Mixup and cutmix: training on two images at once, and the loss for it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Mix:
    """What each image of a batch was mixed with."""

    labels: Tensor
    """int64 N: the partner's class; of several labels an image uint8 N×K."""
    share: Tensor
    """float32 N, 0–1: how much of the image is its own."""


@dataclass(frozen=True)
class Mixing:
    """Mixes each image of a batch with another of it.

    - `mixup`: the two are blended, the image's own share λ ~ Beta(mixup, mixup) (Zhang et al. 2018); 0: never.
    - `cutmix`: a rectangle of the partner of relative area 1 - λ, λ ~ Beta(cutmix, cutmix), its center anywhere and
      clipped at the border, lies over the image (Yun et al. 2019); 0: never. With both on, each image takes one of
      the two by the toss of a coin.
    - `probability` that an image is mixed at all.

    The papers draw one λ for a batch; here each image draws its own.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    probability: float = 1.0

    def __call__(self, inputs: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Mix | None]:
        """Mixed inputs (float N×C×h×w, as they came) and with what; nothing is changed and None when all is off."""
        if not (self.mixup or self.cutmix):
            return inputs, None
        count, height, width = len(inputs), *inputs.shape[2:]
        random = np.random.default_rng(seed)
        partners = torch.from_numpy(random.permutation(count)).to(inputs.device)
        coin, chance, row, column = random.random((4, count))
        blended, kept = (random.beta(alpha or 1.0, alpha or 1.0, count) for alpha in (self.mixup, self.cutmix))
        cuts = coin < (0.5 if self.mixup and self.cutmix else float(self.cutmix > 0))
        mixed = chance < self.probability
        share = np.where(mixed & ~cuts, blended, 1.0)
        length = np.where(mixed & cuts, np.sqrt(1 - kept), 0.0)
        rows, columns = _stretch(row, length, height), _stretch(column, length, width)
        own = share * (1 - rows.mean(1) * columns.mean(1))
        share, own, rows, columns = (
            torch.from_numpy(each.astype(np.float32)).to(inputs.device) for each in (share, own, rows, columns)
        )
        # How much of each pixel is the image's own: λ where it is blended, 0 where it is cut; lerp is exact at 0, 1.
        weight = share[:, None, None] * (1 - rows[:, :, None] * columns[:, None, :])
        return torch.lerp(inputs[partners], inputs, weight[:, None]), Mix(labels[partners], own)


def _stretch(center: np.ndarray, length: np.ndarray, side: int) -> np.ndarray:
    """Which of `side` places lie within a stretch of relative `length` around a relative `center`; bool n × side."""
    start = np.round((center - length / 2) * side)[:, None]
    places = np.arange(side)
    return (places >= start) & (places < start + np.round(length * side)[:, None])


def cross_entropy(
    logits: Tensor, labels: Tensor, mix: Mix | None, weight: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy with both images' classes by their shares; without `mix` torch's own. A scalar.

    `logits` float N×K; `weight` float K, one per class: as torch does it, the mean is weighted by them, here by
    share · w[label] + (1 - share) · w[partner's label].
    """
    if mix is None:
        return functional.cross_entropy(logits, labels, weight=weight, label_smoothing=label_smoothing)
    losses = sum(
        share * functional.cross_entropy(logits, each, weight=weight, label_smoothing=label_smoothing, reduction="none")
        for each, share in ((labels, mix.share), (mix.labels, 1 - mix.share))
    )
    assert isinstance(losses, Tensor)
    return losses.mean() if weight is None else losses.sum() / masses(labels, mix, weight).sum()


def masses(labels: Tensor, mix: Mix | None, weight: Tensor) -> Tensor:
    """What each image weighs in the mean that `cross_entropy` takes: float N."""
    return weight[labels] if mix is None else mix.share * weight[labels] + (1 - mix.share) * weight[mix.labels]
