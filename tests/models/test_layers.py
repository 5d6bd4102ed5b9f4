"""Each layer against plain loops over its published formula, in float64."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from alexnet.models import layers
from alexnet.models.network import module_of
from alexnet.models.structure import AveragePool, Conv, Pool, output_size, pad_amounts


def lrn_by_the_formula(x, size, alpha, beta, k, divide, groups):
    out = torch.empty_like(x)
    half, width = size // 2, x.shape[1] // groups
    for i in range(x.shape[1]):
        first = i // width * width
        window = range(max(first, i - half), min(first + width - 1, i + half) + 1)
        total = sum(x[:, j] ** 2 for j in window)
        out[:, i] = x[:, i] / (k + (alpha / size if divide else alpha) * total) ** beta
    return out


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("size", "alpha", "beta", "k", "divide"), [
    (5, 1e-4, 0.75, 2.0, False),
    (5, 1e-4, 0.75, 2.0, True),
    (5, 1e-4, 0.75, 1.0, True),
    (9, 0.001 / 9, 0.75, 1.0, False),
    (3, 0.5, 0.5, 1.0, True),
])  # fmt: skip
def test_lrn_equals_its_formula(size, alpha, beta, k, divide, groups):
    x = 30 * torch.randn(2, 12, 3, 4, dtype=torch.float64)
    layer = layers.LocalResponseNorm(size, alpha, beta, k, divide, groups)
    expected = lrn_by_the_formula(x, size, alpha, beta, k, divide, groups)
    for given in (x, x.contiguous(memory_format=torch.channels_last)):
        torch.testing.assert_close(layer(given), expected, rtol=1e-13, atol=0)


def test_lrn_divided_is_torchs():
    x = 30 * torch.randn(2, 12, 3, 4, dtype=torch.float64)
    expected = F.local_response_norm(x, 5, 1e-4, 0.75, 2.0)
    torch.testing.assert_close(layers.LocalResponseNorm(5, 1e-4, 0.75, 2.0, divide=True)(x), expected)


def test_the_spatial_norm_equals_its_formula():
    """cuda-convnet's layer.py and layer.cu: a / (1 + alpha / size² · Σ a²)^beta, over pixels of the same map."""
    x, size, alpha, beta = 30 * torch.randn(2, 3, 6, 7, dtype=torch.float64), 5, 1e-3, 0.75
    expected = torch.empty_like(x)
    for row, column in itertools.product(range(6), range(7)):
        near = x[:, :, max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3].square().sum((2, 3))
        expected[:, :, row, column] = x[:, :, row, column] / (1 + alpha / size**2 * near) ** beta
    torch.testing.assert_close(layers.SpatialResponseNorm(size, alpha, beta)(x), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("layer", [layers.LocalResponseNorm(5, 0.1, groups=2), layers.SpatialResponseNorm(3, 0.5)])
def test_norm_gradients_are_right_and_the_input_is_left_alone(layer):
    x = torch.randn(2, 6, 4, 3, dtype=torch.float64, requires_grad=True)
    before = x.detach().clone()
    assert torch.autograd.gradcheck(layer, (x,))
    assert torch.equal(x, before)


@pytest.mark.parametrize("layer", [layers.LocalResponseNorm(), layers.SpatialResponseNorm()])
def test_norms_sum_in_float32_when_the_activations_are_narrower(layer):
    x = (200 * torch.randn(2, 16, 8, 8)).bfloat16()
    y = layer(x)
    assert y.dtype is torch.bfloat16
    torch.testing.assert_close(y, layer(x.float()).bfloat16(), rtol=0, atol=0)


def test_lrn_window_wider_than_the_channels():
    x = torch.randn(1, 2, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(
        layers.LocalResponseNorm(9, 0.1)(x), lrn_by_the_formula(x, 9, 0.1, 0.75, 2.0, True, groups=1)
    )


def test_lrn_refuses_an_even_window():
    with pytest.raises(ValueError, match="odd"):
        layers.LocalResponseNorm(4)


def windows(size, kernel, stride, padding):
    """First pixels of the windows along one side, straight from the definitions."""
    if padding == "same":
        count = math.ceil(size / stride)
        before = max((count - 1) * stride + kernel - size, 0) // 2
    elif padding == "ceil":
        count, before = 1 + math.ceil((size - kernel) / stride), 0
    else:
        count, before = 1 + (size + 2 * padding - kernel) // stride, padding
    return [i * stride - before for i in range(count)]


CASES = [
    (size, kernel, stride, padding)
    for size, kernel, stride, padding in itertools.product(
        range(3, 11), range(1, 6), range(1, 4), ("same", "ceil", 0, 1)
    )
    if kernel <= size and (padding != 1 or kernel > 1) and not (padding == "ceil" and stride > kernel)
]


def test_pooling_takes_exactly_the_windows_of_its_rule():
    for size, kernel, stride, padding in CASES:
        x = torch.randn(1, 1, size, size + 1, dtype=torch.float64) - 5  # padding with 0 would win
        rows, columns = windows(size, kernel, stride, padding), windows(size + 1, kernel, stride, padding)
        expected = torch.stack([
            torch.stack([x[0, 0, max(r, 0) : r + kernel, max(c, 0) : c + kernel].max() for c in columns]) for r in rows
        ])  # fmt: skip
        pool = Pool(kernel, stride, padding)
        if stride == 1 and any(
            before != after for before, after in (pad_amounts(side, kernel, 1, padding) for side in x.shape[2:])
        ):
            continue  # refused, see below
        found = module_of(pool, x.shape[1:])(x)[0, 0]
        assert torch.equal(found, expected), (size, kernel, stride, padding)


def test_a_lopsided_pool_without_stride_is_refused():
    with pytest.raises(ValueError, match="stride of 1"):
        module_of(Pool(2, 1, "same"), (1, 6, 6))


def test_convolution_takes_exactly_the_windows_of_its_rule():
    for size, kernel, stride, padding in CASES:
        x = torch.randn(1, 2, size, size + 1, dtype=torch.float64)
        layer = module_of(Conv(3, kernel, stride, padding), x.shape[1:]).double()
        rows, columns = windows(size, kernel, stride, padding), windows(size + 1, kernel, stride, padding)
        weight, bias = layer.parameters()
        roomy = F.pad(x, (9, 9, 9, 9))
        found = layer(x)
        assert found.shape[2:] == (len(rows), len(columns)), (size, kernel, stride, padding)
        for (i, r), (j, c) in itertools.product(enumerate(rows), enumerate(columns)):
            patch = roomy[0, :, 9 + r : 9 + r + kernel, 9 + c : 9 + c + kernel]
            expected = (weight * patch).sum((1, 2, 3)) + bias
            torch.testing.assert_close(found[0, :, i, j], expected)


def test_sizes_agree_with_what_the_layers_do():
    for size, kernel, stride, padding in CASES:
        assert output_size(size, kernel, stride, padding) == len(windows(size, kernel, stride, padding))


def test_published_sizes():
    assert output_size(224, 11, 4, "ceil") == 55  # the 2012 code
    assert pad_amounts(224, 11, 4, "ceil") == (0, 3)
    assert pad_amounts(32, 11, 4, "same") == (3, 4)  # Keras on CIFAR-10
    with pytest.raises(ValueError, match="'same' or 'ceil'"):
        pad_amounts(32, 3, 1, "full")


def test_average_pool_passes_a_map_of_its_size_and_divides_a_larger_one():
    x = torch.randn(1, 3, 2, 2)
    pool = module_of(AveragePool(2), x.shape[1:])
    assert torch.equal(pool(x), x)
    torch.testing.assert_close(pool(torch.randn(1, 3, 4, 6)).shape, torch.Size([1, 3, 2, 2]))


def test_scaled_dropout_drops_in_training_and_scales_at_test_time():
    layer, x = layers.ScaledDropout(0.25), torch.ones(100_000)
    kept = layer(x)
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    assert kept.mean() == pytest.approx(0.75, abs=0.01)
    assert torch.equal(layer.eval()(x), torch.full_like(x, 0.75))
