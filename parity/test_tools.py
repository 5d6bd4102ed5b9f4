"""The tools of the ecosystem on what `create` returns: captum, torchlens, torchinfo, skorch, feature extraction by fx.

None of them knows the networks. Each form runs: LRN and pooling, two towers of groups, BatchNorm, a residual network.
"""

import numpy as np
import pytest
import torch
import torchinfo
import torchlens
from captum import attr
from skorch import NeuralNetClassifier
from torch import Tensor, nn

import alexnet
from alexnet.insight import explain
from alexnet.models import catalog
from alexnet.models.network import Network

SEQUENTIAL = ("alexnet-digits", "alexnet-thinner-4", "alexnet-2012-as-run", "alexnet-owt")
NAMES = (*SEQUENTIAL, "resnet-20")
NONLINEAR = "ignore:Setting forward, backward hooks"


@pytest.fixture(scope="module", params=NAMES)
def network(request: pytest.FixtureRequest) -> Network:
    torch.manual_seed(0)
    channels, *size = catalog.get(request.param).input
    small = (size[0], size[1]) if size[0] < 100 else (67, 67)  # the least whose maps pool5 still takes
    return catalog.create(request.param, classes=5, channels=channels, size=small, init="keras-he").eval()


def image(network: Network) -> Tensor:
    return torch.randn(1, *network.input, generator=torch.Generator().manual_seed(1))


def difference(network: Network, x: Tensor, target: int) -> float:
    """Of the target's logit between the image and a black one, which complete attributions sum to."""
    with torch.no_grad():
        return float(network(x)[0, target] - network(torch.zeros_like(x))[0, target])


def test_integrated_gradients_are_complete(network: Network) -> None:
    x = image(network).double()
    network.double()
    found = attr.IntegratedGradients(network).attribute(x, target=2, n_steps=50, internal_batch_size=10)
    network.float()
    expected = difference(network, x.float(), 2)
    assert float(found.sum()) == pytest.approx(expected, rel=0.05, abs=0.05)


@pytest.mark.filterwarnings(NONLINEAR)
@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")
def test_deep_lift_runs(network: Network) -> None:
    x = image(network)
    found = attr.DeepLift(network).attribute(x, target=2)
    assert found.shape == x.shape
    assert torch.isfinite(found).all()
    assert found.abs().sum() > 0


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU activations")
def test_guided_backpropagation_and_gradcam_equal_ours(network: Network) -> None:
    x = image(network)
    theirs = attr.GuidedBackprop(network).attribute(x.clone().requires_grad_(), target=2)
    ours = explain.explain(network, x, 2, "guided")
    torch.testing.assert_close(ours, theirs.abs().amax(1)[0], rtol=1e-3, atol=1e-6 * float(theirs.abs().max()))
    if network.spec.name in SEQUENTIAL:  # the last convolution's ReLU, as Grad-CAM is published
        last = [name for name, part in network.named_children() if isinstance(part, nn.ReLU) and name < "relu6"][-1]
        cam = attr.LayerGradCam(network, network.get_submodule(last))
        found = cam.attribute(x.clone().requires_grad_(), target=2, relu_attributions=True)
        grown = attr.LayerAttribution.interpolate(found, network.input[1:], "bilinear")[0, 0].detach()
        ours = explain.explain(network, x, 2, "gradcam")
        torch.testing.assert_close(ours, grown, rtol=1e-3, atol=1e-5 * float(grown.abs().max()) + 1e-12)


def test_torchlens_sees_each_layers_own_output(network: Network) -> None:
    x = image(network)
    first = next(iter(network.layer_names))
    with torch.no_grad():
        expected = network.tap(x, [f"{first}:pre"])[f"{first}:pre"]
        seen = torchlens.trace(network, x)
        assert any(each.out.shape == expected.shape and torch.equal(each.out, expected) for each in seen.layer_list)
        logits = network(x)
        assert torch.equal(seen[seen.output_layers[0]].out, logits)


def test_torchinfo_counts_as_the_catalog_does(network: Network) -> None:
    seen = torchinfo.summary(network, input_size=(1, *network.input), verbose=0)
    assert seen.total_params == sum(each.numel() for each in network.parameters())
    convolution = next(each for each in seen.summary_list if each.class_name.endswith("Conv2d"))
    outputs: list[tuple[int, ...]] = []
    part = next(each for each in network.modules() if isinstance(each, nn.Conv2d))
    handle = part.register_forward_hook(lambda _, __, output: outputs.append(tuple(output.shape)))
    with torch.no_grad():
        network(image(network))
    handle.remove()
    assert tuple(convolution.output_size) == outputs[0]


@torch.no_grad()
def test_features_by_fx(network: Network) -> None:
    """As torchvision's `create_feature_extractor` does: another output for the traced graph."""
    layer = next(name for name in reversed(network.layer_names) if name.startswith("conv"))
    traced = torch.fx.symbolic_trace(network)
    x = image(network)
    expected = network.tap(x, [f"{layer}:pre"])[f"{layer}:pre"]
    node = next(each for each in traced.graph.nodes if each.op == "call_module" and each.target == layer)
    output = next(each for each in traced.graph.nodes if each.op == "output")
    output.args = (node,)
    traced.graph.eliminate_dead_code()
    traced.recompile()
    torch.testing.assert_close(traced(x), expected, rtol=0, atol=0)


def test_skorch_trains_it() -> None:
    digits = alexnet.dataset("digits", "train")
    some = np.arange(600)
    x = digits.batch(some).astype(np.float32).transpose(0, 3, 1, 2) / 255
    x, labels = (x - x.mean()) / x.std(), np.asarray(digits.labels)[some].astype(np.int64)
    torch.manual_seed(0)
    model = NeuralNetClassifier(
        catalog.create("alexnet-digits", init="keras-he"), criterion=nn.CrossEntropyLoss, optimizer=torch.optim.AdamW,
        lr=1e-3, max_epochs=8, batch_size=50, train_split=None, verbose=0,
    )  # fmt: skip
    model.fit(x, labels)
    assert model.score(x, labels) > 0.8  # 0.1 by chance
