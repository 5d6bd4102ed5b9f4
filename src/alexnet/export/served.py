"""A network as others run it: pictures in, probabilities out, with nothing left for the caller to prepare."""

import torch
from torch import Tensor, nn

from alexnet.data.augment import Augmenter
from alexnet.data.decode import stored_size
from alexnet.preprocessing import Preprocessing


class Served(nn.Module):
    """uint8 N × height × width × channels (0–255; RGB or gray) → probabilities, float32 N × classes.

    Height and width are those at which pictures are stored (`resize`, where the preprocessing has one): the centre crop
    is inside, and so are the channels' order, scale, mean and std. With `logits` a second output holds the network's
    scores (log-probabilities, where it ends in a log-softmax: their softmax is the same).
    """

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, logits: bool = True):
        super().__init__()
        self.network = network
        self.augmenter = Augmenter(preprocessing)
        self.logits = logits

    def forward(self, pictures: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        scores = self.network(self.augmenter.evaluate(pictures))
        return (scores.softmax(1), scores) if self.logits else scores.softmax(1)


def example(preprocessing: Preprocessing) -> Tensor:
    """Two black pictures to trace with: uint8 2 × height × width × channels."""
    size = stored_size(preprocessing.size, preprocessing.resize)
    return torch.zeros(2, *size, preprocessing.channels, dtype=torch.uint8)


BATCH = ({0: torch.export.Dim("batch", min=1)},)
"""Dynamic shapes of `Served`'s argument: any number of pictures."""
