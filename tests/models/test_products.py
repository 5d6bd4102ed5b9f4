"""Products by oneDNN equal torch's own, with their gradients; which of the two is taken follows from the processor."""

import pytest
import torch
import torch.nn.functional as F

from alexnet.models import products

INTEL = {"architecture": "x86_64", "cpu_name": "Intel Xeon Processor"}
AMD = {"architecture": "x86_64", "cpu_name": "AMD EPYC"}
needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"),
    reason="this torch has no oneDNN",
)


@pytest.fixture
def by_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "onednn_is_faster", lambda: True)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@needs_onednn
@pytest.mark.parametrize("transposed", [False, True])
def test_a_product_is_torchs(by_onednn: None, transposed: bool) -> None:
    a, b = (drawn(7, 5).t(), drawn(7, 3).t()) if transposed else (drawn(5, 7), drawn(3, 7))
    torch.testing.assert_close(products.product(a, b), (a.double() @ b.double().t()).float())
    assert products.product(a.bfloat16(), b.bfloat16()).dtype == torch.bfloat16
    torch.testing.assert_close(products.product(a.double(), b.double()), a.double() @ b.double().t())


@needs_onednn
@pytest.mark.parametrize("bias", [False, True])
def test_a_layer_and_its_gradients_are_torchs(by_onednn: None, bias: bool) -> None:
    x, weight = drawn(6, 9).requires_grad_(), drawn(4, 9).requires_grad_()
    shift = drawn(4).requires_grad_() if bias else None
    ours = products.linear(x, weight, shift)
    assert "_Linear" in str(ours.grad_fn)
    exact = [leaf.detach().double().requires_grad_() for leaf in (x, weight, shift) if leaf is not None]
    theirs = F.linear(*exact)
    torch.testing.assert_close(ours, theirs.float())
    upstream = drawn(6, 4)
    leaves = [leaf for leaf in (x, weight, shift) if leaf is not None]
    for mine, reference in zip(
        torch.autograd.grad(ours, leaves, upstream), torch.autograd.grad(theirs, exact, upstream.double()), strict=True
    ):
        torch.testing.assert_close(mine, reference.float())


@needs_onednn
def test_frozen_weights_get_no_gradient(by_onednn: None) -> None:
    x, weight = drawn(2, 3).requires_grad_(), drawn(4, 3)
    products.linear(x, weight, None).sum().backward()
    torch.testing.assert_close(x.grad, weight.sum(0).expand(2, 3))
    assert weight.grad is None


def test_other_dtypes_shapes_and_autocast_are_left_to_torch(by_onednn: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products._Linear, "apply", None)
    assert products.linear(drawn(2, 3).double(), drawn(4, 3).double(), None).dtype == torch.float64
    assert products.linear(drawn(2, 5, 3), drawn(4, 3), None).shape == (2, 5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert products.linear(drawn(2, 3), drawn(4, 3), None).dtype == torch.bfloat16
    before = torch.backends.mkldnn.set_flags(False)[0]  # as a caller may
    try:
        assert products.linear(drawn(2, 3), drawn(4, 3), None).shape == (2, 4)
    finally:
        torch.backends.mkldnn.set_flags(before)


@pytest.mark.parametrize(
    ("processor", "faster"),
    [(INTEL, False), ({}, False), ({"architecture": "aarch64", "cpu_name": "Neoverse"}, False), (AMD, True)],
)
def test_the_processor_decides(processor: dict[str, str], faster: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    assert products.onednn_is_faster.__wrapped__() is (faster and hasattr(torch.ops.mkldnn, "_linear_pointwise"))
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    assert not products.onednn_is_faster.__wrapped__()
