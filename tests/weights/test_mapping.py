from pathlib import Path

import numpy as np
import pytest
import torch

from alexnet.errors import InputError
from alexnet.models import catalog
from alexnet.models.network import Network, build
from alexnet.models.structure import Conv, Linear
from alexnet.weights.foreign import Foreign, Source
from alexnet.weights.mapping import choose, fit, select

SOURCE = Source(Path("file"), b"")


def shapes(name: str, classes: int = 1000) -> dict[str, dict[str, np.ndarray]]:
    """A network's tensors as zeros that take no memory, under our names."""
    with torch.device("meta"):
        network = catalog.create(name, classes=classes)
    layers: dict[str, dict[str, np.ndarray]] = {}
    for full, value in network.state_dict().items():
        layer, _, role = full.rpartition(".")
        layers.setdefault(layer, {})[role] = np.broadcast_to(np.float32(0), tuple(value.shape))
    return layers


def renamed(layers: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
    return {f"their_{name}": arrays for name, arrays in layers.items()}


@pytest.mark.parametrize(
    ("kind", "prefer", "of", "name"),
    [
        ("npy", ("alexnet-tf",), "alexnet-2012", "alexnet-tf"),
        ("caffe", ("caffenet",), "alexnet-2012", "caffenet"),
        ("torch", ("alexnet-owt",), "alexnet-owt", "alexnet-owt"),
        ("keras", ("alexnet-keras",), "alexnet-bvlc", "alexnet-keras"),
        ("keras", (), "alexnet-slim", "alexnet-slim"),  # alexnet-slim-regular computes the same
        ("keras", (), "alexnet-thinner-2", "alexnet-thinner-2"),
        ("keras", (), "alexnet-caltech", "alexnet-caltech"),
        ("keras", (), "alexnet-caltech-lrn", "alexnet-caltech-lrn"),
        ("own", (), "alexnet-2012-half", "alexnet-2012-half"),
    ],
)
def test_shapes_and_kind_find_the_network(kind: str, prefer: tuple[str, ...], of: str, name: str):
    classes = catalog.get(of).classes
    found = choose(Foreign(kind, renamed(shapes(of, classes)), prefer=prefer), SOURCE)
    assert found.network.spec.name == name
    assert found.missing == []


def test_another_number_of_classes_is_taken_from_the_file():
    found = choose(Foreign("torch", renamed(shapes("alexnet-owt", 37)), prefer=("alexnet-owt",)), SOURCE)
    assert found.network.classes == 37


def test_what_several_networks_fit_is_told():
    with pytest.raises(InputError, match=r"alexnet-bvlc and caffenet.*say which with --model"):
        choose(Foreign("caffe", shapes("caffenet"), prefer=("alexnet-bvlc", "caffenet")), SOURCE)
    assert choose(Foreign("caffe", shapes("caffenet")), SOURCE, "alexnet-bvlc").network.spec.name == "alexnet-bvlc"


def test_the_wrong_network_is_told_tensor_by_tensor():
    with pytest.raises(
        InputError, match=r"is no alexnet-owt: conv1.weight is 96×3×11×11, the network wants 64×3×11×11"
    ):
        choose(Foreign("caffe", shapes("caffenet")), SOURCE, "alexnet-owt")
    with pytest.raises(InputError, match="did you mean"):
        choose(Foreign("caffe", shapes("caffenet")), SOURCE, "alexnet-bvcl")
    odd = {"conv1": {"weight": np.zeros((7, 3, 11, 11), np.float32)}}
    with pytest.raises(InputError, match=r"fits no network .* nearest is .*7×3×11×11"):
        choose(Foreign("torch", odd), SOURCE)


def test_files_that_do_not_keep_the_order_are_laid_by_shape():
    layers = shapes("alexnet-caltech", 45)
    order = ["conv2", "conv1", "conv3", "conv4", "conv5", "fc7", "fc6", "fc8", "bn2", "bn1"]
    found = choose(Foreign("keras", renamed({name: layers[name] for name in order})), SOURCE, "alexnet-caltech")
    assert found.layers["conv1"] == "their_conv1"
    assert found.layers["bn2"] == "their_bn2"


def convolutions(groups: int) -> Network:
    network = build((Conv(6, 3), Conv(4, 3, groups=groups), Linear(None)), (3, 5, 5), 2)
    network.spec = catalog.get("alexnet-digits")
    return network


def test_grouped_and_ungrouped_convolutions_become_each_other():
    torch.manual_seed(0)
    grouped, whole = convolutions(2), convolutions(1)
    x = torch.randn(2, 3, 5, 5)

    def layers(network: Network) -> dict[str, dict[str, np.ndarray]]:
        state: dict[str, dict[str, np.ndarray]] = {}
        for name, value in network.state_dict().items():
            state.setdefault(name.split(".")[0], {})[name.split(".")[1]] = value.numpy()
        return state

    widened = fit(Foreign("own", layers(grouped)), whole)
    assert widened.problems == []
    whole.load_state_dict(widened.state())
    assert torch.allclose(whole(x), grouped(x), atol=1e-6)
    again = convolutions(2)
    again.load_state_dict(fit(Foreign("own", layers(whole)), again).state())
    assert torch.equal(again.get_submodule("conv2").get_parameter("weight"), grouped.get_parameter("conv2.weight"))
    torch.nn.init.ones_(whole.get_parameter("conv2.weight"))
    assert fit(Foreign("own", layers(whole)), again).problems == ["conv2.weight is 4×6×3×3, the network wants 4×3×3×3"]


def test_layers_are_named_singly_and_by_range(digits: Network):
    assert select(digits, ["fc8", "conv1..pool2"])[-1] == "fc8"
    assert select(digits, ["conv1..conv2"]) == ["conv1", "relu1", "norm1", "conv2"]
    with pytest.raises(InputError, match="unknown layer of alexnet-digits 'conv9'"):
        select(digits, ["conv1..conv9"])
    with pytest.raises(InputError, match="backwards"):
        select(digits, ["fc8..conv1"])
