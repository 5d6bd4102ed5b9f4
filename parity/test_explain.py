"""Attributions beside captum's, on the digits' network with random weights."""

import pytest
import torch
from captum import attr

from alexnet.insight import explain
from alexnet.models import catalog
from alexnet.models.network import Network


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return catalog.create("alexnet-digits", init="keras-he").eval().requires_grad_(False)


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_integrated_gradients(network: Network, x: torch.Tensor) -> None:
    theirs = attr.IntegratedGradients(network).attribute(x, torch.zeros_like(x), target=3, n_steps=50)
    torch.testing.assert_close(explain.integrated(network, x, 3, 50), theirs.float(), rtol=1e-3, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU activations")
def test_guided_backpropagation(network: Network, x: torch.Tensor) -> None:
    theirs = attr.GuidedBackprop(network).attribute(x.clone().requires_grad_(), target=3)
    torch.testing.assert_close(explain.explain(network, x, 3, "guided"), theirs.abs()[0, 0], rtol=1e-4, atol=1e-6)


def test_gradcam(network: Network, x: torch.Tensor) -> None:
    cam = attr.LayerGradCam(network, network.get_submodule("relu5"))
    theirs = cam.attribute(x.clone().requires_grad_(), target=3, relu_attributions=True)
    theirs = attr.LayerAttribution.interpolate(theirs, (8, 8), "bilinear")[0, 0]
    torch.testing.assert_close(explain.explain(network, x, 3, "gradcam"), theirs.detach(), rtol=1e-4, atol=1e-6)


def test_occlusion(network: Network, x: torch.Tensor) -> None:
    theirs = attr.Occlusion(network).attribute(x, (1, 2, 2), strides=(1, 1, 1), target=3, baselines=0)
    torch.testing.assert_close(explain.occlusion(network, x, 3, 2, 1), theirs[0, 0], rtol=1e-3, atol=1e-4)


def test_smoothgrad_with_one_sample_and_no_noise_is_the_saliency(network: Network, x: torch.Tensor) -> None:
    theirs = attr.Saliency(network).attribute(x.clone().requires_grad_(), target=3)
    torch.testing.assert_close(explain.smoothgrad(network, x, 3, 1, 0.0), theirs[0, 0], rtol=1e-4, atol=1e-6)
