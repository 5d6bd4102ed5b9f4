"""The two towers of 2012 for real: two halves on two devices that exchange activations only where the GPUs did.

Each has half of every layer's outputs. A grouped convolution sees its own tower's channels; before any other layer with
weights (conv3, fc6, fc7, fc8 in the 2012 networks) each tower fetches the other's activations. fc8 stands on the first
device, as in the 2012 code (layers/layers-145.cfg: fc1000, gpu=0).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from alexnet.errors import InputError
from alexnet.models.network import Network, build, module_of
from alexnet.models.spec import Spec
from alexnet.models.structure import LRN, BatchNorm, Conv, Layer, Linear, Row, numbered


def _half(layer: Layer) -> Layer:
    """One tower's share of a layer."""
    match layer:
        case Conv():
            return replace(layer, out=layer.out // 2, groups=1)
        case Linear(out=int(out)):
            return replace(layer, out=out // 2)
        case LRN(groups=2):
            return replace(layer, groups=1)
        case LRN() | BatchNorm():
            raise InputError(
                "two towers need normalization that stays within a tower (LRN with 2 groups); alexnet-2012 has it"
            )
        case _:
            return layer


@dataclass(frozen=True)
class Halves:
    """A network cut into two towers."""

    towers: tuple[list[Row], list[Row]]
    """The layers of each, with the shape of what they see; the second ends before the head."""
    exchanges: tuple[str, ...]
    """The layers before which the towers exchange activations."""
    head: str
    """The layer that gives the logits, whole in the first tower."""


def has_towers(spec: Spec) -> bool:
    """Whether a network of the catalog was published as two towers: grouped convolutions, and nothing else across."""
    convolutions = [layer for layer in spec.layers if isinstance(layer, Conv)]
    across = (isinstance(layer, BatchNorm) or (isinstance(layer, LRN) and layer.groups != 2) for layer in spec.layers)
    return any(layer.groups == 2 for layer in convolutions) and not any(across)


def halves(network: Network) -> Halves:
    """Each tower gets half of every layer's outputs, the first one the head too.

    InputError if the network is not sequential, or its normalization would need the other tower.
    """
    rows = list(numbered(network.layers, network.input, network.classes))
    weighted = {name: layer for name, layer, _ in rows if isinstance(layer, Conv | Linear)}
    if not weighted:
        raise InputError(f"{network.spec.name} is no sequential network and cannot be split into two towers")
    first, head = next(iter(weighted)), list(weighted)[-1]
    exchanges = tuple(name for name, layer in weighted.items() if name != first and getattr(layer, "groups", 1) == 1)
    a: list[Row] = []
    b: list[Row] = []
    for name, layer, shape in rows:
        if name == head or len(a) > len(b):  # the head, and what follows it
            a.append((name, layer, shape))
        else:
            half = shape if name in (first, *exchanges) else (shape[0] // 2, *shape[1:])
            a.append((name, _half(layer), half))
            b.append((name, _half(layer), half))
    return Halves((a, b), exchanges, head)


class Towers(nn.Module):
    """Two halves, `a` and `b`: float N × channels × height × width on any device → N × classes on the first device."""

    def __init__(self, network: Network, devices: tuple[torch.device | str, torch.device | str]):
        """Copies `network`, cut in two as `halves` does, onto `devices`."""
        super().__init__()
        self.spec, self.layers = network.spec, network.layers
        self.input, self.classes = network.input, network.classes
        self.devices = (torch.device(devices[0]), torch.device(devices[1]))
        cut = halves(network)
        self.head, self.exchanges = cut.head, cut.exchanges
        with torch.device("meta"):
            self.a, self.b = (
                nn.ModuleDict({name: module_of(layer, shape) for name, layer, shape in tower}) for tower in cut.towers
            )
        self._load(network.state_dict())
        self.train(network.training)

    def _load(self, whole: dict[str, Tensor]) -> None:
        state = {}
        for key, tensor in whole.items():
            halves = [tensor] if key.startswith(f"{self.head}.") else tensor.chunk(2)
            for tower, half, device in zip("ab", halves, self.devices, strict=False):
                state[f"{tower}.{key}"] = half.to(device, copy=True)
        self.load_state_dict(state, assign=True)

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.to(self.devices[0]), x.to(self.devices[1])
        for name, part in self.a.items():
            if name in self.exchanges:
                ours, theirs = a, b
                a = torch.cat([ours, theirs.to(self.devices[0])], 1)
                b = torch.cat([ours.to(self.devices[1]), theirs], 1) if name in self.b else theirs
            a = part(a)
            if name in self.b:
                b = self.b[name](b)
        return a

    def to_network(self) -> Network:
        """The grouped network, on the first device, with the weights of these towers."""
        state = self.state_dict()
        with torch.device("meta"):
            network = build(self.layers, self.input, self.classes)
        network.spec = self.spec
        whole = {}
        for key in network.state_dict():
            halves = [state[f"{tower}.{key}"] for tower in "ab" if f"{tower}.{key}" in state]
            whole[key] = torch.cat([half.to(self.devices[0]) for half in halves])
        network.load_state_dict(whole, assign=True)
        return network.train(self.training)
