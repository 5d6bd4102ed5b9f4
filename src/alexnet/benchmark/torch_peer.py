"""The same networks in a plain PyTorch loop: eager or `torch.compile`, autocast, channels last, fused optimizer."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from alexnet.benchmark.machine import seconds
from alexnet.device import autocast, choose_device
from alexnet.errors import InputError
from alexnet.models import catalog
from alexnet.recipes.schema import Optimizer, Recipe
from alexnet.training.compiled import compiled
from alexnet.training.optim import decays

_BATCHES = 2


class Loop:
    """Training as a PyTorch tutorial writes it, on noise that lies on the device.

    The network is that of the catalog as its user holds it, without what our own loop makes quicker; initialized from
    seed 0. The precision is the recipe's: 'bf16' is autocast around the forward pass, with float32 weights.
    """

    def __init__(self, recipe: Recipe, device: torch.device, compile: bool = False):
        size, self._precision = recipe.train.batch_size, recipe.train.precision
        torch.manual_seed(0)
        self.network = catalog.create(recipe.model.name).train().to(device)
        self.network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.optimizer = optimizer_of(recipe.optimizer, self.network)
        images = torch.randn(_BATCHES * size, *self.network.input, device=device)
        images = images.to(memory_format=torch.channels_last)
        labels = torch.randint(self.network.classes, (len(images),), device=device)
        self._batches = list(zip(images.split(size), labels.split(size), strict=True))
        self._forward: Callable[[torch.Tensor], torch.Tensor] = self.network
        if compile:
            self._forward = _compiled(self.network, *self._batches[0], self._precision)
        self._next = 0

    def step(self) -> torch.Tensor:
        """One step on the next batch; its mean cross-entropy before the step, a tensor on the device."""
        images, labels = self._batches[self._next % _BATCHES]
        self._next += 1
        self.optimizer.zero_grad()
        with autocast(images.device, self._precision):
            loss = functional.cross_entropy(self._forward(images), labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()


def start(
    recipe: Recipe, threads: int, device_name: str = "auto", compile: bool = False
) -> tuple[Callable[[int], list[float]], dict[str, Any]]:
    """(steps → seconds of each, facts) of the recipe's network, optimizer and precision.

    InputError when the optimizer is not one of torch's, or torch.compile does not work here.
    """
    device = choose_device(device_name)
    torch.set_num_threads(threads)
    loop = Loop(recipe, device, compile)
    facts = {"torch": torch.__version__, "precision": recipe.train.precision, "parameters": numbers(loop.network)}
    return lambda steps: [seconds(device, loop.step) for _ in range(steps)], facts


def numbers(network: nn.Module) -> int:
    """Parameters and running statistics, as the summary and Keras count them."""
    return sum(value.numel() for value in network.state_dict().values() if value.is_floating_point())


def optimizer_of(of: Optimizer, network: nn.Module) -> torch.optim.Optimizer:
    """torch's optimizer that makes the recipe's steps at a constant learning rate, fused where torch has it so.

    Keras's L2 penalty is a weight decay of twice its factor. Frozen layers and factors on the learning rate of single
    layers are not translated: no published recipe of `alexnet bench` has them.
    """
    if of.name == "muon" or (of.name == "adamw" and of.l2):
        raise InputError(f"--peer torch has no optimizer {of.name}{' with l2' if of.l2 else ''}; take sgd or adam")
    groups = list(_groups(of, network))
    match of.name:
        case "sgd" | "velocity":
            return torch.optim.SGD(groups, of.lr, of.momentum, nesterov=of.nesterov, fused=True)
        case "adadelta":
            return torch.optim.Adadelta(groups, of.lr, of.rho, of.eps)
        case name:
            kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
            return kind(groups, of.lr, (of.beta1, of.beta2), of.eps, fused=True)


def _groups(of: Optimizer, network: nn.Module) -> Iterator[dict[str, Any]]:
    """Parameters by their weight decay."""
    found: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        decay = 0.0
        if decays(parameter):
            decay = of.weight_decay + (2 * of.l2 if name.startswith(of.l2_layers or ("",)) else 0.0)
        found.setdefault(decay, []).append(parameter)
    for decay, parameters in found.items():
        yield {"params": parameters, "weight_decay": decay}


def _compiled(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor, precision: str
) -> Callable[[torch.Tensor], torch.Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own use of what it has deprecated
            return compiled(network, images, labels, precision)
    except InputError as error:
        raise InputError(str(error).replace("train.compile", "torch.compile", 1).partition("; set ")[0]) from None
    except Exception as error:  # whatever the compiler of this machine says
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise InputError(f"torch.compile does not work here: {reason}; leave the peer torch-compile out") from None
