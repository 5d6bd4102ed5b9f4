"""The ceilings are what a matrix product and a copy reach, in the units that they say."""

import pytest
import torch

from alexnet.benchmark import machine
from alexnet.graphs import runtimes

CPU = torch.device("cpu")


def test_the_peak_counts_two_operations_a_multiply_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_times", lambda device, run, repeats: [0.5, 0.25, 1.0])
    monkeypatch.setitem(machine._SIDES, "cpu", (4, 8))
    assert machine.matrix_peak(CPU, "bf16") == 2 * 8**3 / 0.25  # the quickest, of the best side


@pytest.mark.parametrize("quick", ["torch", "oneDNN", "onnxruntime"])
def test_the_peak_is_that_of_the_quickest_library(monkeypatch: pytest.MonkeyPatch, quick: str) -> None:
    """Where torch's own product is slow, the peak is another's."""
    products = [(name, name) for name in ("torch", "oneDNN", "onnxruntime")]
    monkeypatch.setattr(machine, "products", lambda a, b: products)
    monkeypatch.setattr(machine, "_times", lambda device, run, repeats: [0.25 if run == quick else 0.5])
    monkeypatch.setitem(machine._SIDES, "cpu", (8,))
    assert machine.best_product(CPU, "fp32") == (2 * 8**3 / 0.25, quick)
    assert machine.peaks(CPU, ("fp32",)).libraries == {"fp32": quick}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_library_multiplies_the_two_matrices(dtype: torch.dtype) -> None:
    a, b = (torch.randn(64, 64).to(dtype) for _ in range(2))
    found = dict(machine.products(a, b))
    there = {"oneDNN": torch.backends.mkldnn.is_available(), "onnxruntime": not runtimes.missing("onnxruntime")}
    others = [name for name, here in there.items() if here and dtype == torch.float32]
    assert list(found) == ["torch", *others]
    for name, product in found.items():
        result = product()
        if isinstance(result, list):
            (result,) = map(torch.from_numpy, result)
        assert isinstance(result, torch.Tensor)
        result = result.to_dense() if result.is_mkldnn else result
        torch.testing.assert_close(result, a @ (b.t() if name == "oneDNN" else b), rtol=2e-2, atol=2e-2)


def test_the_bandwidth_counts_a_byte_read_and_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_times", lambda device, run, repeats: [0.5, 0.25, 1.0])
    monkeypatch.setitem(machine._COPY_BYTES, "cpu", 4096)
    assert machine.copy_bandwidth(CPU) == 2 * 4096 / 0.5  # the median


def test_a_real_measurement_is_a_plausible_one() -> None:
    found = machine.peaks(CPU, ("fp32",))
    assert list(found.flops) == ["fp32"]
    assert 1e8 < found.flops["fp32"] < 1e14
    assert 1e8 < found.bandwidth < 1e13
