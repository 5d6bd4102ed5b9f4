"""Fully-connected weights in int8: rounded per output, a quarter of the bytes, and OpenVINO answers with them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from alexnet.graphs import runtimes
from alexnet.models import catalog
from alexnet.models.structure import Conv, Linear

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    spec = replace(catalog.get("figure1-relu"), architecture=(Conv(8, 3), Linear(400), Linear(300), Linear(None)))
    made = catalog.build(spec, (3, 8, 8), 4).eval()
    with torch.no_grad():
        made.get_submodule("fc2").weight[3] = 0.0  # pyright: ignore  # an output without a scale
    return made


def rounded(network: nn.Module) -> nn.Module:
    """The same by its definition: each output's weights in 127ths of their largest."""
    import copy

    other = copy.deepcopy(network)
    for layer in other.modules():
        if isinstance(layer, nn.Linear) and layer.weight.numel() >= 2**16:
            step = layer.weight.detach().abs().amax(1, keepdim=True) / 127
            with torch.no_grad():
                layer.weight.copy_(torch.where(step > 0, torch.round(layer.weight / step) * step, 0.0))
    return other


def test_large_weights_are_rounded_by_output_and_the_rest_is_left(network: nn.Module) -> None:
    from alexnet.graphs.int8_weights import int8_weights

    content = runtimes.graph_of(network)
    narrow = int8_weights(content)
    large = sum(p.numel() for n, p in network.named_parameters() if n in ("fc2.weight", "fc3.weight"))
    assert len(content) - len(narrow) == pytest.approx(3 * large, rel=0.05)
    run = runtimes._onnxruntime(narrow)
    x = torch.randn(3, 3, 8, 8)
    with torch.no_grad():
        expected, plain = rounded(network)(x).numpy(), network(x).numpy()
    np.testing.assert_allclose(run(x.numpy())[0], expected, rtol=1e-4, atol=1e-5)
    assert np.abs(plain - expected).max() > 1e-4  # so that the comparison could have failed


def test_openvino_answers_with_them(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    if line := runtimes.missing("openvino"):
        pytest.skip(line)
    from alexnet.graphs import int8_weights as module

    assert "int8" in runtimes.precisions("openvino")
    narrow, given = module.int8_weights, list[bytes]()
    monkeypatch.setattr(module, "int8_weights", lambda content: given.append(content) or narrow(content))
    run, x = runtimes.Runner(runtimes.graph_of(network), "openvino", "int8"), torch.randn(3, 3, 8, 8)
    with torch.no_grad():
        expected = rounded(network)(x).numpy()
    assert len(given) == 1  # bf16 alone could not be told from it by the answers
    found = run(x.numpy())[0]
    assert np.linalg.norm(found - expected) <= 0.03 * np.linalg.norm(expected)  # convolutions may be in bf16
