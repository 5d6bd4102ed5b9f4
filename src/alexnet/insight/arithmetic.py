"""How one number in a network came about: the arithmetic of any value of any layer, with the network's own numbers."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from alexnet.errors import InputError
from alexnet.insight.trace import INPUT, SIGMOID, SOFTMAX, Trace
from alexnet.models.layers import LocalResponseNorm, PaddedConv2d, ScaledDropout, SpatialResponseNorm

MOST_TERMS = 400
"""Terms of a sum that are listed, the largest first; the others are one number."""


@dataclass(frozen=True)
class Step:
    """One line of the calculation, and its result."""

    text: str
    value: float


@dataclass(frozen=True)
class Account:
    """The arithmetic of one value."""

    layer: str
    kind: str
    """conv, relu, max-pool, lrn, batch-norm, linear, dropout, flatten, softmax, sigmoid …"""
    index: tuple[int, ...]
    value: float
    """As the network computed it: the number in the layer's output tensor."""
    steps: list[Step]
    """Read top to bottom; the last one is `value`, up to the order of the sums in float32."""
    terms: list[dict[str, Any]] = field(default_factory=list)
    """What is summed or compared: `at` (place in the layer below), `input`, and `weight` and `product` where there
    are weights."""
    others: float = 0.0
    """Sum of the terms that are not listed."""
    source: str = INPUT
    """The layer below."""

    def to_json(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in ("layer", "kind", "value", "terms", "others", "source")},
            "index": list(self.index),
            "steps": [vars(step) for step in self.steps],
        }


def account(found: Trace, layer: str, index: tuple[int, ...]) -> Account:
    """The arithmetic of `layer`'s output at `index`: (channel, row, column), or (unit,).

    Of 'conv1' or 'fc6' it is that of the sum, 'conv1:pre' or 'fc6:pre', which the result's `layer` says: what the
    non-linearity makes of it has the arithmetic of 'relu1'. Raises InputError for a layer or a place that is not there.
    """
    layer = found.summed(layer)
    output = found.output(layer)
    if len(index) != output.ndim or any(not 0 <= i < n for i, n in zip(index, output.shape, strict=False)):
        shape = " × ".join(map(str, output.shape))
        raise InputError(f"{layer} has the shape {shape}; there is no value at {','.join(map(str, index))}")
    value = output[index].item()
    if layer == INPUT:
        return Account(layer, INPUT, index, value, [Step("the preprocessed image's value", value)])
    if layer == found.answer:
        return (_softmax if layer == SOFTMAX else _sigmoid)(found, index, value)
    module, inputs, _ = found.layers[layer]
    kind, steps, terms = _explained(module, inputs, index, value)
    kept = sorted(terms, key=lambda term: -abs(term.get("product", term["input"])))[:MOST_TERMS]
    if kind in ("max-pool", "lrn"):
        kept = terms
    listed = {id(term) for term in kept}
    others = sum(term.get("product", term["input"]) for term in terms if id(term) not in listed)
    in_order = [term for term in terms if id(term) in listed]
    return Account(layer, kind, index, value, steps, in_order, others, found.below(layer))


_Explained = tuple[str, list[Step], list[dict[str, Any]]]


def _explained(module: nn.Module, x: Tensor, index: tuple[int, ...], value: float) -> _Explained:
    match module:
        case nn.Conv2d():
            return _conv(module, x, index)
        case nn.Linear():
            return _linear(module, x, index)
        case nn.ReLU():
            given = x[index].item()
            return "relu", [Step(f"max(0, {_n(given)})", x[index].relu().item())], [_term(index, given)]
        case nn.Tanh():
            given = x[index].item()
            return "tanh", [Step(f"tanh({_n(given)})", value)], [_term(index, given)]
        case nn.MaxPool2d():
            window = _window(x, index, module)
            # By torch, for which nothing is larger than NaN.
            largest = torch.tensor([term["input"] for term in window]).max().item()
            return "max-pool", [Step(f"the largest of {len(window)} values", largest)], window
        case nn.AvgPool2d() | nn.AdaptiveAvgPool2d():
            return _mean_pool(module, x, index)
        case LocalResponseNorm():
            return _lrn(module, x, index)
        case SpatialResponseNorm():
            return _spatial(module, x, index)
        case nn.BatchNorm2d():
            return _batch_norm(module, x, index)
        case ScaledDropout():
            given = x[index].item()
            kept = 1 - module.p
            return (
                "dropout",
                [Step(f"{_n(given)} × (1 − {module.p:g}): no unit is dropped now", given * kept)],
                [_term(index, given)],
            )
        case nn.Dropout():
            given = x[index].item()
            return (
                "dropout",
                [Step("no unit is dropped when the network is not training", given)],
                [_term(index, given)],
            )
        case nn.Flatten():
            place = tuple(int(i) for i in torch.unravel_index(torch.tensor(index[0]), x.shape))
            given = x[place].item()
            return (
                "flatten",
                [Step(f"the value at channel {place[0]}, row {place[1]}, column {place[2]}", given)],
                [_term(place, given)],
            )
        case nn.LogSoftmax():
            total = x.double().exp().sum().item()
            steps = [Step("Σ exp(logit)", total), Step(f"{_n(x[index].item())} − ln({_n(total)})", value)]
            return "log-softmax", steps, [_term((i,), given) for i, given in enumerate(x.tolist())]
    return type(module).__name__, [Step("computed by the layer as a whole", value)], []


def _conv(module: nn.Conv2d, x: Tensor, index: tuple[int, ...]) -> _Explained:
    channel, row, column = index
    kernel, stride = module.kernel_size[0], module.stride[0]
    above, before = (module.pads[2], module.pads[0]) if isinstance(module, PaddedConv2d) else _pair(module.padding)
    per_group = module.weight.shape[1]
    first = channel // (module.out_channels // module.groups) * per_group
    top, left = row * stride - above, column * stride - before
    terms = []
    for c in range(per_group):
        for i in range(kernel):
            for j in range(kernel):
                y, z = top + i, left + j
                inside = 0 <= y < x.shape[1] and 0 <= z < x.shape[2]
                given = x[first + c, y, z].item() if inside else 0.0
                weight = module.weight[channel, c, i, j].item()
                place = (first + c, y, z)
                terms.append(_term(place, given, weight) | ({} if inside else {"padding": True}))
    return "conv", _summed(terms, module.bias, channel), terms


def _linear(module: nn.Linear, x: Tensor, index: tuple[int, ...]) -> _Explained:
    weights = module.weight[index[0]].tolist()
    terms = [_term((i,), given, weight) for i, (given, weight) in enumerate(zip(x.tolist(), weights, strict=True))]
    return "linear", _summed(terms, module.bias, index[0]), terms


def _summed(terms: list[dict[str, Any]], bias: Tensor | None, unit: int) -> list[Step]:
    total = sum(term["product"] for term in terms)
    steps = [Step(f"sum of {len(terms)} products", total)]
    if bias is not None:
        own = bias[unit].item()
        steps.append(Step(f"{_n(total)} + bias {_n(own)}", total + own))
    return steps


def _pair(sides: Any) -> tuple[int, int]:
    """(height, width), of which torch's modules keep one number or two."""
    return (sides, sides) if isinstance(sides, int) else tuple(sides)


def _window(x: Tensor, index: tuple[int, ...], pool: nn.MaxPool2d | nn.AvgPool2d) -> list[dict[str, Any]]:
    """The values under a pooling window, without the padding."""
    channel, row, column = index
    (size, _), (stride, _), (above, before) = (_pair(each) for each in (pool.kernel_size, pool.stride, pool.padding))
    top, left = row * stride - above, column * stride - before
    rows = range(max(top, 0), min(top + size, x.shape[1]))
    columns = range(max(left, 0), min(left + size, x.shape[2]))
    return [_term((channel, y, z), x[channel, y, z].item()) for y in rows for z in columns]


def _mean_pool(module: nn.AvgPool2d | nn.AdaptiveAvgPool2d, x: Tensor, index: tuple[int, ...]) -> _Explained:
    channel, row, column = index
    if isinstance(module, nn.AdaptiveAvgPool2d):
        bounds = [
            (place * side // size, -(-(place + 1) * side // size))
            for place, side, size in zip((row, column), x.shape[1:], _pair(module.output_size), strict=True)
        ]
        places = [(channel, y, z) for y in range(*bounds[0]) for z in range(*bounds[1])]
        window = [_term(place, x[place].item()) for place in places]
    else:
        window = _window(x, index, module)
    total = sum(term["input"] for term in window)
    steps = [Step(f"sum of {len(window)} values", total), Step(f"{_n(total)} / {len(window)}", total / len(window))]
    return "mean-pool", steps, window


def _lrn(module: LocalResponseNorm, x: Tensor, index: tuple[int, ...]) -> _Explained:
    channel, row, column = index
    per_group = len(x) // module.groups
    low = channel // per_group * per_group
    near = range(max(channel - module.size // 2, low), min(channel + module.size // 2 + 1, low + per_group))
    terms = [_term((c, row, column), x[c, row, column].item()) for c in near]
    squares = sum(term["input"] ** 2 for term in terms)
    s, form = (
        (module.alpha / module.size, f"{module.alpha:g} / {module.size}")
        if module.divide
        else (module.alpha, f"{module.alpha:g}")
    )
    scale = module.k + s * squares
    given = x[index].item()
    steps = [
        Step(f"sum of the squares of {len(terms)} neighboring channels", squares),
        Step(f"k + alpha · sum = {module.k:g} + {form} · {_n(squares)}", scale),
        Step(f"{_n(given)} / {_n(scale)}^{module.beta:g}", _over(given, scale, module.beta)),
    ]
    return "lrn", steps, terms


def _spatial(module: SpatialResponseNorm, x: Tensor, index: tuple[int, ...]) -> _Explained:
    channel, row, column = index
    reach = module.size // 2
    rows = range(max(row - reach, 0), min(row + reach + 1, x.shape[1]))
    columns = range(max(column - reach, 0), min(column + reach + 1, x.shape[2]))
    terms = [_term((channel, y, z), x[channel, y, z].item()) for y in rows for z in columns]
    squares = sum(term["input"] ** 2 for term in terms)
    scale = 1 + module.alpha * squares / module.size**2
    given = x[index].item()
    steps = [
        Step(f"sum of the squares of {len(terms)} pixels around it in the same map", squares),
        Step(f"1 + {module.alpha:g} / {module.size}² · {_n(squares)}", scale),
        Step(f"{_n(given)} / {_n(scale)}^{module.beta:g}", _over(given, scale, module.beta)),
    ]
    return "spatial-norm", steps, terms


def _batch_norm(module: nn.BatchNorm2d, x: Tensor, index: tuple[int, ...]) -> _Explained:
    channel, given = index[0], x[index].item()
    assert module.running_mean is not None
    assert module.running_var is not None
    mean, variance = module.running_mean[channel].item(), module.running_var[channel].item()
    scaled = _over(given - mean, variance + module.eps, 0.5)
    weight, bias = module.weight[channel].item(), module.bias[channel].item()
    steps = [
        Step(f"({_n(given)} − mean {_n(mean)}) / √(variance {_n(variance)} + {module.eps:g})", scaled),
        Step(f"{_n(scaled)} × weight {_n(weight)} + bias {_n(bias)}", scaled * weight + bias),
    ]
    return "batch-norm", steps, [_term(index, given)]


def _softmax(found: Trace, index: tuple[int, ...], value: float) -> Account:
    logits = found.logits.double()
    largest = logits.max().item()
    powers = (logits - largest).exp()
    own, total = powers[index].item(), powers.sum().item()
    terms = [
        {"at": [i], "input": logit, "product": power}
        for i, (logit, power) in enumerate(zip(logits.tolist(), powers.tolist(), strict=True))
    ]
    steps = [
        Step(f"exp({_n(logits[index].item())} − {_n(largest)}), the largest logit taken off", own),
        Step(f"sum of {len(terms)} exponentials", total),
        Step(f"{_n(own)} / {_n(total)}", own / total),
    ]
    kept = sorted(terms, key=lambda term: -term["product"])[:MOST_TERMS]
    others = total - sum(term["product"] for term in kept)
    return Account(SOFTMAX, SOFTMAX, index, value, steps, kept, others, found.below(SOFTMAX))


def _sigmoid(found: Trace, index: tuple[int, ...], value: float) -> Account:
    logit = found.logits[index].double()
    power = (-logit).exp().item()
    steps = [
        Step(f"exp(−{_n(logit.item())})" if logit >= 0 else f"exp({_n(-logit.item())})", power),
        Step(f"1 / (1 + {_n(power)})", 1 / (1 + power)),
    ]
    return Account(SIGMOID, SIGMOID, index, value, steps, [_term(index, logit.item())], 0.0, found.below(SIGMOID))


def _term(at: tuple[int, ...], given: float, weight: float | None = None) -> dict[str, Any]:
    term: dict[str, Any] = {"at": list(at), "input": given}
    return term if weight is None else term | {"weight": weight, "product": given * weight}


def _over(value: float, scale: float, power: float) -> float:
    """value / scale ** power in float64, as torch has it also where that is no finite number."""
    return (torch.tensor(value, dtype=torch.float64) / torch.tensor(scale, dtype=torch.float64) ** power).item()


def _n(value: float) -> str:
    return f"{value:.4g}"
