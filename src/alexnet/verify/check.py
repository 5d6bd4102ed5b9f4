"""Proof that the networks are what their sources say: each against figures and formulas written down apart from it.

Nothing here reads how a network was described. Counts, layouts and shapes come from the modules that were made, and the
numerics from plain loops in float64.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet.models import catalog, layers
from alexnet.models.init import INITIALIZATIONS, initialize
from alexnet.models.network import Network, build, module_of
from alexnet.models.spec import Spec
from alexnet.models.structure import Conv, Linear, Pool
from alexnet.models.towers import Towers
from alexnet.verify.literals import (
    CALTECH_PARAMETERS,
    LAYOUTS,
    NORMS,
    OUTPUTS,
    STARTS,
    WITH_THESE_OUTPUTS,
    Norm,
)

EXACT = 1e-12
"""The largest relative difference that float64 is allowed."""


@dataclass(frozen=True)
class Check:
    what: str
    expected: str
    got: str
    source: str
    passed: bool


def verify(progress: Callable[[Check], None] = lambda check: None) -> list[Check]:
    """Every check, in order; `progress` sees each as soon as it is done. Offline; torch's generator is left alone."""
    checks = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2012)
        for check in _checks():
            checks.append(check)
            progress(check)
    return checks


def _checks() -> Iterator[Check]:
    for spec in catalog.CATALOG.values():
        yield from check_network(spec)
    yield from check_padding()
    for name in ("alexnet-2012", "alexnet-2012-as-run"):
        yield from check_towers(catalog.get(name))
    for name in INITIALIZATIONS:
        yield check_initialization(name)


def _equal(what: str, expected: object, got: object, source: str) -> Check:
    return Check(what, str(expected), str(got), source, expected == got)


def _close(what: str, expected: Tensor, got: Tensor, formula: str, source: str) -> Check:
    difference = (got - expected).norm().item() / expected.norm().item() if got.shape == expected.shape else math.inf
    return Check(what, f"{formula}, to {EXACT:g}", f"{difference:.1e}", source, difference <= EXACT)


# A network's shapes, counts and layout --------------------------------------------------------------------------------


def check_network(spec: Spec) -> Iterator[Check]:
    """Parameter counts, shape, layout and normalization of one network against the literals of the catalog."""
    with torch.device("meta"):
        model = catalog.create(spec.name)
    trainable = sum(p.numel() for p in model.parameters())
    statistics = sum(b.numel() for name, b in model.named_buffers() if ".running_" in name)
    found = {
        "parameters": trainable + statistics * spec.counts_statistics,
        "trainable_parameters": trainable,
        "statistics": statistics,
    }
    for what, count in found.items():
        if what == "parameters" or getattr(spec, what) not in (0, spec.parameters):
            label = what.replace("_", " ")
            yield _equal(f"{spec.name}: {label}", f"{getattr(spec, what):,}", f"{count:,}", spec.source)
    words, outputs = traced(model)
    shape = f"{'×'.join(map(str, model.input))} → {list(outputs.values())[-1][0]}"
    yield _equal(f"{spec.name}: shape", f"{'×'.join(map(str, spec.input))} → {spec.classes}", shape, spec.source)
    if spec.layers:
        yield _equal(f"{spec.name}: layers", LAYOUTS.get(spec.name, "not written down"), words, spec.source)
    if spec.name in WITH_THESE_OUTPUTS:
        named = {name: output for name, output in outputs.items() if name in OUTPUTS}
        yield _equal(f"{spec.name}: layer table", _table(OUTPUTS), _table(named), spec.source)
    if spec.name == "alexnet-caltech":
        counts = tuple(count for part in model if (count := _held(part)))
        yield _equal(f"{spec.name}: parameters by layer", CALTECH_PARAMETERS, counts, spec.source)
    yield from _check_norms(spec, model)


def _table(outputs: dict[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in outputs.items())


def _held(part: nn.Module) -> int:
    """Parameters and running statistics, as Keras counts."""
    return sum(x.numel() for x in part.state_dict().values() if x.ndim)


def traced(model: Network) -> tuple[str, dict[str, tuple[int, ...]]]:
    """A network's modules in the words of verify/literals.py, and the shape of each one's output for one image."""
    words: list[str] = []
    outputs: dict[str, tuple[int, ...]] = {}
    x = torch.empty(1, *model.input, device="meta")
    with torch.no_grad():
        for name, part in model.named_children():
            y = part(x)
            words.append(_word(part, x, y))
            outputs[name] = tuple(y.shape[1:])
            x = y
    return " ".join(filter(None, words)), outputs


def _word(part: nn.Module, x: Tensor, y: Tensor) -> str:
    match part:
        case nn.Conv2d(padding=(int(), int(left))):
            groups = f"g{part.groups}" if part.groups > 1 else ""
            pads = part.pads[:2] if isinstance(part, layers.PaddedConv2d) else (left, left)
            window = _window(part.kernel_size[0], part.stride[0], pads)
            return f"{part.out_channels}@{window}{groups}{'-bias' if part.bias is None else ''}"
        case nn.MaxPool2d(kernel_size=int(size), stride=int(stride)):
            left = part.padding[1] if isinstance(part.padding, tuple) else part.padding
            return "max" + _window(size, stride, _covered(x, y, size, stride, left, part.ceil_mode))
        case nn.AvgPool2d(kernel_size=int(size), stride=int(stride)):
            return "mean" + _window(size, stride, _covered(x, y, size, stride, 0, part.ceil_mode))
        case nn.AdaptiveAvgPool2d():
            return f"avg{part.output_size}"
        case nn.Linear():
            return f"fc{part.out_features}"
        case nn.Dropout():
            return f"drop{part.p:g}".replace("0.", ".")
        case layers.ScaledDropout():
            return f"hs{part.p:g}".replace("0.", ".")
    plain = {
        nn.ReLU: "relu",
        nn.Tanh: "tanh",
        layers.LocalResponseNorm: "norm",
        layers.SpatialResponseNorm: "cnorm",
        nn.BatchNorm2d: "bn",
        nn.LogSoftmax: "logsoftmax",
        nn.Flatten: "",
    }
    return plain.get(type(part), type(part).__name__)


def _covered(x: Tensor, y: Tensor, size: int, stride: int, left: int, ceil: bool) -> tuple[int, int]:
    """Pixels before and after the image that pooling's windows cover."""
    return left, (y.shape[-1] - 1) * stride + size - x.shape[-1] - left if ceil else left


def _window(kernel: int, stride: int, pads_of: tuple[int, int]) -> str:
    before, after = pads_of
    pads = f"+{before}" if before == after else f"+{before}:{after}"
    return f"{kernel}{f'/{stride}' if stride > 1 else ''}{pads if before or after else ''}"


# Normalization, by its formula ----------------------------------------------------------------------------------------


def _check_norms(spec: Spec, model: Network) -> Iterator[Check]:
    x = 50 * torch.randn(2, 24, 6, 7, dtype=torch.float64)
    for name, part in model.named_children():
        what = f"{spec.name}: {name}"
        if isinstance(part, layers.LocalResponseNorm) and spec.name in NORMS:
            form = NORMS[spec.name]
            scale = f"{form.alpha:.3g}{f'/{form.n}' if form.divided else ''}"
            formula = f"a / ({form.k:g} + {scale} Σ a²)^.75, n = {form.n}{', per tower' * (form.towers > 1)}"
            yield _close(what, across_channels(x, form), part(x), formula, spec.source)
        if isinstance(part, layers.SpatialResponseNorm):
            yield _close(what, within_maps(x), part(x), "a / (1 + 1e-3/25 Σ a²)^.75 over 5 × 5 pixels", spec.source)


def across_channels(x: Tensor, form: Norm) -> Tensor:
    """The published formula of LRN, channel by channel."""
    result, width = torch.empty_like(x), x.shape[1] // form.towers
    for i in range(x.shape[1]):
        start = i // width * width
        window = x[:, max(start, i - form.n // 2) : min(start + width, i + form.n // 2 + 1)]
        total = (window * window).sum(1)
        result[:, i] = x[:, i] / (form.k + form.alpha / (form.n if form.divided else 1) * total) ** 0.75
    return result


def within_maps(x: Tensor) -> Tensor:
    """The spatial normalization of configuration 145, pixel by pixel."""
    result = torch.empty_like(x)
    for row in range(x.shape[2]):
        for column in range(x.shape[3]):
            window = x[:, :, max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
            total = (window * window).sum((2, 3))
            result[:, :, row, column] = x[:, :, row, column] / (1 + 1e-3 / 25 * total) ** 0.75
    return result


# Padding, window by window --------------------------------------------------------------------------------------------


def check_padding() -> Iterator[Check]:
    """The lopsided windows of the family, on images small enough for loops."""
    keras = "https://www.tensorflow.org/api_docs/python/tf/nn, notes on padding"
    code = "https://github.com/computerhistory/AlexNet-Source-Code, layer.py:1004"
    for side, kernel, stride, padding, starts, source in (
        (32, 11, 4, "same", range(-3, 29, 4), keras),
        (32, 11, 2, "same", range(-4, 28, 2), keras),
        (28, 11, 4, "ceil", range(0, 21, 4), code),
    ):
        x = torch.randn(1, 3, side, side, dtype=torch.float64)
        layer = module_of(Conv(2, kernel, stride, padding), x.shape[1:]).double()
        weight, bias = layer.parameters()
        roomy = F.pad(x, (kernel,) * 4)
        patches = [
            roomy[0, :, kernel + r : 2 * kernel + r, kernel + c : 2 * kernel + c] for r in starts for c in starts
        ]
        expected = torch.stack([(weight * patch).sum((1, 2, 3)) + bias for patch in patches], 1)
        what = f"{kernel} × {kernel} convolution, stride {stride}, '{padding}', on {side} pixels"
        windows = f"{len(starts)} windows a side from pixel {starts[0]}"
        yield _close(what, expected.view(1, 2, len(starts), len(starts)), layer(x), windows, source)
    for side, starts in ((8, range(0, 7, 2)), (7, range(-1, 6, 2))):
        x = torch.randn(1, 1, side, side, dtype=torch.float64) - 9
        cells = [x[0, 0, max(r, 0) : r + 3, max(c, 0) : c + 3].max() for r in starts for c in starts]
        what = f"3 × 3 max pool, stride 2, 'same', on {side} pixels"
        windows = f"{len(starts)} windows a side from pixel {starts[0]}, padding never wins"
        yield _close(
            what,
            torch.stack(cells).view(1, 1, len(starts), -1),
            module_of(Pool(3, 2, "same"), x.shape[1:])(x),
            windows,
            keras,
        )


# Two towers -----------------------------------------------------------------------------------------------------------


def narrowed(spec: Spec) -> Network:
    """A network of the same form with an eighth of the filters and a 64th of the hidden units, in float64."""
    rows = []
    for layer in spec.layers:
        if isinstance(layer, Conv):
            layer = replace(layer, out=layer.out // 8)
        elif isinstance(layer, Linear) and layer.out:
            layer = replace(layer, out=layer.out // 64)
        rows.append(layer)
    network = build(tuple(rows), (3, 71, 71), classes=10).double().eval()
    network.spec = spec
    initialize(network, "he")
    return network


def check_towers(spec: Spec) -> Iterator[Check]:
    """Outputs, gradients, exchanges and the way back, of a narrow network of the same form."""
    network = narrowed(spec)
    towers = Towers(network, ("cpu", "cpu"))
    x, labels = 3 * torch.randn(4, 3, 71, 71, dtype=torch.float64), torch.tensor([0, 3, 6, 9])
    logits = {"one device": network(x), "two towers": towers(x)}
    for output in logits.values():
        F.cross_entropy(output, labels).backward()
    source = "Krizhevsky et al. 2012, section 3.2 and Figure 2; layers/layers-145.cfg"
    what = f"{spec.name}: two towers"
    yield _close(f"{what}, logits", logits["one device"], logits["two towers"], "the grouped network's", source)
    whole = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    halves = {name: p.grad for name, p in towers.named_parameters() if p.grad is not None}
    joined = torch.cat([
        torch.cat([halves[f"{t}.{name}"] for t in "ab" if f"{t}.{name}" in halves]).flatten()
        for name, _ in network.named_parameters()
    ])  # fmt: skip
    yield _close(f"{what}, gradients", whole, joined, "the grouped network's", source)
    yield _equal(f"{what}, exchanges", "conv3 fc6 fc7 fc8", " ".join(towers.exchanges), source)
    back = towers.to_network().state_dict()
    same = all(torch.equal(back[name], tensor) for name, tensor in network.state_dict().items())
    yield _equal(f"{what}, back to one network", "the same weights", "the same weights" if same else "others", source)


# Initial statistics ---------------------------------------------------------------------------------------------------


def check_initialization(name: str) -> Check:
    """Standard deviation, mean and biases of a fresh network within five standard errors of the published ones."""
    start = STARTS[name]
    model = catalog.create(start.network, size=start.size, init=name)
    passed, got, kind = True, [], "U(±{:.3g})" if start.random else "{:.3g}"
    for layer, std in start.std.items():
        weight = model.get_parameter(f"{layer}.weight")
        found = weight.std().item()
        passed &= abs(found - std) <= 5 * std / math.sqrt(2 * weight.numel())
        passed &= abs(weight.mean().item()) <= 5 * std / math.sqrt(weight.numel())
        got.append(f"{layer} {found:.3g}")
    for layer, value in start.bias.items():
        bias = model.get_parameter(f"{layer}.bias")
        found = bias.abs().max().item() if start.random else bias.mean().item()
        narrow, wide = (0.9 * value, 1.000001 * value) if start.random else (value - 1e-6, value + 1e-6)
        passed &= narrow <= found <= wide and (start.random or bias.std().item() < 1e-6)
        got.append(f"{layer} bias {kind.format(found)}")
    expected = [f"{layer} {std:.3g}" for layer, std in start.std.items()]
    expected += [f"{layer} bias {kind.format(value)}" for layer, value in start.bias.items()]
    source = INITIALIZATIONS[name].source
    return Check(f"{start.network}: initialization '{name}'", ", ".join(expected), ", ".join(got), source, passed)
