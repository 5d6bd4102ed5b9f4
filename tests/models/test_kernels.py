"""The CPU's own forms of layers equal torch's."""

import pytest
import torch
import torch.nn.functional as F

from alexnet.models import catalog, kernels
from alexnet.models.kernels import convolve, dropout


@pytest.fixture
def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "padding"),
    [
        ((3, 3), 3, 1, (1, 1)),
        ((2, 2), 3, 1, (1, 1)),
        ((5, 4), 3, 2, (1, 0)),
        ((4, 5), 4, 3, (1, 2)),
        ((1, 1), 1, 1, (0, 0)),
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_small_maps_are_convolved_as_torch_does(
    seeded: torch.Generator, side: tuple[int, int], kernel: int, stride: int, padding: tuple[int, int], bias: bool
) -> None:
    x = torch.randn(4, 5, *side, generator=seeded, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 5, kernel, kernel, generator=seeded, dtype=torch.float64, requires_grad=True)
    shift = torch.randn(6, generator=seeded, dtype=torch.float64, requires_grad=True) if bias else None
    inputs = [x, weight, *([shift] if shift is not None else [])]
    ours = convolve(x, weight, shift, stride, padding, 1)
    theirs = F.conv2d(x, weight, shift, stride, padding)
    assert "MatrixConvolution" in str(ours.grad_fn) or bias  # with a bias, the sum comes last
    torch.testing.assert_close(ours, theirs)
    upstream = torch.randn(ours.shape, generator=seeded, dtype=torch.float64)
    for mine, reference in zip(
        torch.autograd.grad(ours, inputs, upstream), torch.autograd.grad(theirs, inputs, upstream), strict=True
    ):
        torch.testing.assert_close(mine, reference)


def test_larger_maps_and_groups_are_left_to_torch(seeded: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels._MatrixConvolution, "apply", None)
    x, weight = torch.randn(1, 4, 4, 4, generator=seeded), torch.randn(4, 4, 3, 3, generator=seeded)
    assert convolve(x, weight, None, 1, (1, 1), 1).shape == (1, 4, 4, 4)
    assert convolve(x[..., :2, :2], weight[:, :2], None, 1, (1, 1), 2).shape == (1, 4, 2, 2)


def test_autocast_multiplies_in_bf16_and_gives_gradients_in_fp32(seeded: torch.Generator) -> None:
    x = torch.randn(4, 5, 4, 4, generator=seeded, requires_grad=True)
    weight = torch.randn(6, 5, 3, 3, generator=seeded, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        ours = convolve(x, weight, torch.ones(6), 1, (1, 1), 1)
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours.float(), F.conv2d(x, weight, torch.ones(6), 1, 1), rtol=0.02, atol=0.1)
    ours.float().sum().backward()
    assert [leaf.grad.dtype for leaf in (x, weight) if leaf.grad is not None] == 2 * [torch.float32]


@pytest.mark.parametrize("p", [0.25, 0.5, 0.8])
def test_dropout_drops_its_share_and_keeps_the_mean(p: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(1001, 333, requires_grad=True)
    dropped = dropout(x, p, training=True)
    values = dropped.detach().unique()
    torch.testing.assert_close(values, torch.tensor([0.0, 1 / (1 - p)]))
    assert (dropped == 0).float().mean().item() == pytest.approx(p, abs=0.003)
    dropped.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, dropped)


def test_dropout_is_drawn_from_torchs_generator_and_off_in_evaluation() -> None:
    x = torch.ones(7, 5)
    torch.manual_seed(1)
    first = dropout(x, 0.5, training=True)
    assert not torch.equal(first, dropout(x, 0.5, training=True))
    torch.manual_seed(1)
    assert torch.equal(first, dropout(x, 0.5, training=True))
    assert dropout(x, 0.5, training=False) is x


def test_relu_after_the_pooling_changes_no_bit(seeded: torch.Generator) -> None:
    torch.manual_seed(0)
    model = catalog.create("alexnet-thinner-4").eval()
    x = torch.randn(2, 3, 32, 32, generator=seeded, requires_grad=True)
    plain = x
    for module in model.children():
        plain = module(plain)
    scores = model(x)
    assert torch.equal(scores, plain)
    ours, theirs = (torch.autograd.grad(y.square().sum(), [x, *model.parameters()]) for y in (scores, plain))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_who_hooks_a_relu_sees_it_in_its_published_place(seeded: torch.Generator) -> None:
    model = catalog.create("alexnet-thinner-4").eval()
    shapes = []
    model.get_submodule("relu2").register_forward_hook(lambda module, args, result: shapes.append(result.shape[-1]))
    model(torch.randn(1, 3, 32, 32, generator=seeded))
    assert shapes == [32]
