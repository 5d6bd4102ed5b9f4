"""Units that no image wakes."""

import torch
from torch import Tensor, nn

from alexnet.models.mode import evaluating


@torch.no_grad()
def dead_fractions(model: nn.Module, inputs: Tensor) -> dict[str, float]:
    """Name of each nn.ReLU of `model` → fraction of its units that give 0 for all of `inputs` [N, C, H, W].

    A unit is a channel of a convolution (0 at every place) or a unit of a fully connected layer. The model computes
    without dropout and without updating its statistics, and is left as it was. A batch of 64 images or more is fair.
    """
    dead: dict[str, float] = {}

    def hook(name: str):
        def count(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            alive = (output > 0).transpose(0, 1).flatten(1).any(1)
            dead[name] = 1 - alive.float().mean().item()

        return count

    handles = [m.register_forward_hook(hook(name)) for name, m in model.named_modules() if isinstance(m, nn.ReLU)]
    try:
        with evaluating(model):
            model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return dead
