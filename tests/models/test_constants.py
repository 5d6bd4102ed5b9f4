"""Constants of the catalog that no shape shows, written down a second time from their sources."""

import pytest
import torch

from alexnet.models import catalog

KERAS_CIFAR = ("crop", "RGB", 1.0, (125.307, 122.95, 113.865), (62.9932, 62.0887, 66.7048))
TORCHVISION = ("crop", "RGB", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CAFFE = ("squash", "BGR", 1.0, (104.0, 117.0, 123.0), (1.0,))
PAPER = ("crop", "RGB", 1.0, (123.0, 117.0, 104.0), (1.0,))
SCALED = (1 / 255, (0.0,), (1.0,))
CIFAR_NAMES = ("cifar10", "slim", "slim-regular", "thinner-2", "thinner-2-as-run", "thinner-4")

# Fit, order of colors, scale, mean and standard deviation of each network's inputs.
EXPECTED = {
    **{name: PAPER for name in catalog.CATALOG if name.startswith("alexnet-2012")},
    **dict.fromkeys(("alexnet-bvlc", "caffenet", "alexnet-tf", "alexnet-tf-as-printed", "alexnet-ungrouped"), CAFFE),
    "alexnet-keras": ("squash", "RGB", 1.0, (123.68, 116.779, 103.939), (1.0,)),
    **dict.fromkeys(("alexnet-owt", "alexnet-owt-linear", "alexnet-owt-probe", "alexnet-two-class"), TORCHVISION),
    **{f"alexnet-{name}": KERAS_CIFAR for name in CIFAR_NAMES},
    "alexnet-bearpaw": ("crop", "RGB", 1 / 255, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "alexnet-cifar100": ("crop", "RGB", *SCALED),
    "alexnet-caltech": ("squash", "RGB", *SCALED),
    "alexnet-caltech-lrn": ("squash", "RGB", *SCALED),
    "alexnet-mnist": ("crop", "L", *SCALED),
    "alexnet-digits": ("crop", "L", 1 / 255, (0.3053,), (0.3760,)),
    **dict.fromkeys(("figure1-relu", "figure1-tanh"), ("crop", "RGB", 1.0, (125.307, 122.95, 113.865), (1.0,))),
    **{name: TORCHVISION if spec.input[1] == 224 else KERAS_CIFAR
       for name, spec in catalog.CATALOG.items() if name.startswith("resnet")},
}  # fmt: skip


@pytest.mark.parametrize("name", catalog.CATALOG)
def test_preprocessing_is_the_sources(name: str) -> None:
    wants = catalog.get(name).preprocessing
    assert (wants.fit, wants.colors, wants.scale, wants.mean, wants.std) == EXPECTED[name]
    assert wants.resize == (256 if wants.size[0] in (224, 227) and "caltech" not in name else None)


INITIALIZATIONS = {
    "alexnet-2012": "paper", "alexnet-2012-tanh": "paper", "alexnet-bvlc": "caffe-alexnet", "caffenet": "caffenet",
    "alexnet-tf": "tensorflow", "alexnet-tf-as-printed": "tensorflow", "alexnet-ungrouped": "tensorflow",
    "alexnet-keras": "keras-glorot", "alexnet-caltech": "keras-glorot", "alexnet-caltech-lrn": "keras-glorot",
    "alexnet-owt": "torch", "alexnet-owt-linear": "torch", "alexnet-owt-probe": "torch",
    "alexnet-two-class": "torch", "alexnet-bearpaw": "torch",
    "alexnet-cifar100": "keras-uniform", "alexnet-cifar10": "keras-uniform", "alexnet-slim": "keras-uniform",
    "alexnet-slim-regular": "keras-he", "alexnet-thinner-2": "keras-he", "alexnet-thinner-2-as-run": "keras-he",
    "alexnet-thinner-4": "keras-he", "alexnet-mnist": "ours", "alexnet-digits": "ours",
    "figure1-relu": "figure1", "figure1-tanh": "figure1",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in catalog.CATALOG if not name.startswith("resnet")])
def test_initialization_is_the_sources(name: str) -> None:
    as_run = "as-run" if name.startswith("alexnet-2012-") else None
    assert catalog.get(name).init == INITIALIZATIONS.get(name, as_run)


@pytest.mark.parametrize(("init", "std"), [("as-run", 0.03), ("paper", 0.01)])
def test_the_sixth_convolution_starts_as_conv5_does(init: str, std: float) -> None:
    """Configuration 146 puts it behind conv5 and initializes it alike."""
    torch.manual_seed(0)
    network = catalog.create("alexnet-2012-conv6", init=init, size=67)
    assert network.get_parameter("conv6.weight").std().item() == pytest.approx(std, rel=0.02)
    assert torch.equal(network.get_parameter("conv6.bias"), torch.ones(256))
    assert torch.equal(network.get_parameter("conv3.bias"), torch.zeros(384))


def test_batch_norm_is_keras_where_the_network_is() -> None:
    """Keras's defaults: epsilon .001, and .99 of the old statistics kept, which torch calls a momentum of .01."""
    norms = [part for part in catalog.create("alexnet-caltech").modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert [(part.eps, part.momentum) for part in norms] == [(1e-3, pytest.approx(0.01))] * 2
