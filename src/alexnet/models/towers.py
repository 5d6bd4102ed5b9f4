"""The two towers of 2012 for real: two halves on two devices that exchange activations only where the GPUs did.

Each has half of every layer's outputs. A grouped convolution sees its own tower's channels; before any other layer with
weights (conv3, fc6, fc7, fc8 in the 2012 networks) each tower fetches the other's activations. fc8 stands on the first
device, as in the 2012 code (layers/layers-145.cfg: fc1000, gpu=0).
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from alexnet.errors import InputError
from alexnet.models.network import Network, build, module_of
from alexnet.models.structure import LRN, BatchNorm, Conv, Layer, Linear, numbered


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


class Towers(nn.Module):
    """Two halves, `a` and `b`: float N × channels × height × width on any device → N × classes on the first device."""

    def __init__(self, network: Network, devices: tuple[torch.device | str, torch.device | str]):
        """Copies `network`, cut in two, onto `devices`. InputError if its normalization would need the other tower.

        Tower `a` gets the first half of every layer's outputs, and the head, which gives the logits, whole.
        """
        super().__init__()
        self.spec, self.layers = network.spec, network.layers
        self.input, self.classes = network.input, network.classes
        self.devices = (torch.device(devices[0]), torch.device(devices[1]))
        rows = list(numbered(network.layers, network.input, network.classes))
        weighted = {name: layer for name, layer, _ in rows if isinstance(layer, Conv | Linear)}
        if not weighted:
            raise InputError(f"{network.spec.name} is no sequential network and cannot be split into two towers")
        first, self.head = next(iter(weighted)), list(weighted)[-1]
        self.exchanges = tuple(
            name for name, layer in weighted.items() if name != first and getattr(layer, "groups", 1) == 1
        )
        """The layers before which the towers exchange activations."""
        self.a, self.b = nn.ModuleDict(), nn.ModuleDict()
        with torch.device("meta"):
            for name, layer, shape in rows:
                if self.head in (name, *self.a):
                    self.a[name] = module_of(layer, shape)
                else:
                    sees = shape if name in (first, *self.exchanges) else (shape[0] // 2, *shape[1:])
                    self.a[name], self.b[name] = module_of(_half(layer), sees), module_of(_half(layer), sees)
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
