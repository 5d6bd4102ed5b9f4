import numpy as np
import pytest
import torch

from alexnet.errors import InputError
from alexnet.models import catalog
from alexnet.models.entries import imagenet, resnets, small
from alexnet.recipes import recipe as recipes

SMALL = "alexnet-digits"


@pytest.mark.parametrize("name", [name for name in catalog.CATALOG if "resnet-1" not in name])
def test_every_network_takes_other_classes_and_channels(name):
    with torch.device("meta"):
        model = catalog.create(name, classes=3, channels=2).eval()
        spec = catalog.get(name)
        assert model(torch.empty(1, 2, *spec.input[1:])).shape == (1, 3)


@pytest.mark.parametrize("name", ["resnet-20", "resnet-29-v2", "resnet-18", "resnet-50", "resnet-50-v2"])
def test_residual_networks_take_small_gray_images(name):
    with torch.device("meta"):
        model = catalog.create(name, channels=1, size=28).eval()
        assert model(torch.empty(1, 1, 28, 28)).shape == (1, model.spec.classes)


def test_names_are_unique():
    assert len(catalog.CATALOG) == sum(len(part.ENTRIES) for part in (imagenet, small, resnets))


def test_one_seed_gives_one_network_and_draws_nothing_else():
    torch.manual_seed(7)
    one = catalog.create(SMALL)
    after = torch.rand(1)
    torch.manual_seed(7)
    two = catalog.create(SMALL)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert torch.equal(after, torch.rand(1))


def test_memory_format_and_autocast_keep_the_function():
    model = catalog.create("alexnet-digits").eval()
    x = torch.randn(3, 1, 8, 8)
    expected = model(x)
    torch.testing.assert_close(model(x.contiguous(memory_format=torch.channels_last)), expected)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(x)
    assert rounded.dtype is torch.bfloat16
    assert (rounded - expected).norm() < 0.05 * expected.norm()


def test_a_network_can_be_exported_for_any_batch():
    model = catalog.create("alexnet-digits").eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(model, (torch.randn(2, 1, 8, 8),), dynamic_shapes=({0: batch},))
    x = torch.randn(5, 1, 8, 8)
    torch.testing.assert_close(program.module()(x), model(x))


def test_what_a_network_tells():
    model = catalog.create(SMALL, classes=4, size=(9, 12))
    assert model.spec is catalog.get(SMALL)
    assert (model.classes, model.input) == (4, (1, 9, 12))


def test_dropout_is_changed_everywhere():
    model = catalog.create(SMALL, dropout=0.1)
    assert [part.p for part in model if isinstance(part, torch.nn.Dropout)] == [0.1, 0.1]


@pytest.mark.parametrize(("options", "said"), [
    ({"classes": 0}, "classes takes a whole number of at least 1"),
    ({"channels": 0}, "channels takes a whole number of at least 1"),
    ({"size": 1}, "can take images of .* not 1×1"),
    ({"init": "kaiming"}, "unknown initialization"),
    ({"dropout": 1.5}, r"from 0 to 0\.95, not 1\.5"),
    ({"dropout": np.True_}, r"from 0 to 0\.95, not True"),
])  # fmt: skip
def test_what_a_network_cannot_take(options, said):
    with pytest.raises(InputError, match=said):
        catalog.create("alexnet-caltech" if "size" in options else SMALL, **options)


def test_a_recipe_takes_the_dropout_that_a_network_takes():
    most = catalog.MOST_DROPPED
    assert recipes.load("digits", {"model.dropout": most}).model.dropout == most
    assert catalog.create("alexnet-digits", dropout=most).get_submodule("drop6").p == most
    with pytest.raises(InputError, match=str(most)):
        recipes.load("digits", {"model.dropout": most + 0.01})


def test_unknown_network_names_the_nearest():
    with pytest.raises(InputError, match="alexnet-cifar10"):
        catalog.get("alexnet-cifar-ten")
