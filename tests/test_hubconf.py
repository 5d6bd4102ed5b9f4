"""hubconf.py offers every network, as torch.hub asks for them."""

import runpy
from pathlib import Path

import pytest
import torch

import alexnet
from alexnet.errors import InputError
from alexnet.models import catalog

ROOT = Path(__file__).parents[1]


def test_torch_hub_lists_and_makes_every_network() -> None:
    offered = runpy.run_path(str(ROOT / "hubconf.py"))
    assert {name.replace("-", "_") for name in catalog.CATALOG} <= set(offered)
    network = torch.hub.load(str(ROOT), "alexnet_digits", source="local", classes=7)
    assert isinstance(network, torch.nn.Module)
    assert network(torch.zeros(1, 1, 8, 8)).shape == (1, 7)
    assert list(network.state_dict()) == list(alexnet.create("alexnet-digits", classes=7).state_dict())
    assert "torchvision's AlexNet" in offered["alexnet_owt"].__doc__


def test_pretrained_names_what_to_do() -> None:
    with pytest.raises(InputError, match="weights=FILE"):
        torch.hub.load(str(ROOT), "alexnet_digits", source="local", pretrained=True)
