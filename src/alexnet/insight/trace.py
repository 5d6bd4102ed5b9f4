"""What every layer of a network saw and gave for one image."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from alexnet.errors import InputError, unknown
from alexnet.models import aliases
from alexnet.models.mode import evaluating
from alexnet.models.network import Network

INPUT, SOFTMAX, SIGMOID = "input", "softmax", "sigmoid"


@dataclass(frozen=True)
class Trace:
    """All activations of one image: layer → (module, its input, its output), each tensor without the batch axis.

    A layer has the name that its own output has as a tap (`Network.tap`): conv1:pre, relu1, pool1, …
    """

    layers: dict[str, tuple[nn.Module, Tensor, Tensor]]
    logits: Tensor
    answer: str = SOFTMAX
    """What makes probabilities of the logits: softmax, or sigmoid where an image may have several labels."""
    taps: dict[str, str] = field(default_factory=dict)
    """Other taps → the layer whose output each is: conv1 → relu1, fc8:pre → fc8."""

    def output(self, name: str) -> Tensor:
        if name == self.answer:
            return self.logits.softmax(0) if name == SOFTMAX else self.logits.sigmoid()
        if name == INPUT:
            return next(iter(self.layers.values()))[1]
        layer = self.taps.get(name, name)
        if layer not in self.layers:
            raise unknown("layer", name, (*self.names, *self.taps))
        return self.layers[layer][2]

    @property
    def names(self) -> tuple[str, ...]:
        return (INPUT, *self.layers, self.answer)

    def summed(self, name: str) -> str:
        """The layer whose arithmetic `name` means: of conv1 and fc6 the sum itself, conv1:pre and fc6:pre."""
        return f"{name}:pre" if f"{name}:pre" in self.layers else self.taps.get(name, name)

    def below(self, name: str) -> str:
        """The layer that `name` reads: the nearest one before it with that very tensor, else 'input'."""
        if name == self.answer:
            return list(self.layers)[-1]
        own = self.layers[name][1]
        before = list(self.layers)[: list(self.layers).index(name)]
        return next((b for b in reversed(before) if self.layers[b][2].data_ptr() == own.data_ptr()), INPUT)


@torch.no_grad()
def trace(network: Network, inputs: Tensor, multilabel: bool = False) -> Trace:
    """Runs the plain network, in eval mode, on one image (float 1×C×H×W) and keeps what every layer saw and gave.

    multilabel: an image may have several labels, each by a sigmoid.
    """
    if len(inputs) != 1:
        raise InputError(f"one image is traced at a time, not {len(inputs)}")
    seen: dict[str, tuple[nn.Module, Tensor, Tensor]] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            seen[name] = (module, args[0][0], output[0])

        return hook

    leaves = [(name, part) for name, part in network.named_modules() if name and not list(part.children())]
    handles = [part.register_forward_hook(keep(name)) for name, part in leaves]
    try:
        with evaluating(network):
            logits = network(inputs)[0]
    finally:
        for handle in handles:
            handle.remove()
    own = {name: aliases.own(network.layer_names, name) for name in seen}
    taps = {
        tap: own[network._tapped(tap)] for tap in aliases.names(network.layer_names) if tap.partition(":")[0] in own
    }
    others = {tap: layer for tap, layer in taps.items() if tap != layer}
    layers = {own[name]: each for name, each in seen.items()}
    return Trace(layers, logits, SIGMOID if multilabel else SOFTMAX, others)
