"""The CPU's own forms of layers equal the plain ones, and `quicken` puts them where they belong."""

import copy

import pytest
import torch
import torch.nn.functional as F
import torch.nn.utils.prune

from alexnet.models import catalog, kernels, layers, products
from alexnet.models.kernels import convolve, dropout
from alexnet.models.quick import quicken, tap

SMALL = ("alexnet-digits", "alexnet-thinner-4", "alexnet-bearpaw", "figure1-relu", "figure1-tanh", "resnet-20")


@pytest.fixture
def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def few_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions of a few filters are matrix products too."""
    monkeypatch.setattr(kernels, "_FILTERS", 1)


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
    few_filters: None,
    seeded: torch.Generator,
    side: tuple[int, int],
    kernel: int,
    stride: int,
    padding: tuple[int, int],
    bias: bool,
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


def test_what_is_large_grouped_or_has_few_filters_is_left_to_torch(
    seeded: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels._MatrixConvolution, "apply", None)
    small, many = torch.randn(1, 4, 2, 2, generator=seeded), torch.randn(128, 4, 3, 3, generator=seeded)
    with pytest.raises(TypeError):  # it is called
        convolve(small, many, None, 1, (1, 1), 1)
    assert convolve(small, many[:127], None, 1, (1, 1), 1).shape == (1, 127, 2, 2)
    monkeypatch.setattr(kernels, "_FILTERS", 1)
    x, weight = torch.randn(1, 4, 4, 4, generator=seeded), torch.randn(4, 4, 3, 3, generator=seeded)
    assert convolve(x, weight, None, 1, (1, 1), 1).shape == (1, 4, 4, 4)
    assert convolve(x[..., :2, :2], weight[:, :2], None, 1, (1, 1), 2).shape == (1, 4, 2, 2)


@pytest.mark.parametrize("amx", [True, False])
def test_large_windows_on_sixteen_pixels_are_products_with_amx_only(
    amx: bool, few_filters: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "_has_amx", lambda: amx)
    for side, kernel, product in ((4, 3, True), (4, 5, amx), (3, 5, True)):
        x, weight = (
            torch.ones(1, 2, side, side).bfloat16(),
            torch.ones(3, 2, kernel, kernel).bfloat16().requires_grad_(),
        )
        found = convolve(x, weight, None, 1, (kernel // 2, kernel // 2), 1)
        assert ("MatrixConvolution" in str(found.grad_fn)) is product


def test_autocast_multiplies_in_bf16_and_gives_gradients_in_fp32(few_filters: None, seeded: torch.Generator) -> None:
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


LRN = {"size": 5, "s": 0.02, "beta": 0.75, "k": 2.0}


@pytest.mark.parametrize("groups", [1, 2])
def test_lrn_is_the_plain_one_to_the_bit_and_its_derivative_is_right(seeded: torch.Generator, groups: int) -> None:
    x = torch.randn(2, 8, 4, 3, generator=seeded, requires_grad=True)
    plain, ours = (each.local_response_norm(x, groups=groups, **LRN) for each in (layers, kernels))
    assert torch.equal(plain, ours)
    upstream = torch.randn(plain.shape, generator=seeded)
    torch.testing.assert_close(*(torch.autograd.grad(y, x, upstream)[0] for y in (ours, plain)))
    wide = x.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: kernels.local_response_norm(x, groups=groups, **LRN), wide)


def test_a_window_wider_than_the_channels(seeded: torch.Generator) -> None:
    x = torch.randn(1, 2, 3, 3, generator=seeded)
    wide = LRN | {"size": 9}
    assert torch.equal(*(each.local_response_norm(x, groups=1, **wide) for each in (layers, kernels)))


def gradients(y: torch.Tensor, network: torch.nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(y.square().sum(), [x, *network.parameters()])


def test_relu_after_the_pooling_changes_no_bit(seeded: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(kernels, "_FEW", {})  # no convolution, and no product, by another kernel
    monkeypatch.setattr(products, "onednn_is_faster", lambda: False)
    model = catalog.create("alexnet-thinner-4").eval()
    x = torch.randn(2, 3, 32, 32, generator=seeded, requires_grad=True)
    ours, theirs = (gradients(each(x), model, x) for each in (quicken(model), model))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("training", [False, True])
def test_the_quick_form_is_the_plain_function(
    name: str, training: bool, few_filters: None, seeded: torch.Generator
) -> None:
    """In training, dropout's draws differ: it is left out."""
    torch.manual_seed(0)
    model = catalog.create(name)
    for part in model:
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    model.double().train(training)
    x = torch.randn(2, *model.input, generator=seeded, dtype=torch.float64, requires_grad=True)
    outputs = [each(x) for each in (model, quicken(model))]
    torch.testing.assert_close(*outputs)
    torch.testing.assert_close(*(gradients(y, model, x) for y in outputs))


def test_the_quick_form_uses_each_kernel(monkeypatch: pytest.MonkeyPatch, seeded: torch.Generator) -> None:
    used = set()
    of = {"convolve": kernels, "local_response_norm": kernels, "dropout": kernels, "linear": products}
    for name, room in of.items():
        right = getattr(room, name)
        monkeypatch.setattr(room, name, lambda *args, name=name, right=right: used.add(name) or right(*args))
    model = catalog.create("alexnet-digits")
    assert quicken(model)(torch.randn(2, 1, 8, 8, generator=seeded)).shape == (2, 10)
    assert used == of.keys()


def test_the_quick_form_shares_parameters_statistics_and_mode() -> None:
    model = catalog.create("resnet-20")
    quick = quicken(model)
    assert {id(p) for p in quick.parameters()} == {id(p) for p in model.parameters()}
    quick(torch.randn(2, 3, 32, 32))
    assert model.get_buffer("bn1.num_batches_tracked") == 1
    quick.eval()
    assert not any(part.training for part in model.modules())
    copied = copy.deepcopy(quick)
    with torch.no_grad():
        model.get_parameter("fc.bias").add_(1)
    x = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(copied(x) + 1, quick(x))
    plain = torch.nn.Linear(2, 2)
    assert quicken(plain) is plain


def test_layers_with_hooks_run_as_they_are_in_their_place(seeded: torch.Generator) -> None:
    model = catalog.create("alexnet-thinner-4").eval()
    quick, shapes = quicken(model), []
    model.get_submodule("relu2").register_forward_hook(lambda module, args, result: shapes.append(result.shape[-1]))
    quick(torch.randn(1, 3, 32, 32, generator=seeded))
    assert shapes == [32]
    torch.nn.utils.prune.random_unstructured(model.get_submodule("conv5"), "weight", 1.0)
    torch.nn.utils.prune.random_unstructured(model.get_submodule("conv5"), "bias", 1.0)
    x = torch.randn(1, 3, 32, 32, generator=seeded)
    torch.testing.assert_close(quick(x), model(x))
    torch.testing.assert_close(quick(x), quick(2 * x))  # conv5 is pruned away in both


def test_taps_are_computed_by_kernels_but_for_layers_with_hooks(
    monkeypatch: pytest.MonkeyPatch, seeded: torch.Generator
) -> None:
    model, seen = catalog.create("alexnet-digits").eval(), []
    x = torch.randn(2, 1, 8, 8, generator=seeded)
    plain = model.tap(x, ["conv5", "fc6:pre", "fc7"])
    monkeypatch.setattr(products, "linear", lambda x, weight, bias: seen.append(x) or F.linear(x, weight, bias))
    torch.testing.assert_close(tap(model, x, ["conv5", "fc6:pre", "fc7"]), plain)
    assert len(seen) == 2
    model.get_submodule("fc6").register_forward_hook(lambda module, args, result: -result)
    torch.testing.assert_close(tap(model, x, ["fc6:pre"])["fc6:pre"], -plain["fc6:pre"])
    assert len(seen) == 2
