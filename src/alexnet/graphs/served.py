"""A network as others run it: images in, probabilities out, with nothing left for the caller to prepare."""

import torch
from torch import Tensor, nn

from alexnet.data.loading.decode import stored_size
from alexnet.data.transforms.augment import Augmenter
from alexnet.preprocessing import Preprocessing


class Served(nn.Module):
    """uint8 N × height × width × channels (0–255; RGB or gray) → probabilities, float32 N × classes, by softmax, or
    of several labels an image (`multilabel`) each by a sigmoid.

    Height and width are those at which images are stored (`resize`, where the preprocessing has one): the center crop
    is inside, and so are the channels' order, scale, mean and std. With `logits` a second output holds the network's
    logits (log-probabilities, where it ends in a log-softmax: their softmax is the same).
    """

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, logits: bool = True, multilabel: bool = False):
        super().__init__()
        self.network = network
        self.augmenter = Augmenter(preprocessing)
        self.logits = logits
        self.multilabel = multilabel

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        raw = self.network(self.augmenter.evaluate(images))
        probabilities = raw.sigmoid() if self.multilabel else raw.softmax(1)
        return (probabilities, raw) if self.logits else probabilities


def example(preprocessing: Preprocessing) -> Tensor:
    """Two black images to trace with: uint8 2 × height × width × channels."""
    size = stored_size(preprocessing.size, preprocessing.resize)
    return torch.zeros(2, *size, preprocessing.channels, dtype=torch.uint8)


BATCH = ({0: torch.export.Dim("batch", min=1)},)
"""Dynamic shapes of `Served`'s argument: any number of images."""
