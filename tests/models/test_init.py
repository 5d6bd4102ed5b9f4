import math

import pytest
import torch
from torch import nn

from alexnet.errors import InputError
from alexnet.models import init


class StandIn(nn.Module):
    """Five convolutions and three fully-connected layers under the family's names, wide enough for statistics."""

    def __init__(self):
        super().__init__()
        for i in range(1, 6):
            self.add_module(f"conv{i}", nn.Conv2d(48, 64, 3))
        self.fc6, self.fc7, self.fc8 = nn.Linear(256, 200), nn.Linear(200, 300), nn.Linear(300, 100)
        self.bn8 = nn.BatchNorm2d(4)


GLOROT_CONV, GLOROT_FC = math.sqrt(2 / (9 * 48 + 9 * 64)), {6: 456, 7: 500, 8: 400}
POSITIVE = dict.fromkeys((2, 4, 5, 6, 7), 1.0)


def glorot(n):
    return GLOROT_CONV if n < 6 else math.sqrt(2 / GLOROT_FC[n])


EXPECTED = {
    "paper": (lambda n: 0.01, POSITIVE),
    "as-run": (lambda n: 0.03 if n in (3, 4, 5) else 0.01, POSITIVE),
    "figure1": (lambda n: 0.0001 if n == 1 else 0.01, {}),
    "caffe-alexnet": (lambda n: 0.005 if n in (6, 7) else 0.01, dict.fromkeys(POSITIVE, 0.1)),
    "caffenet": (lambda n: 0.005 if n in (6, 7) else 0.01, POSITIVE),
    "keras-glorot": (glorot, {}),
    "keras-uniform": (lambda n: 0.1 / math.sqrt(12) if n < 6 else glorot(n), {}),
    "keras-he": (lambda n: math.sqrt(2 / 432) if n < 6 else glorot(n), {}),
    "tensorflow": (glorot, None),
    "tensorflow-resnet": (lambda n: math.sqrt(1 / 432) if n < 6 else glorot(n), {}),
    "torch": (lambda n: 1 / math.sqrt(3 * {6: 256, 7: 200, 8: 300}.get(n, 432)), None),
    "torchvision": (lambda n: math.sqrt(2 / 576) if n < 6 else 1 / math.sqrt(3 * {6: 256, 7: 200, 8: 300}[n]), None),
    "he": (lambda n: math.sqrt(2 / {6: 256, 7: 200, 8: 300}.get(n, 432)), {}),
    "zero-last": (lambda n: 0.0 if n == 8 else math.sqrt(2 / {6: 256, 7: 200}.get(n, 432)), {}),
    "ours": (lambda n: 0.01 if n == 8 else math.sqrt(2 / {6: 256, 7: 200}.get(n, 432)), {}),
}


def test_every_initialization_is_tested():
    assert set(EXPECTED) == set(init.INITIALIZATIONS)


@pytest.mark.parametrize("name", EXPECTED)
def test_statistics_are_the_published_ones(name):
    model = StandIn()
    init.initialize(model, name)
    std, biases = EXPECTED[name]
    for number, layer in enumerate(list(model.children())[:8], 1):
        weight, bias = layer.parameters()
        assert weight.std().item() == pytest.approx(std(number), rel=0.03), number
        assert abs(weight.mean().item()) <= 0.03 * std(number)
        if biases is not None:
            assert torch.equal(bias, torch.full_like(bias, biases.get(number, 0.0))), number


def test_random_biases():
    model = StandIn()
    init.initialize(model, "torch")
    bounds = 1 / math.sqrt(300)
    assert 0.9 * bounds < model.fc8.bias.abs().max() <= bounds
    init.initialize(model, "tensorflow")
    assert 0.9 * math.sqrt(0.03) < model.fc8.bias.abs().max() <= math.sqrt(0.03)


def test_he_normal_is_cut_at_two_sigmas():
    model = StandIn()
    init.initialize(model, "keras-he")
    sigma = math.sqrt(2 / 432) / 0.87962566
    assert 1.95 * sigma < model.get_parameter("conv1.weight").abs().max() <= 2 * sigma


def test_norms_start_as_the_identity():
    model = StandIn()
    nn.init.normal_(model.get_buffer("bn8.running_mean"))
    nn.init.normal_(model.bn8.weight)
    init.initialize(model, "ours")
    x = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(model.bn8.eval()(x), x, rtol=1e-4, atol=1e-4)


def test_unknown_initialization():
    with pytest.raises(InputError, match="did you mean paper"):
        init.initialize(StandIn(), "papr")
