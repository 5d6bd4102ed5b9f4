import pytest
import torch

from alexnet.errors import InputError
from alexnet.models.network import build
from alexnet.models.structure import LRN, Conv, Dropout, Linear, Pool, ReLU, Tanh, smallest

LAYERS = (
    *(Conv(4, 3, stride=2), LRN(3, 1e-4, 0.75, 1, True), Pool(3, 2), ReLU()),
    *(Conv(6, 3, groups=2), ReLU()),
    *(Linear(5), Tanh(), Dropout(0.5), Linear(None)),
)
NAMES = ("conv1", "norm1", "pool1", "relu1", "conv2", "relu2", "flatten", "fc3", "tanh3", "drop3", "fc4")


@pytest.fixture
def network():
    return build(LAYERS, (3, 11, 12), classes=7).eval()


def test_layers_are_named_by_their_place(network):
    assert network.layer_names == NAMES
    weights = {f"{layer}.{part}" for layer in ("conv1", "conv2", "fc3", "fc4") for part in ("weight", "bias")}
    assert set(network.state_dict()) == weights


def test_output_and_input(network):
    assert network(torch.randn(2, 3, 11, 12)).shape == (2, 7)
    assert (network.input, network.classes) == ((3, 11, 12), 7)


def test_tap_before_and_after_the_nonlinearity(network):
    x = torch.randn(2, 3, 11, 12)
    taps = network.tap(x, ["conv1", "conv1:pre", "pool1", "fc3", "fc3:pre", "fc4"])
    torch.testing.assert_close(taps["conv1:pre"], network.conv1(x))
    torch.testing.assert_close(taps["conv1"], network.relu1(taps["pool1"]))  # its ReLU stands after the pool
    torch.testing.assert_close(taps["fc3"], taps["fc3:pre"].tanh())
    torch.testing.assert_close(taps["fc4"], network(x))
    assert network.tap(x, []) == {}


def test_tap_of_an_unknown_layer_names_the_nearest(network):
    for wrong in ("conv9", "pool1:pre", "conv1:post"):
        with pytest.raises(InputError, match=r"did you mean .*1"):
            network.tap(torch.randn(1, 3, 11, 12), [wrong])


def test_nothing_is_changed_in_place(network):
    x = torch.randn(2, 3, 11, 12)
    seen = {}
    for name, part in network.named_children():
        part.register_forward_hook(lambda _, args, out, name=name: seen.update({name: (args[0], args[0].clone())}))
    network(x)
    assert all(torch.equal(now, then) for now, then in seen.values())
    assert len(seen) == len(NAMES)


def test_too_small_images_are_refused_with_the_smallest_size():
    assert smallest(LAYERS) == 5
    with pytest.raises(InputError, match="5×5 or more"):
        build(LAYERS, (3, 4, 20), classes=7)
