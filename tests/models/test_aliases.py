"""Names of other libraries mean here what they mean there."""

import pytest
import torch

from alexnet.errors import InputError
from alexnet.models import catalog
from alexnet.models.aliases import CONVOLUTIONS, HIDDEN, names, resolve


def layers(name: str) -> tuple[str, ...]:
    with torch.device("meta"):
        return catalog.create(name).layer_names


def torchvision() -> torch.nn.Sequential:
    """torchvision's module list (torchvision/models/alexnet.py), narrowed; ReLUs not in place."""
    block = torch.nn.Sequential
    conv, relu, linear, drop = torch.nn.Conv2d, torch.nn.ReLU, torch.nn.Linear, torch.nn.Dropout
    model = block()
    model.features = block(
        *(conv(3, 64, 11, 4, 2), relu(), torch.nn.MaxPool2d(3, 2)),
        *(conv(64, 192, 5, padding=2), relu(), torch.nn.MaxPool2d(3, 2)),
        *(conv(192, 384, 3, padding=1), relu()),
        *(conv(384, 256, 3, padding=1), relu()),
        *(conv(256, 256, 3, padding=1), relu(), torch.nn.MaxPool2d(3, 2)),
    )
    model.avgpool = torch.nn.AdaptiveAvgPool2d(6)
    model.flatten = torch.nn.Flatten()
    model.classifier = block(
        *(drop(), linear(9216, 64), relu(), drop(), linear(64, 64), relu(), linear(64, 10)),
    )
    return model.eval()


def test_torchvision_hooks_see_what_our_taps_give() -> None:
    theirs = torchvision()
    ours = catalog.create("alexnet-owt", classes=10).eval()
    pairs = zip(
        [n for n in ours.layer_names if n.startswith(("conv", "fc"))],
        [m for m in theirs.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))],
        strict=True,
    )
    for name, module in pairs:  # the network's own weights, in narrow hidden layers
        own = ours.get_submodule(name)
        if isinstance(module, torch.nn.Linear):
            fresh = torch.nn.Linear(module.in_features, module.out_features)
            setattr(ours, name, fresh)
            own = fresh
        module.load_state_dict(own.state_dict())
    seen: dict[str, torch.Tensor] = {}
    for name, module in theirs.named_modules():
        if name in CONVOLUTIONS | HIDDEN:
            module.register_forward_hook(lambda _, __, out, name=name: seen.__setitem__(name, out.clone()))
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        theirs(x)
        taps = ours.tap(x, {resolve(ours.layer_names, name) for name in seen})
    assert len(seen) == 13 + 1 + 7
    for name, value in seen.items():
        tapped = taps[resolve(ours.layer_names, name)]
        torch.testing.assert_close(tapped.flatten(1), value.flatten(1), rtol=1e-4, atol=1e-5, msg=name)


def test_our_own_names_stay() -> None:
    for name in names(layers("alexnet-2012")):
        assert resolve(layers("alexnet-2012"), name) == name


@pytest.mark.parametrize(
    ("network", "name", "tap"),
    [
        ("alexnet-bvlc", "fc7", "fc7"),  # Caffe's blob is after its in-place ReLU, as our tap is
        ("alexnet-bvlc", "classifier.5", "fc7"),
        ("alexnet-bvlc", "features.2", "pool1"),
        ("alexnet-2012", "classifier.0", "pool5"),  # no dropout before fc6 there
        ("alexnet-2012-as-run", "features.2", "conv1"),  # its ReLU stands after the pool
        ("alexnet-2012-as-run", "features.5", "pool2"),
        ("alexnet-2012-as-run", "features.12", "conv5"),
        ("alexnet-keras", "conv_2", "conv2"),
        ("alexnet-keras", "convpool_1", "norm1"),
        ("alexnet-keras", "dense_2", "fc7"),
        ("alexnet-keras", "dense_3", "fc8"),
        ("alexnet-bearpaw", "features.11", "conv5"),
    ],
)
def test_what_names_mean_elsewhere(network: str, name: str, tap: str) -> None:
    assert resolve(layers(network), name) == tap


@pytest.mark.parametrize(
    ("network", "name"),
    [
        ("alexnet-owt", "features.13"),
        ("alexnet-owt", "pool5:pre"),
        ("alexnet-2012-conv6", "features.10"),  # six convolutions: positions no longer mean the same
        ("alexnet-2012-conv6", "classifier.5"),
        ("alexnet-bearpaw", "classifier.5"),
        ("resnet-20", "features.0"),
        ("alexnet-owt", ""),
    ],
)
def test_other_names_are_refused(network: str, name: str) -> None:
    with pytest.raises(InputError, match="unknown layer"):
        resolve(layers(network), name)
