"""The arithmetic that is shown gives the number that the network computed, for every kind of layer of the catalog."""

import pytest
import torch

from alexnet.errors import InputError
from alexnet.insight.arithmetic import account
from alexnet.insight.trace import SOFTMAX, trace
from alexnet.models import aliases, catalog

SMALL = {
    "alexnet-digits": {},
    "alexnet-2012-as-run": {"size": 67, "classes": 5},
    "alexnet-2012": {"size": 67, "classes": 5},
    "alexnet-owt": {"size": 64, "classes": 5},
    "alexnet-two-class": {"size": 64},
    "figure1-tanh": {},
    "alexnet-caltech": {"size": 67, "classes": 5},
    "resnet-20-projection": {"size": 16, "classes": 5},
    "resnet-29-v2": {"size": 16, "classes": 5},
}


@pytest.mark.parametrize("name", SMALL)
def test_every_layers_steps_end_in_its_value(name: str) -> None:
    torch.manual_seed(0)
    network = catalog.create(name, **SMALL[name]).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.uniform_(0.1, 0.5)
    # Wide enough that the constants of a response normalization show.
    found = trace(network, (torch.rand(1, *network.input) - 0.5) * 400)
    draws = torch.Generator().manual_seed(1)
    for layer in (*found.layers, SOFTMAX):
        output = found.output(layer)
        for _ in range(2):
            index = tuple(int(torch.randint(n, (), generator=draws)) for n in output.shape)
            told = account(found, layer, index)
            assert told.value == output[index].item()
            near = pytest.approx(told.value, rel=2e-4, abs=2e-5 * max(1.0, output.abs().max().item()))
            assert told.steps[-1].value == near, (layer, index, told.steps)
            if told.kind in ("conv", "linear"):
                total = sum(term["product"] for term in told.terms) + told.others
                assert total == pytest.approx(told.steps[0].value, rel=1e-6, abs=1e-6)


def test_the_terms_are_values_of_the_layer_below() -> None:
    torch.manual_seed(0)
    network = catalog.create("alexnet-2012", size=67, classes=5).eval()
    found = trace(network, torch.randn(1, 3, 67, 67))
    for layer, index in (("conv2", (200, 3, 3)), ("norm1", (50, 2, 2)), ("pool1", (1, 1, 1)), ("fc7", (9,))):
        told = account(found, layer, index)
        below = found.output(told.source)
        assert told.terms
        for term in told.terms:
            if not term.get("padding"):
                assert below[tuple(term["at"])].item() == term["input"]
    # The second tower's kernels see its own half of the channels only.
    assert {term["at"][0] for term in account(found, "conv2", (200, 3, 3)).terms} <= set(range(48, 96))


@pytest.mark.parametrize("name", SMALL)
def test_a_tap_is_the_networks(name: str) -> None:
    """Also where the non-linearity stands behind the pool."""
    torch.manual_seed(0)
    network = catalog.create(name, **SMALL[name]).eval()
    x = torch.randn(1, *network.input)
    found, taps = trace(network, x), aliases.names(network.layer_names)
    with torch.no_grad():
        own = network.tap(x, [tap for tap in taps if not tap.startswith("stage")])
    for tap, values in own.items():
        assert torch.equal(found.output(tap), values[0]), tap
    assert account(found, "conv1", (0, 0, 0)) == account(found, "conv1:pre", (0, 0, 0))
    assert account(found, "conv1", (0, 0, 0)).kind == "conv"


def test_what_is_not_there_is_named() -> None:
    network = catalog.create("alexnet-digits").eval()
    found = trace(network, torch.randn(1, 1, 8, 8))
    with pytest.raises(InputError, match="did you mean conv1"):
        account(found, "conv11", (0, 0, 0))
    with pytest.raises(InputError, match="conv1:pre has the shape 32 × 8 × 8; there is no value at 40,0,0"):
        account(found, "conv1", (40, 0, 0))
    with pytest.raises(InputError, match="one image"):
        trace(network, torch.randn(2, 1, 8, 8))


def test_several_labels_end_in_a_sigmoid_each() -> None:
    torch.manual_seed(0)
    network = catalog.create("alexnet-digits").eval()
    found = trace(network, torch.randn(1, 1, 8, 8), multilabel=True)
    assert found.names[-1] == "sigmoid"
    assert torch.equal(found.output("sigmoid"), found.logits.sigmoid())
    for unit in (int(found.logits.argmax()), int(found.logits.argmin())):
        told = account(found, "sigmoid", (unit,))
        assert told.steps[-1].value == pytest.approx(told.value, rel=1e-6)
        assert (told.kind, told.source, told.terms[0]["at"]) == ("sigmoid", list(found.layers)[-1], [unit])
    with pytest.raises(InputError, match="sigmoid"):
        account(found, "softmax", (0,))
