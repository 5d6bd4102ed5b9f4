from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from alexnet.errors import InputError
from alexnet.models import alexnet, catalog
from alexnet.models.init import initialise
from alexnet.models.network import Conv, Linear, build
from alexnet.models.towers import Towers

CPUS = ("cpu", "cpu")


def narrow(layers):
    """The same network with an eighth of the filters and a 64th of the hidden units."""
    for layer in layers:
        if isinstance(layer, Conv):
            yield replace(layer, out=layer.out // 8)
        elif isinstance(layer, Linear) and layer.out:
            yield replace(layer, out=layer.out // 64)
        else:
            yield layer


def small(name):
    network = build(tuple(narrow(catalog.get(name).layers)), (3, 71, 75), classes=5).double()
    initialise(network, "he")
    network.spec, network.initialisation = catalog.get(name), "he"
    return network.eval()


def gradients(model, x, labels):
    F.cross_entropy(model(x), labels).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", ["alexnet-2012", "alexnet-2012-as-run", "alexnet-2012-conv6", "alexnet-2012-no-lrn"])
def test_towers_equal_the_grouped_network_forward_and_backward(name):
    network = small(name)
    towers = Towers(network, CPUS)
    x, labels = torch.randn(3, 3, 71, 75, dtype=torch.float64), torch.tensor([0, 4, 2])
    torch.testing.assert_close(towers(x), network(x), rtol=1e-12, atol=1e-14)
    whole, halves = gradients(network, x, labels), gradients(towers, x, labels)
    assert whole.keys() == network.state_dict().keys()
    for key, gradient in whole.items():
        joined = torch.cat([halves[f"{tower}.{key}"] for tower in "ab" if f"{tower}.{key}" in halves])
        torch.testing.assert_close(joined, gradient, rtol=1e-10, atol=1e-13)
        assert gradient.abs().sum() > 0, key


def test_towers_exchange_only_where_the_gpus_did():
    assert Towers(small("alexnet-2012-as-run"), CPUS).exchanges == ("conv3", "fc6", "fc7", "fc8")
    assert Towers(small("alexnet-2012-conv6"), CPUS).exchanges == ("conv3", "conv6", "fc7", "fc8", "fc9")


def test_there_and_back_again():
    network = small("alexnet-2012")
    towers = Towers(network, CPUS)
    back = towers.to_network()
    assert back.state_dict().keys() == network.state_dict().keys()
    assert all(torch.equal(back.state_dict()[key], value) for key, value in network.state_dict().items())
    assert (back.spec, back.layer_names, back.training) == (network.spec, network.layer_names, False)


def test_towers_are_a_copy():
    network = small("alexnet-2012")
    towers = Towers(network, CPUS)
    with torch.no_grad():
        for parameter in towers.parameters():
            parameter.zero_()
    assert network.get_parameter("conv1.weight").abs().sum() > 0


def test_the_halves_share_the_parameters():
    with torch.device("meta"):
        towers = Towers(catalog.create("alexnet-2012"), ("meta", "meta"))
    count = {tower: sum(p.numel() for p in half.parameters()) for tower, half in (("a", towers.a), ("b", towers.b))}
    assert sum(count.values()) == 60_965_224
    assert count["a"] - count["b"] == 4_097_000  # fc8 stands on the first device


def test_normalisation_across_the_towers_is_refused():
    with torch.device("meta"), pytest.raises(InputError, match="alexnet-2012 has it"):
        Towers(catalog.create("alexnet-bvlc"), ("meta", "meta"))


def test_a_residual_network_has_no_towers():
    with torch.device("meta"), pytest.raises(InputError, match="cannot be split"):
        Towers(catalog.create("resnet-20"), ("meta", "meta"))


def test_dropout_keeps_its_share():
    layers = catalog.create("alexnet-digits", dropout=0.25).layers
    assert alexnet.Dropout(0.25) in layers
