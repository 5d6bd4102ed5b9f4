"""What answers questions computes in evaluation mode whatever the network's mode is, and leaves each part's mode."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import alexnet
from alexnet.artifacts.run import Run
from alexnet.export import agree
from alexnet.graphs import onnx_graph, torch_program
from alexnet.graphs.served import example
from alexnet.inference.model import Model
from alexnet.insight import activations, explain, filters, trace
from alexnet.insight.explain_picture import explain_image
from alexnet.insight.what_if import what_if
from alexnet.models.mode import evaluating
from alexnet.training.dead import dead_fractions

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
ASKED: dict[str, Callable[[Model], Any]] = {
    "predict": lambda model: alexnet.predict(model, list(IMAGES)),
    "evaluate": lambda model: alexnet.evaluate(model, alexnet.dataset("digits").subset(np.arange(50))).figures,
    "features": lambda model: alexnet.features(model, list(IMAGES))["fc7"].tolist(),
    "features in another runtime": lambda model: (
        pytest.importorskip("onnxruntime")
        and alexnet.features(model, list(IMAGES), runtime="onnxruntime")["fc7"].tolist()
    ),
    "activations": lambda model: activations.look(model, IMAGES[0])[1],
    "arithmetic": lambda model: trace.trace(model.module, _input(model)).logits.tolist(),  # pyright: ignore
    "explain": lambda model: explain_image(model, IMAGES[0]).probabilities,
    "completeness": lambda model: explain.completeness(model.module, _input(model), 0),  # pyright: ignore
    "maximize": lambda model: filters.maximize(model.module, "fc8", 3, steps=2)[1],  # pyright: ignore
    "what-if": lambda model: what_if(model, IMAGES[0], ["scale=1"]).to_json(),
    "dead units": lambda model: dead_fractions(model.module, _input(model)),
    "ONNX": lambda model: (
        pytest.importorskip("onnx")
        and onnx_graph.build(model.module, model.preprocessing, model.card).SerializeToString()
    ),
    "torch.export": lambda model: torch_program.Program(
        torch_program.build(model.module, model.preprocessing, model.card, logits=False)
    )(example(model.preprocessing).numpy())[0].tolist(),
    "agreement": lambda model: agree.agree(
        model,
        torch_program.Program(torch_program.build(model.module, model.preprocessing, model.card, logits=False)),
        agree.Samples(IMAGES, "random"),
    ),
}


def _input(model: Model) -> torch.Tensor:
    return torch.linspace(-1, 1, 64, device=next(model.module.parameters()).device).reshape(1, 1, 8, 8)


def _modes(module: nn.Module) -> list[bool]:
    return [part.training for part in module.modules()]


@pytest.mark.parametrize("name", ASKED)
def test_a_network_in_training_mode_is_asked_in_evaluation_mode(name: str, trained: Run) -> None:
    model = alexnet.load(trained)
    expected = ASKED[name](model)
    model.module.train()
    frozen = next(iter(model.module.children())).eval()
    before = _modes(model.module)
    assert ASKED[name](model) == expected
    assert _modes(model.module) == before
    assert not frozen.training


def test_the_modes_return_after_an_error() -> None:
    module = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2).eval())
    inside: list[bool] = []

    def fail() -> None:
        with evaluating(module):
            inside.extend(_modes(module))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert inside == [False] * 3
    assert _modes(module) == [True, True, False]
