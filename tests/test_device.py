"""Devices by name, precision by facts, seeds by use."""

import pytest
import torch

from alexnet import device
from alexnet.errors import InputError


def test_auto_is_a_device_that_is_there() -> None:
    assert device.choose_device().type in ("cpu", "cuda", "mps")
    assert device.choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["toaster", "cuda:99", "meta", "", "cpu:x", "cpu:3"])
def test_an_unknown_device_is_refused_with_those_that_are_there(name: str) -> None:
    with pytest.raises(InputError, match="cpu"):
        device.choose_device(name)


def test_a_machine_without_cuda_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was "unknown device 'cuda'; did you mean cpu?"."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="there is no CUDA device here; choose auto or cpu"):
        device.choose_device("cuda:7")


def test_precision_is_what_was_asked_for_and_auto_asks_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert device.choose_precision("bf16", cpu) == "bf16"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert device.choose_precision("auto", cpu) == "bf16"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert device.choose_precision("auto", cpu) == "fp32"


def test_bf16_that_is_only_emulated_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert "slower than fp32" in (device.emulated("bf16", cpu) or "")
    assert device.emulated("fp32", cpu) is None
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert device.emulated("bf16", cpu) is None


def test_autocast_multiplies_in_the_precision() -> None:
    cpu, square = torch.device("cpu"), torch.ones(2, 2)
    with device.autocast(cpu, "bf16"):
        assert (square @ square).dtype == torch.bfloat16
    with device.autocast(cpu, "fp32"):
        assert (square @ square).dtype == torch.float32
    with pytest.raises(InputError, match="choose one of: fp32, bf16"):
        device.autocast(cpu, "fp8")


def test_each_use_of_randomness_has_its_own_seed() -> None:
    seeds = {device.derive_seed(seed, use, step) for seed in (0, 1) for use in ("a", "b") for step in range(10)}
    assert len(seeds) == 40
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert device.derive_seed(0, "a", 1) == device.derive_seed(0, "a", 1)


def test_the_environment_names_versions_and_hardware() -> None:
    said = device.environment(torch.device("cpu"), "fp32")
    assert said["torch"] == torch.__version__
    assert {"alexnet", "python", "numpy", "platform", "cpu", "threads", "device", "precision"} <= said.keys()
