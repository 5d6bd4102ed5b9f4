"""Attributions against their definitions, and the checks that an attribution of nothing fails. captum: parity/."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import alexnet
from alexnet.artifacts.run import Run
from alexnet.data.transforms.augment import Augmenter
from alexnet.errors import InputError
from alexnet.inference.features import network_of
from alexnet.inference.model import Model
from alexnet.insight import explain as module
from alexnet.insight.explain import METHODS, SIGNED, cut, explain, last_maps, logits_of, method_named, sanity
from alexnet.insight.explain_picture import explain_image, overlay
from alexnet.models.network import Network


@pytest.fixture
def network(opened: Model) -> Network:
    return network_of(opened)


@pytest.fixture
def digit(opened: Model) -> Tensor:
    image = torch.from_numpy(alexnet.dataset("digits")[3][0][None].copy())
    return Augmenter(opened.preprocessing).evaluate(image)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_is_as_large_as_the_input_and_of_its_class(network: Network, digit: Tensor, method: str) -> None:
    one, again, other = (explain(network, digit, target, method) for target in (3, 3, 8))
    assert (one.shape, one.dtype) == ((8, 8), torch.float32)
    assert torch.equal(one, again)
    assert one.abs().max() > 0
    assert not torch.allclose(one, other)
    assert method in SIGNED or float(one.min()) >= 0
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("method", ["gradcam", "layercam"])
def test_maps_are_weighted_by_their_formula(network: Network, digit: Tensor, method: str) -> None:
    taps = {}
    handle = network.get_submodule("relu5").register_forward_hook(lambda _, __, out: taps.__setitem__("maps", out))
    out = network(digit)
    handle.remove()
    gradient = torch.autograd.grad(out[0, 3], taps["maps"])[0][0]
    weight = gradient.mean((1, 2), keepdim=True) if method == "gradcam" else gradient.clamp(min=0)
    heat = (taps["maps"][0] * weight).sum(0)
    expected = nn.functional.interpolate(heat.relu()[None, None], (8, 8), mode="bilinear")[0, 0]
    torch.testing.assert_close(explain(network, digit, 3, method), expected.detach(), rtol=1e-4, atol=1e-5)
    assert last_maps(network) == "conv5"


def test_a_cut_network_is_the_same_function(network: Network, digit: Tensor) -> None:
    whole = network(digit)
    for layer in ("conv1:pre", "conv3", "features.11", "fc7", "pool2"):
        head, tail = cut(network, layer)
        torch.testing.assert_close(tail(head(digit)), whole)


def test_integrated_gradients_sum_to_the_difference_of_the_logits(network: Network, digit: Tensor) -> None:
    with torch.no_grad():
        difference = float((network(digit) - network(torch.zeros_like(digit)))[0, 3])
    assert float(explain(network, digit, 3, "ig").sum()) == pytest.approx(difference, rel=0.02)


def test_of_a_linear_network_everything_is_known() -> None:
    layer = nn.Linear(64, 3)
    line = Network([("flatten", nn.Flatten()), ("fc1", layer)], (1, 8, 8), 3)
    x, weight = torch.randn(1, 1, 8, 8), layer.weight[1].detach().view(8, 8)
    torch.testing.assert_close(explain(line, x, 1, "ig"), weight * x[0, 0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(explain(line, x, 1, "smoothgrad"), weight.abs())
    torch.testing.assert_close(explain(line, x, 1, "guided"), weight.abs())
    single = module.occlusion(line, x, 1, window=1, stride=1)
    torch.testing.assert_close(single, weight * x[0, 0], rtol=1e-3, atol=1e-4)
    with pytest.raises(InputError, match="1 to 8 pixels"):
        module.occlusion(line, x, 1, window=9)


def test_occlusion_covers_every_pixel(network: Network, digit: Tensor) -> None:
    for window, stride in ((3, 2), (5, 4), (8, 1), (2, 2)):
        assert bool(torch.isfinite(module.occlusion(network, digit, 3, window, stride)).all())
    with pytest.raises(InputError, match="a stride of 1 to 2 pixels"):
        module.occlusion(network, digit, 3, 2, 7)


def test_guided_backpropagation_passes_positive_gradients_alone() -> None:
    net = Network(
        [("fc1", nn.Linear(2, 2, bias=False)), ("relu1", nn.ReLU()), ("fc2", nn.Linear(2, 1, bias=False))], (1, 1, 2), 1
    )
    with torch.no_grad():
        net.get_parameter("fc1.weight").copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        net.get_parameter("fc2.weight").copy_(torch.tensor([[2.0, -3.0]]))
    x = torch.ones(1, 2)
    assert module._gradient(net, x, 0).tolist() == [[2.0, -3.0]]
    replaced = nn.Sequential(net.get_submodule("fc1"), module._GuidedReLU(), net.get_submodule("fc2"))
    assert module._gradient(replaced, x, 0).tolist() == [[2.0, 0.0]]


def test_log_probabilities_are_explained_by_their_logits(make: Callable[..., Model]) -> None:
    network = network_of(make("alexnet-two-class", size=64))
    assert not isinstance(list(logits_of(network).children())[-1], nn.LogSoftmax)
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(logits_of(network)(x).log_softmax(1), network(x))


def test_a_residual_network_is_explained_too(make: Callable[..., Model]) -> None:
    network = network_of(make("resnet-20"))
    x = torch.randn(1, 3, 32, 32)
    for method in ("gradcam", "layercam", "guided"):
        assert explain(network, x, 1, method).shape == (32, 32)


def test_the_sanity_check_passes_for_gradients_and_fails_for_an_edge_detector(
    network: Network, digit: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sanity(network, digit, 3, "smoothgrad").passed

    def edges(network: Network, x: Tensor, target: int) -> Tensor:
        return (x[0, 0].diff(dim=0, append=x[0, 0, -1:])).abs()

    monkeypatch.setitem(METHODS, "edges", edges)
    found = sanity(network, digit, 3, "edges")
    assert found.randomized == pytest.approx(1)
    assert not found.passed


def test_occlusion_that_looks_elsewhere_fails_the_check(
    network: Network, digit: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module.planted(network, digit, 3) == 1
    monkeypatch.setitem(METHODS, "occlusion", lambda n, x, t: module.occlusion(n, x, t).flip(0))
    assert module.planted(network, digit, 3) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "lime"}, "unknown method"),
        ({"target": 10}, "not one of 0 to 9"),
        ({"layer": "conv9"}, "unknown layer"),
        ({"layer": "fc7"}, "has no maps"),
        ({"layer": "conv3", "method": "ig"}, "is for gradcam and layercam"),
    ],
)
def test_what_cannot_be_explained(network: Network, digit: Tensor, options: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        explain(network, digit, **{"target": 3, **options})


def test_a_picture_of_an_image(trained: Run, tmp_path: Path, command: Callable, refused: Callable) -> None:
    image = tmp_path / "digit.png"
    Image.fromarray(alexnet.dataset("digits")[3][0][:, :, 0]).save(image)
    out = tmp_path / "e.png"
    ended = command("explain", trained.path, image, "--out", out, "--method", "gradcam,occlusion", "--top", 2, "--json")
    assert ended.code == 0
    said = json.loads(ended.out)
    assert said["classes"][0]["label"] == "3"
    assert set(said["classes"][0]["maps"]) == {"gradcam", "occlusion"}
    with Image.open(out) as drawn:
        assert drawn.width > 1.1 * drawn.height
    checked = command("explain", trained.path, image, "--out", out, "--force", "--method", "smoothgrad", "--check")
    assert (checked.code, "smoothgrad: rank correlation" in checked.out) == (0, True)
    assert "unknown method" in refused("explain", trained.path, image, "--method", "lime")
    assert "unknown class 'seven'; the model knows: 0, 1" in refused("explain", trained.path, image, "--class", "seven")
    assert "no such file" in refused("explain", trained.path, tmp_path / "none.png", "--out", out, "--force")


def test_named_classes_are_explained_in_their_order(opened: Model) -> None:
    found = explain_image(opened, alexnet.dataset("digits")[3][0], classes=("8", "1"))
    assert (found.names, found.classes) == (("8", "1"), (8, 1))
    again = explain_image(opened, alexnet.dataset("digits")[3][0], ("gradcam", "ig", "gradcam"), 1, ("8", "8"))
    assert (again.methods, again.names) == (("gradcam", "ig"), ("8",))
    assert overlay(found.view.pixels, np.zeros((8, 8)), 1.0, False).shape == (8, 8, 3)


def test_a_layer_for_a_method_that_takes_none_is_refused(opened: Model) -> None:
    """It was ignored."""
    digit = alexnet.dataset("digits")[3][0]
    with pytest.raises(InputError, match="a layer is for gradcam and layercam, not for ig"):
        explain_image(opened, digit, ("ig",), layer="conv1")
    assert explain_image(opened, digit, ("ig", "gradcam"), layer="conv1").methods == ("ig", "gradcam")


@pytest.mark.parametrize(
    ("name", "method"),
    [("Grad-CAM", "gradcam"), ("integrated-gradients", "ig"), ("guided backprop", "guided"), ("LayerCAM", "layercam")],
)
def test_a_method_goes_by_its_published_name(name: str, method: str) -> None:
    assert method_named(name) == method
    with pytest.raises(InputError, match="occlusion, all"):
        method_named("lime", ("all",))
