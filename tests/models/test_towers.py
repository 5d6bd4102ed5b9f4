"""What `alexnet verify` does not ask of the towers; outputs, gradients and the way back are its own checks."""

import pytest
import torch

from alexnet.errors import InputError
from alexnet.models import alexnet, catalog
from alexnet.models.towers import Towers
from alexnet.verify import check

CPUS = ("cpu", "cpu")


@pytest.mark.parametrize("name", ["alexnet-2012-conv6", "alexnet-2012-no-lrn"])
def test_other_grouped_networks_are_towers_too(name):
    checks = {each.what.rpartition(", ")[2]: each.passed for each in check.check_towers(catalog.get(name))}
    assert checks["logits"]
    assert checks["gradients"]
    assert checks["back to one network"]


def test_towers_exchange_only_where_the_gpus_did():
    towers = Towers(check.narrowed(catalog.get("alexnet-2012-conv6")), CPUS)
    assert towers.exchanges == ("conv3", "conv6", "fc7", "fc8", "fc9")


def test_there_and_back_again():
    network = check.narrowed(catalog.get("alexnet-2012"))
    back = Towers(network, CPUS).to_network()
    assert (back.spec, back.layer_names, back.training) == (network.spec, network.layer_names, False)


def test_towers_are_a_copy():
    network = check.narrowed(catalog.get("alexnet-2012"))
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


def test_normalization_across_the_towers_is_refused():
    with torch.device("meta"), pytest.raises(InputError, match="alexnet-2012 has it"):
        Towers(catalog.create("alexnet-bvlc"), ("meta", "meta"))


def test_a_residual_network_has_no_towers():
    with torch.device("meta"), pytest.raises(InputError, match="cannot be split"):
        Towers(catalog.create("resnet-20"), ("meta", "meta"))


def test_dropout_keeps_its_share():
    layers = catalog.create("alexnet-digits", dropout=0.25).layers
    assert alexnet.Dropout(0.25) in layers
