"""What two frameworks must agree on: outputs, the loss's gradient for every parameter, and running statistics.

Everything passes between them as NumPy arrays under our names and in our layout (images N × C × H × W, convolutions
out × in × height × width, fully connected out × in with inputs flattened channel first).
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from torch import nn

from alexnet.models.network import Network

Weights = dict[str, np.ndarray]

Table = Callable[..., None]
"""table(section, **cells) adds a row to a section of docs/PARITY.md."""

BOUNDS = {"float32": 1e-5, "float64": 1e-10}
"""Largest ‖difference‖ / ‖reference‖ that counts as equal."""
_BATCHES = 12  # of eight batches of alexnet-slim, two had a unit that our float32 put on the other side (AVX2)


@dataclass(frozen=True)
class Draw:
    """Random images (float64, N × C × H × W) and labels."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Result:
    """One forward and backward pass through the mean cross-entropy over the batch."""

    outputs: np.ndarray
    gradients: Weights = field(default_factory=dict)
    statistics: Weights = field(default_factory=dict)
    """Running means and variances after the pass."""


class Origin(Protocol):
    """A network in its own framework."""

    output: str
    """What `run` returns: 'logits' or 'log-probabilities'."""

    def load(self, weights: Weights) -> None: ...
    def weights(self) -> Weights: ...
    def stir(self) -> None: ...
    def run(self, draw: Draw, training: bool = False) -> Result: ...


@dataclass(frozen=True)
class Difference:
    output: float
    gradient: float
    """The worst parameter's."""
    parameter: str
    draws: int = 1
    """Random batches until one said something (see `agree`)."""

    @property
    def worst(self) -> float:
        return max(self.output, self.gradient)

    @property
    def cells(self) -> dict[str, object]:
        """For a row of a table."""
        return {
            "output": self.output, "worst_gradient": self.gradient, "of": self.parameter, "draws": self.draws
        }  # fmt: skip


def relative(got: np.ndarray, reference: np.ndarray) -> float:
    """‖got − reference‖ / ‖reference‖ (Euclidean)."""
    if got.shape != reference.shape:
        raise ValueError(f"{got.shape} against {reference.shape}")
    return float(np.linalg.norm((got - reference).ravel()) / np.linalg.norm(reference.ravel()))


def difference(got: Result, reference: Result) -> Difference:
    """Compares two results parameter by parameter; both must have the same ones."""
    if got.gradients.keys() != reference.gradients.keys():
        raise ValueError(f"parameters differ: {sorted(got.gradients.keys() ^ reference.gradients.keys())}")
    gradients = {name: relative(got.gradients[name], reference.gradients[name]) for name in reference.gradients}
    parameter = max(gradients, key=gradients.__getitem__, default="–")
    return Difference(relative(got.outputs, reference.outputs), gradients.get(parameter, 0.0), parameter)


def draw(model: Network, seed: int, scale: float = 1.0, count: int = 2) -> Draw:
    """Normal images with standard deviation `scale` of the size that `model` takes, and labels."""
    generator = np.random.default_rng(seed)
    images = generator.normal(0, scale, (count, *model.input))
    # Rounded to float32 so that both precisions see the same image.
    return Draw(images.astype(np.float32).astype(np.float64), generator.integers(0, model.classes, count))


def randomize(model: nn.Module, seed: int, scale: float = 1.0) -> None:
    """Weights that let every parameter matter: variance kept from layer to layer, no bias and no statistic at its rest.

    `scale` is that of the images; biases follow it and the last layer undoes it, so that no probability saturates.
    Biases are as large as activations: under BatchNorm, the gradient of a small one is a difference of large numbers,
    which float32 cannot resolve to 1e-5 (either framework against its own float64).
    """
    generator = torch.Generator().manual_seed(seed)
    state = model.state_dict()
    last = [name for name in state if name.endswith(".weight")][-1]
    for name, value in state.items():
        noise = torch.randn(value.shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            continue
        if value.ndim > 1:
            noise *= (2 / value[0].numel()) ** 0.5 / (scale if name == last else 1)
        elif name.endswith("running_var"):
            noise = 1 + 0.5 * noise.tanh()
        elif name.startswith("bn") and name.endswith("weight"):
            noise = 1 + 0.1 * noise
        else:
            noise *= 1 if name.startswith(("fc8", "bn")) else scale
        value.copy_(noise)


def weights(model: nn.Module) -> Weights:
    """All parameters and running statistics of our network."""
    state = model.state_dict()
    return {name: value.numpy().copy() for name, value in state.items() if not name.endswith("num_batches_tracked")}


def load(model: nn.Module, values: Weights) -> None:
    """The other way round; every name must be there."""
    state = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in values.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    wrong = [name for name in missing if not name.endswith("num_batches_tracked")] + list(unexpected)
    if wrong:
        raise ValueError(f"parameters differ: {wrong}")


def ours(model: nn.Module, draw: Draw, output: str, training: bool = False) -> Result:
    """Our network's result, in the precision that its weights have."""
    kind = next(model.parameters()).dtype
    model.train(training).zero_grad(set_to_none=True)
    outputs = model(torch.from_numpy(draw.images).to(kind))
    log_probabilities = outputs.log_softmax(1)
    nn.functional.nll_loss(log_probabilities, torch.from_numpy(draw.labels)).backward()
    return Result(
        (log_probabilities if output == "log-probabilities" else outputs).detach().numpy(),
        {name: value.grad.numpy() for name, value in model.named_parameters() if value.grad is not None},
        {name: value.numpy() for name, value in model.named_buffers() if ".running_" in name},
    )


def outputs(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """Our network's raw outputs in evaluation, without gradients."""
    with torch.no_grad():
        kind = next(model.parameters()).dtype
        return model.eval()(torch.from_numpy(images).to(kind)).numpy()


def layer_by_layer(
    model: Network, images: np.ndarray, run: Callable[[list[str]], Iterable[np.ndarray]]
) -> Iterator[tuple[str, tuple[int, ...], float]]:
    """Name, shape and difference of every layer that frameworks agree on; `run` gives the origin's outputs of those."""
    layers = [layer for layer in model.layer_names if layer.startswith(("relu", "norm", "pool", "fc8"))]
    assert len(layers) == 7 + 2 + 3 + 1
    with torch.no_grad():
        ours = model.tap(torch.from_numpy(images), layers)
    for layer, reference in zip(layers, run(layers), strict=True):
        got = ours[layer].numpy()
        yield layer, got.shape[1:], relative(got, reference.reshape(got.shape))


def same_count(model: Network, origin: Origin, precision: str, table: Table) -> None:
    """Parameters and running statistics: the catalog's number is ours and the origin's."""
    made, theirs = (sum(value.size for value in values.values()) for values in (weights(model), origin.weights()))
    if precision == "float32":
        table("Parameters", network=model.spec.name, catalog=model.spec.parameters, ours=made, origin=theirs)
    assert model.spec.parameters == made == theirs


def both_ways(model: nn.Module, origin: Origin) -> Iterator[str]:
    """Passes our weights to the origin, then the origin's own to us; yields the direction each time."""
    origin.stir()
    initial = origin.weights()
    origin.load(weights(model))
    yield "ours → origin"
    load(model, initial)
    origin.load(initial)
    yield "origin → ours"


def agree(model: Network, origin: Origin, precision: str, scale: float = 1.0, training: bool = False) -> Difference:
    """The difference on a random batch, when both carry the same weights.

    In float32 a unit that stands within rounding of a kink (ReLU at 0, two equal values in a pool) may fall on either
    side in either framework, and then a whole path of gradients differs. Such a batch says nothing about the network
    (float64 shows that), so another is drawn; the number is reported. At most three batches may differ without our own
    float64 showing that it is our float32 that fell on the other side, which depends on the processor.
    """
    seed, unexplained = 1, 0
    while True:
        batch = draw(model, seed, scale)
        got = ours(model, batch, origin.output, training)
        found = replace(difference(got, origin.run(batch, training)), draws=seed)
        if precision != "float32" or found.worst <= BOUNDS[precision]:
            return found
        exact = ours(copy.deepcopy(model).double(), batch, origin.output, training)
        unexplained += difference(got, exact).worst <= BOUNDS[precision]
        if unexplained == 3 or seed == _BATCHES:
            return found
        seed += 1
