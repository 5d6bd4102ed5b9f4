"""Another runtime answers as PyTorch does, is refused in one line where it does not, and is chosen by timing."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.graphs import runtimes as graphs
from alexnet.inference import runtimes
from alexnet.inference.data import dataset_for
from alexnet.inference.evaluate import evaluate
from alexnet.inference.fast import at_precision
from alexnet.inference.features import features
from alexnet.inference.model import Model
from alexnet.serving.app import create_app

INSTALLED = [name for name in graphs.EXTRAS if not graphs.missing(name)]


class Stub:
    """A runtime that is PyTorch itself, off by `shift`, and fp32 but for OpenVINO."""

    shift = 0.0
    network: Any = None
    taps: Sequence[str] = ()

    def __init__(self, content: bytes, name: str, precision: str = "fp32"):
        self.name, self.precision = name, precision

    def __call__(self, x: np.ndarray) -> list[np.ndarray]:
        with torch.no_grad():
            x_ = torch.from_numpy(x)
            found = Stub.network.tap(x_, Stub.taps).values() if Stub.taps else [Stub.network(x_)]
        return [(each + Stub.shift).numpy() for each in found]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, opened: Model) -> type[Stub]:
    """Both runtimes installed, in no time; the choices of 'auto' in a folder of the test's own."""

    def graph_of(network: torch.nn.Module, taps: Sequence[str] = ()) -> bytes:
        Stub.network, Stub.taps = network, taps
        return b"graph"

    monkeypatch.setattr(Stub, "shift", 0.0)
    monkeypatch.setattr(graphs, "Runner", Stub)
    monkeypatch.setattr(graphs, "missing", lambda name: None)
    monkeypatch.setattr(graphs, "precisions", lambda name: ("fp32", "bf16", "int8")[: 3 if name == "openvino" else 1])
    monkeypatch.setattr(graphs, "graph_of", graph_of)
    monkeypatch.setattr(runtimes.metadata, "version", lambda name: "1")
    monkeypatch.setattr(runtimes, "cache", lambda: tmp_path / "cache" / "runtimes.json")
    return Stub


@pytest.mark.skipif(not INSTALLED, reason="needs alexnet[onnx] or alexnet[onnx,openvino]")
def test_a_run_answers_as_in_pytorch(opened: Model) -> None:
    """All test images, and the taps of features, in every runtime that is installed."""
    images = dataset_for(opened)
    plain, layers = evaluate(opened, images), ("conv1:pre", "conv2", "fc4")
    layers = tuple(name for name in layers if name.partition(":")[0] in opened.module.layer_names)  # pyright: ignore
    some = [images[i][0] for i in range(3)]
    expected = features(opened, some, layers)
    for name in INSTALLED:
        model = runtimes.ready(opened, "fp32", name)
        assert (model.runtime, model.precision) == (name, "fp32")
        found = evaluate(model, images)
        assert (found.figures.runtime, found.figures.to_json()["runtime"]) == (name, name)
        assert found.figures.top1 == plain.figures.top1
        np.testing.assert_allclose(found.losses, plain.losses, atol=1e-5)
    for layer, values in features(opened, some, layers, runtime=INSTALLED[-1]).items():
        np.testing.assert_allclose(values, expected[layer], rtol=1e-4, atol=1e-5)
    assert "runtime" not in plain.figures.to_json()


def test_answers_that_differ_are_refused(stub: type[Stub], opened: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    for shift, precision, taken in ((1e-6, None, True), (0.1, None, False), (float("nan"), None, False)):
        monkeypatch.setattr(stub, "shift", shift)
        if taken:
            assert runtimes.ready(opened, precision, "openvino").runtime == "openvino"
            continue
        with pytest.raises(InputError, match=r"^the runtime openvino is not taken: in fp32 it is .* off PyTorch"):
            runtimes.ready(opened, precision, "openvino")
        with pytest.raises(InputError, match="the runtime onnxruntime is not taken"):
            features(opened, [dataset_for(opened)[0][0]], ["conv1"], runtime="onnxruntime")


def test_what_is_asked_for_and_cannot_be(stub: type[Stub], opened: Model) -> None:
    with pytest.raises(InputError, match="unknown runtime 'tvm'; choose one of: auto, torch, onnxruntime, openvino"):
        runtimes.ready(opened, None, "tvm")
    with pytest.raises(InputError, match="onnxruntime computes in fp32 on this processor, not in bf16"):
        runtimes.ready(opened, "bf16", "onnxruntime")
    moved = runtimes.ready(opened, "bf16", "openvino")
    assert moved.precision == "bf16"
    assert at_precision(moved, "auto") is moved
    with pytest.raises(InputError, match="computes in bf16 in openvino"):
        at_precision(moved, "fp32")
    graph = Model(
        torch.nn.Linear(1, 1), opened.classes, opened.preprocessing, opened.card, Path("x.onnx"), exported=True
    )
    assert runtimes.ready(graph, "fp32", "auto") is graph
    with pytest.raises(InputError, match=r"'x\.onnx' is an exported file.*: leave out 'openvino'"):
        runtimes.ready(graph, "fp32", "openvino")


def test_int8_is_openvinos_and_only_when_it_is_asked_for(
    stub: type[Stub], opened: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    for runtime in ("openvino", "auto"):
        taken = runtimes.ready(opened, "int8", runtime)
        assert (taken.runtime, taken.precision) == ("openvino", "int8")
    assert runtimes.precision_of("openvino", "auto") != "int8"
    for refused in (lambda: runtimes.ready(opened, "int8"), lambda: runtimes.chosen_for(opened, "int8", "torch")):
        with pytest.raises(InputError, match=r"^precision int8 needs the runtime openvino .* PyTorch computes in fp32"):
            refused()
    with pytest.raises(InputError, match="onnxruntime computes in fp32 on this processor, not in int8"):
        runtimes.ready(opened, "int8", "onnxruntime")
    monkeypatch.setattr(stub, "shift", 10.0)
    with pytest.raises(InputError, match=r"^the runtime openvino is not taken: in int8 it is .* off PyTorch"):
        runtimes.ready(opened, "int8", "openvino")
    monkeypatch.setattr(graphs, "missing", lambda name: "it is not there")
    with pytest.raises(InputError, match="precision int8 needs the runtime openvino"):
        runtimes.ready(opened, "int8", "auto")


def test_a_missing_extra_is_a_line(opened: Model, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs.importlib.util, "find_spec", lambda name: None if name == "openvino" else name)
    with pytest.raises(InputError, match=r"^openvino needs openvino: pip install 'alexnet\[onnx,openvino\]'$"):
        runtimes.ready(opened, None, "openvino")


@pytest.mark.parametrize("quick", ["torch", "onnxruntime", "openvino"])
def test_auto_takes_the_quickest_and_remembers_it(
    stub: type[Stub], opened: Model, monkeypatch: pytest.MonkeyPatch, quick: str
) -> None:
    """A clock by which every call of `quick` takes a tenth of the others'."""
    scores = {name: 0.1 if name == quick else 1.0 for name in ("torch", "onnxruntime", "openvino")}
    asked: list[Sequence[str]] = []

    def timed(model: Model, precision: str | None, names: Sequence[str]) -> str:
        asked.append(names)
        return min(("torch", *names), key=lambda name: scores[name])

    monkeypatch.setattr(runtimes, "_timed", timed)
    assert runtimes.ready(opened, "fp32", "auto").runtime == quick
    assert runtimes.ready(opened, "fp32", "auto").runtime == quick
    assert asked == [["onnxruntime", "openvino"]]  # once
    runtimes.ready(opened, "bf16", "auto")
    assert asked[1:] == [["openvino"]]  # another precision is another choice, among those that have it
    runtimes.cache().write_text("{damaged")
    assert runtimes.quickest(opened, "fp32") == quick
    monkeypatch.setattr(graphs, "missing", lambda name: "it is not there")
    assert runtimes.quickest(opened, "fp32") == "torch"


def test_auto_times_every_runtime_in_turn(stub: type[Stub], opened: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still but where OpenVINO computes: it is never taken, and the first of the others is."""
    clock, call = [0.0], stub.__call__

    def slow(self: Stub, x: np.ndarray) -> list[np.ndarray]:
        clock[0] += 1.0 if self.name == "openvino" else 0.01
        return call(self, x)

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        clock[0] += 0.1
        return self.network(x)

    monkeypatch.setattr(stub, "__call__", slow)
    monkeypatch.setattr("alexnet.models.quick.Quick.forward", forward)
    monkeypatch.setattr(runtimes.time, "perf_counter", lambda: clock[0])
    assert runtimes._timed(opened, "fp32", ["onnxruntime", "openvino"]) == "onnxruntime"
    assert runtimes._timed(opened, "fp32", ["openvino"]) == "torch"


def test_the_verbs_take_it_and_say_it(
    stub: type[Stub], trained: Run, command: Callable[..., Any], tmp_path: Path, opened: Model
) -> None:
    ended = command("evaluate", trained.path, "--runtime", "openvino", "--json")
    assert json.loads(ended.out)["runtime"] == "openvino"
    assert "runtime: openvino in fp32" in ended.err
    Image.fromarray(dataset_for(opened)[0][0].squeeze()).save(tmp_path / "x.png")
    for name in ("torch", "onnxruntime"):
        ended = command("predict", trained.path, tmp_path / "x.png", "--runtime", name, "--json")
        assert ended.code == 0, ended
        assert ("runtime: onnxruntime in fp32" in ended.err) == (name == "onnxruntime")
    out = tmp_path / "features.npz"
    words = ("--data", tmp_path / "x.png", "--layers", "conv1,conv2", "--out", out, "--runtime", "openvino")
    ended = command("features", trained.path, *words)
    assert ended.code == 0, ended
    assert "runtime: openvino in fp32" in ended.err
    with np.load(out, allow_pickle=False) as found:
        assert any("openvino" in str(found[key]) for key in found.files if found[key].dtype.kind in "US")
    (engine,) = create_app([opened], runtime="openvino").state.engines.all.values()
    assert (engine.runtime, engine.precision) == ("openvino", "fp32")
    engine.close()
