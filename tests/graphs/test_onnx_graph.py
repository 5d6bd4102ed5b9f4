"""All three forms of LRN, groups, odd padding and every other part of the family, as ONNX Runtime runs them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from alexnet.artifacts import card as cards
from alexnet.errors import InputError
from alexnet.export.agree import agree, samples
from alexnet.graphs import onnx_graph
from alexnet.inference.model import Model
from alexnet.models import catalog
from alexnet.models.spec import Spec
from alexnet.models.structure import (
    LRN,
    AveragePool,
    BatchNorm,
    Conv,
    Linear,
    LogSoftmax,
    Pool,
    SpatialNorm,
    Tanh,
)
from alexnet.preprocessing import Preprocessing

PARTS = (
    *(Conv(8, 5, stride=2, padding="ceil"), LRN(5, 0.02, 0.75, 2, divide=True, groups=2), Pool(3, 2, "same"), Tanh()),
    *(Conv(12, 3, groups=2), LRN(3, 0.02, 0.75, 1, divide=False), SpatialNorm(5, 0.01, 0.75), BatchNorm()),
    *(Conv(8, 3, bias=False), LRN(9, 0.02, 0.6, 1.5, divide=False, groups=2), Pool(2, 2, "same"), AveragePool(3)),
    *(Linear(None), LogSoftmax()),
)


@pytest.mark.parametrize(("colors", "channels"), [("BGR", 3), ("L", 1)])
def test_every_part(make, colors: str, channels: int):
    """One small network with all of it; images larger than the input, so that the center is cut out too."""
    base = catalog.get("figure1-relu")
    wants = Preprocessing((21, 23), resize=26, colors=colors, mean=(0.4,) * channels, std=(0.2,))
    spec: Spec = replace(base, architecture=PARTS, preprocessing=wants)
    torch.manual_seed(0)
    module = catalog.build(spec, (channels, 21, 23), 4).eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None:
            part.running_mean.uniform_(-1, 1)
    classes = ("a", "b\udcff", "ß", "name, with comma")
    model = Model(module, classes, wants, cards.make(module, classes, wants), Path("nowhere"))
    graph = onnx_graph.build(model.module, model.preprocessing, model.card)
    session = onnx_graph.Session(graph.SerializeToString())
    assert agree(model, session, samples(model, None, 18)).logits is not None
    assert session.names() == ["a", "b\\udcff", "ß", "name, with comma"]


def test_a_residual_network(make):
    model = make("resnet-20", size=16)
    graph = onnx_graph.build(model.module, model.preprocessing, model.card)
    assert agree(model, onnx_graph.Session(graph.SerializeToString()), samples(model, None, 3)).difference <= 1e-4


def test_more_than_one_file_holds_is_refused(make, monkeypatch):
    monkeypatch.setattr(onnx_graph, "_LIMIT", 2**24)
    model = make("figure1-relu")
    with pytest.raises(InputError, match="do not fit into one ONNX file"):
        onnx_graph.build(model.module, model.preprocessing, model.card)


def test_what_cannot_be_traced_is_told_in_one_line(make):
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    model = make("figure1-relu")
    model.module.add_module("odd", Odd())
    with pytest.raises(InputError, match="cannot write this network as ONNX: ") as told:
        onnx_graph.build(model.module, model.preprocessing, model.card)
    assert "\n" not in str(told.value)


def test_session_has_names_and_probabilities_that_sum_to_1(make):
    model = make("figure1-tanh", classes=2)
    session = onnx_graph.Session(onnx_graph.build(model.module, model.preprocessing, model.card).SerializeToString())
    probabilities, logits = session(np.zeros((3, 32, 32, 3), np.uint8))
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    assert logits is not None
    assert logits.shape == (3, 2)
