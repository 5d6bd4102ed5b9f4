"""ONNX Runtime and OpenVINO answer as PyTorch does, on every form of network."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from alexnet.errors import InputError
from alexnet.graphs import runtimes
from alexnet.models import catalog
from alexnet.models.network import Network
from alexnet.models.structure import LRN, AveragePool, BatchNorm, Conv, Linear, LogSoftmax, Pool, SpatialNorm, Tanh

EVERY_PART = (
    *(Conv(8, 5, stride=2, padding="ceil"), LRN(5, 0.02, 0.75, 2, divide=True, groups=2), Pool(3, 2, "same"), Tanh()),
    *(Conv(12, 3, groups=2), LRN(3, 0.02, 0.75, 1, divide=False), SpatialNorm(5, 0.01, 0.75), BatchNorm()),
    *(Conv(8, 3, bias=False), Pool(2, 2, "same"), AveragePool(3), Linear(None), LogSoftmax()),
)
"""Groups (the two towers of 2012), all forms of LRN, odd padding and BatchNorm."""


def parts() -> Network:
    torch.manual_seed(0)
    spec = replace(catalog.get("figure1-relu"), architecture=EVERY_PART)
    return catalog.build(spec, (3, 21, 23), 4).eval()


@pytest.mark.parametrize(("form", "count"), [("parts", 0), ("parts", 4), ("resnet-20", 0)])
def test_they_answer_as_pytorch_does(make, form: str, count: int) -> None:
    """The output, or as many taps: the first layers and the last."""
    installed = [name for name in runtimes.EXTRAS if not runtimes.missing(name)]
    if not installed:
        pytest.skip("needs alexnet[onnx] or alexnet[onnx,openvino]")
    network = parts() if form == "parts" else make("resnet-20", size=16).module
    taps = (*network.layer_names[: count - 1], network.layer_names[-1]) if count else ()
    content = runtimes.graph_of(network, taps)
    for name in installed:
        run = runtimes.Runner(content, name)
        for images in (1, 3):  # the graph was traced with two
            x = torch.randn(images, *network.input)
            with torch.no_grad():
                expected = [*network.tap(x, taps).values()] if taps else [network(x)]
            found = run(x.numpy())
            assert len(found) == len(expected)
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(a, b.numpy(), rtol=1e-4, atol=1e-4)


def test_what_is_missing_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="unknown runtime 'tvm'; choose one of: onnxruntime, openvino"):
        runtimes.missing("tvm")
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: None if name == "openvino" else name)
    assert runtimes.missing("onnxruntime") is None
    with pytest.raises(InputError, match=r"^openvino needs openvino: pip install 'alexnet\[onnx,openvino\]'$"):
        runtimes.Runner(b"", "openvino")


def test_a_precision_that_it_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "missing", lambda name: None)
    with pytest.raises(InputError, match="onnxruntime computes in fp32 on this processor, not in bf16"):
        runtimes.Runner(b"", "onnxruntime", "bf16")


@pytest.mark.parametrize("name", runtimes.EXTRAS)
def test_what_is_no_graph(name: str) -> None:
    if line := runtimes.missing(name):
        pytest.skip(line)
    with pytest.raises(InputError, match=f"{name} does not run this network"):
        runtimes.Runner(b"nothing of ONNX", name)
    with pytest.raises(InputError, match="a Linear cannot be written as ONNX"):
        runtimes.graph_of(torch.nn.Linear(2, 2))


SIGNALLED = """
import os, signal
import numpy as np
import alexnet
from alexnet.graphs import runtimes
graph = runtimes.graph_of(alexnet.create("alexnet-digits").eval())
first, second = (runtimes.Runner(graph, NAME, "fp32") for _ in range(2))
for runner in (first, second):
    runner(np.zeros((1, 1, 8, 8), np.float32))
del runner, first
del second
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.parametrize("name", runtimes.EXTRAS)
def test_a_signal_is_handled_when_runners_have_come_and_gone(name: str) -> None:
    if missing := runtimes.missing(name):
        pytest.skip(missing)
    program = SIGNALLED.replace("NAME", repr(name))
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, ended.stdout) == (0, "handled\n"), ended.stderr
