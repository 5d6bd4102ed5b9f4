"""The ceilings are what a matrix product and a copy reach, in the units that they say."""

import pytest
import torch

from alexnet.benchmark import machine

CPU = torch.device("cpu")


def test_the_peak_counts_two_operations_a_multiply_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_times", lambda device, run, repeats: [0.5, 0.25, 1.0])
    monkeypatch.setitem(machine._SIDES, "cpu", (4, 8))
    assert machine.matrix_peak(CPU, "bf16") == 2 * 8**3 / 0.25  # the quickest, of the best side


def test_the_bandwidth_counts_a_byte_read_and_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_times", lambda device, run, repeats: [0.5, 0.25, 1.0])
    monkeypatch.setitem(machine._COPY_BYTES, "cpu", 4096)
    assert machine.copy_bandwidth(CPU) == 2 * 4096 / 0.5  # the median


def test_a_real_measurement_is_a_plausible_one() -> None:
    found = machine.peaks(CPU, ("fp32",))
    assert list(found.flops) == ["fp32"]
    assert 1e8 < found.flops["fp32"] < 1e14
    assert 1e8 < found.bandwidth < 1e13
