"""Optimizers, weight decay and the moving average of the weights."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from alexnet.errors import unknown
from alexnet.recipes.schema import Optimizer, Schedule
from alexnet.training.finetune import by_layer
from alexnet.training.muon import Muon


class VelocitySGD(torch.optim.Optimizer):
    """SGD with the learning rate inside the velocity, as the 2012 code, Caffe and Keras have it.

        v ← m·v − lr·(g + wd·w);   w ← w + v          (Nesterov, Keras: w ← w + m·v − lr·(g + wd·w))

    torch.optim.SGD keeps lr outside (v ← m·v + g, w ← w − lr·v). The two are equal while lr is constant and part at
    every change of it: here the old, larger steps linger in v.

    Sources: Krizhevsky et al. 2012, section 5; Caffe sgd_solver.cpp ComputeUpdateValue; keras/optimizers/sgd.py.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.01,
        momentum: float = 0.9,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step on the gradients at hand, which it scales in place. It takes no closure."""
        assert closure is None
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if not weights:
                continue
            gradients: list[Tensor] = [p.grad for p in weights]
            self.move(group, weights, gradients, [self._buffer(p) for p in weights])

    @staticmethod
    def move(
        group: Mapping[str, Any], weights: list[Tensor], gradients: list[Tensor], buffers: list[Tensor | None]
    ) -> None:
        """One step of `weights` with their velocities `buffers`, in place; the gradients are scaled in place too."""
        scale = None
        if weights[0].dtype == torch.float32:
            scale = torch.full((1,), group["lr"], device=weights[0].device).reciprocal()
        else:  # the fused step's own scale is no more exact than float32
            torch._foreach_mul_(gradients, group["lr"])
        # torch's fused step, one pass over the memory: with rate 1 and the gradients times lr, its buffer is −v.
        sgd(
            weights, gradients, buffers, fused=True, grad_scale=scale, lr=1.0,
            weight_decay=group["lr"] * group["weight_decay"], momentum=group["momentum"], dampening=0.0,
            nesterov=group["nesterov"], maximize=False,
        )  # fmt: skip

    def _buffer(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        return state["momentum_buffer"]


def decays(parameter: Tensor) -> bool:
    """Whether weight decay applies: to weights of convolutions and fully connected layers, not to biases and norms."""
    return parameter.ndim > 1


def build(settings: Optimizer, model: nn.Module, schedule: Schedule | None = None) -> torch.optim.Optimizer:
    """The recipe's optimizer over `model`, in groups by what decays and by the learning rate that `set_rates` sets.

    Frozen layers are in it too, for when they begin to learn: what has no gradient is left alone.
    """
    named, schedule = list(model.named_parameters()), schedule or Schedule()
    scales = by_layer(settings.layer_lr, model)
    drops = {layer: (float(drop.after), drop.factor) for layer, drop in by_layer(schedule.layer_drops, model).items()}

    def rate(name: str) -> tuple[float, tuple[float, ...], bool]:
        """A constant factor; an epoch and the factor from there on; whether the schedule leaves it alone."""
        layer, bias = name.split(".")[0], name.endswith(".bias")
        scale = scales.get(layer, 1.0) * (settings.bias_lr if bias else 1.0)
        constant = bias and not schedule.biases
        return scale, () if constant else drops.get(layer, ()), constant

    of = {name: rate(name) for name, _ in named}
    groups = [
        {
            "params": [p for name, p in named if decays(p) == decaying and of[name] == kind],
            "weight_decay": settings.weight_decay if decaying else 0.0,
            "lr": settings.lr * kind[0],
            "scale": kind[0],
            "step": kind[1],
            "constant": kind[2],
        }
        for kind in dict.fromkeys([(1.0, (), False), *of.values()])
        for decaying in (True, False)
    ]
    groups = [group for group in groups if group["params"]]
    fused = all(p.device.type in ("cpu", "cuda") for _, p in named)
    match settings.name:
        case "sgd":
            return torch.optim.SGD(
                groups, settings.lr, momentum=settings.momentum, nesterov=settings.nesterov, fused=fused
            )
        case "velocity":
            return VelocitySGD(groups, settings.lr, settings.momentum, settings.nesterov)
        case "muon":
            return Muon(groups, settings.lr, settings.momentum, settings.weight_decay, settings.filter_lr)
        case "adadelta":
            return torch.optim.Adadelta(groups, settings.lr, rho=settings.rho, eps=settings.eps)
        case name:
            kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
            return kind(groups, settings.lr, betas=(settings.beta1, settings.beta2), eps=settings.eps, fused=fused)


def set_rates(optimizer: torch.optim.Optimizer, rate: float, full: float, epoch: int) -> None:
    """Sets the groups' learning rates for a step in `epoch` (from 0).

    `rate`: what the schedule says; `full`: what the recipe says, for biases that the schedule does not touch.
    """
    for group in optimizer.param_groups:
        at, more = group.get("step") or (math.inf, 1.0)
        own = full if group.get("constant") else rate * (more if epoch >= at else 1.0)
        group["lr"] = own * group["scale"]


def mapped(
    state: dict[str, Any], names: Sequence[str], change: Callable[[dict[str, Tensor]], dict[str, Tensor]]
) -> dict[str, Any]:
    """An optimizer's state with what it keeps of the parameters changed, by parameter ('conv1.weight/exp_avg').

    names: of the parameters in the optimizer's order.
    """
    flat = {
        f"{names[index]}/{slot}": value
        for index, slots in state["state"].items()
        for slot, value in slots.items()
        if isinstance(value, Tensor)
    }
    changed = change(flat)
    return state | {
        "state": {
            index: {slot: changed.get(f"{names[index]}/{slot}", value) for slot, value in slots.items()}
            for index, slots in state["state"].items()
        }
    }


class L2:
    """Keras's kernel_regularizer=l2(λ): λ · Σ w² joins the loss, so its gradient is 2λw (torch's weight_decay: λw)."""

    def __init__(self, settings: Optimizer, model: nn.Module):
        self.factor = settings.l2
        weights = {name: p for name, p in model.named_parameters() if decays(p)}
        for prefix in settings.l2_layers:
            if not any(name.startswith(prefix) for name in weights):
                raise unknown("layer in optimizer.l2_layers:", prefix, [n.removesuffix(".weight") for n in weights])
        prefixes = settings.l2_layers or ("",)
        self.weights = [p for name, p in weights.items() if name.startswith(prefixes)] if settings.l2 else []

    def __call__(self) -> Tensor | float:
        """The penalty as a scalar, to be added to the loss."""
        learning = [w for w in self.weights if w.requires_grad]  # frozen ones would only cost time
        if not learning:
            return 0.0
        return self.factor * torch.stack([w.square().sum() for w in learning]).sum()


class MovingAverage:
    """Exponential moving average of the weights (Polyak averaging), evaluated in their place.

    The decay grows with the steps as (1 + n) / (10 + n) up to its limit, as TensorFlow's ExponentialMovingAverage
    does with num_updates, so that the random start is forgotten soon. Running statistics of norms are copied.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.steps = 0
        self.average = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self._parameters = {name for name, _ in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        current = model.state_dict()
        averaged = [name for name in self.average if name in self._parameters]
        torch._foreach_lerp_([self.average[n] for n in averaged], [current[n] for n in averaged], 1 - decay)
        for name in self.average.keys() - self._parameters:
            self.average[name].copy_(current[name])

    @contextlib.contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """The average in the place of `model`'s own weights, while the block runs."""
        own = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(self.average)
        try:
            yield
        finally:
            model.load_state_dict(own)

    def state_dict(self) -> dict[str, Any]:
        return {"average": self.average, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]
        for name, value in state["average"].items():
            self.average[name].copy_(value)
