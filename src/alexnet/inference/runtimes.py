"""In which runtime a model computes: PyTorch, or the network's graph in ONNX Runtime or OpenVINO."""

import dataclasses
import hashlib
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from alexnet.arguments import choice
from alexnet.device import choose_precision, environment
from alexnet.errors import InputError
from alexnet.files import make_folder, read_json, write_json
from alexnet.graphs import runtimes
from alexnet.inference.fast import PRECISIONS, at_precision, quick, torch_precision
from alexnet.inference.model import Model
from alexnet.models.mode import evaluating
from alexnet.models.network import Network

RUNTIMES = ("auto", "torch", *runtimes.EXTRAS)
BOUND = {"fp32": 1e-4, "bf16": 5e-2, "int8": 5e-2}
"""Largest ‖difference‖ / ‖output‖ from PyTorch's fp32 on any image, by precision, at which a runtime is taken."""
_PROBES = (1, 16)  # images in the batches that 'auto' times
_TURNS = 3
_MOST = 2**20  # bytes of the file of choices


def ready(model: Model, precision: str | None = None, runtime: str = "torch") -> Model:
    """`model` at a precision and in a runtime: the one policy of predict, evaluate and serving.

    'torch' is `at_precision`. 'onnxruntime' and 'openvino' run the network's graph on the CPU, once its answers are
    within BOUND of PyTorch's on noise. 'auto' is the quickest that is installed: timed when a model is opened, and
    remembered for a network, precision and machine in the user's cache, so that the same command keeps its runtime.
    `precision` 'auto' is bf16 where processor and runtime have it; None is fp32. `runtime` and `precision` of the
    result say what was taken. InputError for another name, a missing package, a precision that the runtime does not
    have, an exported file, a device that is no CPU, and answers that differ.
    """
    choice("runtime", runtime, RUNTIMES)
    if precision is not None:
        choice("precision", precision, PRECISIONS)
    if runtime == "torch" or (runtime == "auto" and not _movable(model)):
        return at_precision(model, precision)
    if model.exported:
        raise InputError(f"{str(model.path)!r} is an exported file and brings its own runtime: leave out {runtime!r}")
    chosen = chosen_for(model, precision, runtime)
    runtime, its = chosen.runtime, chosen.precision
    if runtime == "torch":
        return at_precision(model, precision)
    content = runtimes.graph_of(model.module)
    run = runtimes.Runner(content, runtime, its)
    _prove(model, lambda x: run(x)[:1], lambda x: [model.module(x)], its, runtime)
    return dataclasses.replace(model, module=InRuntime(run, content), precision=its, runtime=runtime)


@dataclasses.dataclass(frozen=True)
class Chosen:
    """Where and in what a model computes."""

    runtime: str
    precision: str


def chosen_for(model: Model, precision: str | None, runtime: str) -> Chosen:
    """What `ready` takes. InputError for another name, a missing package, a precision that the runtime does not have,
    and a device that is no CPU."""
    choice("runtime", runtime, RUNTIMES)
    if precision is not None:
        choice("precision", precision, PRECISIONS)
    if runtime == "auto":
        runtime = quickest(model, precision) if _movable(model) else "torch"
    if runtime == "torch":
        return Chosen(runtime, torch_precision(precision or "fp32", model.module))
    _on_cpu(model, runtime)
    if line := runtimes.missing(runtime):
        raise InputError(line)
    its = precision_of(runtime, precision)
    if its not in (able := runtimes.precisions(runtime)):
        raise InputError(f"{runtime} computes in {' or '.join(able)} on this processor, not in {its}")
    return Chosen(runtime, its)


def tapped(model: Model, taps: Sequence[str], precision: str, runtime: str) -> Callable[[Tensor], Mapping[str, Tensor]]:
    """What gives a network's taps for a batch, in 'onnxruntime' or 'openvino': float32 N×C×H×W → tensors by tap.

    InputError as `ready`, and when a tap is further than BOUND from PyTorch's.
    """
    network = model.module
    assert isinstance(network, Network)
    _on_cpu(model, runtime)
    run = runtimes.Runner(runtimes.graph_of(network, taps), runtime, precision)

    def plain(x: Tensor) -> list[Tensor]:
        return list(network.tap(x, taps).values())

    _prove(model, run, plain, precision, runtime)
    return lambda x: dict(zip(taps, map(torch.from_numpy, run(x.numpy())), strict=True))


class InRuntime(nn.Module):
    """A graph in a runtime as a module: float N×C×H×W → the network's output, float32 N×K."""

    def __init__(self, run: runtimes.Runner, content: bytes):
        super().__init__()
        self.run = run
        digest = hashlib.sha256(run.name.encode() + content).digest()
        self.register_buffer("digest", torch.tensor(list(digest), dtype=torch.uint8))
        self.place = nn.Parameter(torch.zeros(0), requires_grad=False)  # says that it runs on the CPU

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self.run(x.numpy())[0])


def precision_of(runtime: str, precision: str | None) -> str:
    """'fp32', 'bf16' or 'int8' for a runtime. InputError for one that it does not have."""
    if precision != "auto":
        return precision or "fp32"
    wanted = choose_precision("auto", torch.device("cpu"))
    return wanted if wanted in runtimes.precisions(runtime) else "fp32"


def quickest(model: Model, precision: str | None) -> str:
    """'torch', 'onnxruntime' or 'openvino': what ran batches of _PROBES quickest on this machine, or what is remembered
    of that."""
    here = [name for name in runtimes.EXTRAS if not runtimes.missing(name)]
    here = [name for name in here if precision_of(name, precision) in runtimes.precisions(name)]
    if not here or precision == "int8":  # which one runtime has, at most
        return here[0] if here else "torch"
    key, place = _key(model, precision, here), cache()
    known = _known(place)
    if known.get(key) not in ("torch", *here):
        known[key] = _timed(model, precision, here)
        make_folder(place.parent)
        write_json(place, known)
    return known[key]


def cache() -> Path:
    """The file in which the choices of 'auto' are kept; it may be deleted."""
    return Path.home() / ".cache" / "alexnet" / "runtimes.json"


def _timed(model: Model, precision: str | None, names: Sequence[str]) -> str:
    content = runtimes.graph_of(model.module)
    calls: dict[str, Callable[[Tensor], object]] = {"torch": quick(model.module, precision or "fp32")}
    for name in names:
        run = runtimes.Runner(content, name, precision_of(name, precision))
        calls[name] = lambda x, run=run: run(x.numpy())
    score = dict.fromkeys(calls, 1.0)
    with torch.inference_mode():
        for count in _PROBES:
            x = torch.rand(count, *_input(model))
            times: dict[str, list[float]] = {name: [] for name in calls}
            for _ in range(_TURNS + 1):  # in turn; the first allocates memory and lays weights out
                for name, call in calls.items():
                    start = time.perf_counter()
                    call(x)
                    times[name].append(time.perf_counter() - start)
            for name, each in times.items():
                score[name] *= statistics.median(each[1:])
    return min(score, key=lambda name: score[name])


def _key(model: Model, precision: str | None, names: Sequence[str]) -> str:
    """What a choice depends on: the network, its input and precision, the machine, and the versions."""
    about = environment(torch.device("cpu"), precision or "fp32")
    versions = {name: metadata.version(name) for name in names}
    said = [model.card.name, *_input(model), len(model.classes), about, versions]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _known(place: Path) -> dict[str, str]:
    try:
        found = read_json(place, _MOST) if place.is_file() else {}
    except InputError:  # damaged: it is measured and written again
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _movable(model: Model) -> bool:
    """Whether another runtime than PyTorch can take it."""
    return isinstance(model.module, Network) and next(model.module.parameters()).device.type == "cpu"


def _on_cpu(model: Model, runtime: str) -> None:
    device = next(model.module.parameters()).device.type
    if device != "cpu":
        raise InputError(f"the runtime {runtime} computes on the CPU, not on {device}: open the model on cpu")


def _input(model: Model) -> tuple[int, ...]:
    assert isinstance(model.module, Network)
    return tuple(model.module.input)


@torch.inference_mode()
def _prove(
    model: Model,
    run: Callable[[np.ndarray], Sequence[np.ndarray]],
    plain: Callable[[Tensor], Sequence[Tensor]],
    precision: str,
    runtime: str,
) -> None:
    """What the runtime gives must be what PyTorch gives, in batches of one and of three."""
    draws = torch.Generator().manual_seed(0)
    for count in (1, 3):
        x = 2 * torch.rand(count, *_input(model), generator=draws) - 1
        with evaluating(model.module):
            wanted = plain(x)
        for got, expected in zip(run(x.numpy()), wanted, strict=True):
            reference = expected.double().flatten(1)
            apart = (torch.from_numpy(got).double().flatten(1) - reference).norm(dim=1)
            worst = float((apart / reference.norm(dim=1).clamp_min(1e-30)).max())
            if not worst <= BOUND[precision]:  # also when it is not a number
                raise InputError(
                    f"the runtime {runtime} is not taken: in {precision} it is {worst:.1e} off PyTorch, and "
                    f"{BOUND[precision]:g} is allowed; take the runtime torch"
                )
