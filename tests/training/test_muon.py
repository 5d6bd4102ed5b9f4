"""Muon's steps: orthogonal for filters, torch's SGD for everything else."""

import copy
import math

import pytest
import torch

from alexnet.models import catalog
from alexnet.training.muon import Muon, orthogonalized


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (16, 16)])
def test_every_singular_value_becomes_about_one_and_the_directions_stay(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    found = u.t() @ orthogonalized(matrix) @ vt.t()
    assert found.diagonal().min() > 0.6
    assert found.diagonal().max() < 1.3
    assert (found - found.diagonal().diag()).abs().max() < 0.05


@pytest.mark.parametrize(("able", "rounds"), [({}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)])
@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (16, 16)])
@pytest.mark.parametrize("least", [1.0, 1e-6])
def test_bf16_is_left_to_processors_that_multiply_it(
    least: float, shape: tuple[int, int], able: dict[str, bool], rounds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere a step of a CIFAR recipe would take ten seconds. least: of the singular values; the largest is 1."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    u, _, v = torch.linalg.svd(torch.randn(shape, generator=torch.Generator().manual_seed(0)).double(), False)
    values = torch.logspace(0, math.log10(least), 16, dtype=torch.double)
    found = orthogonalized((u * values @ v).float())
    values /= values.norm()
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    off = (found - u * values @ v).abs().max()
    assert off > 2e-3 if rounds else off < 5e-4


def test_fully_connected_layers_and_biases_learn_as_with_torchs_sgd() -> None:
    torch.manual_seed(0)
    ours = catalog.create("alexnet-digits")
    theirs = copy.deepcopy(ours)
    muon = Muon(ours.parameters(), lr=0.1, momentum=0.8, weight_decay=1e-3)
    sgd = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.8, weight_decay=1e-3, nesterov=True)
    for step in range(3):
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.grad = torch.randn(mine.shape, generator=torch.Generator().manual_seed(step))
            other.grad = mine.grad.clone()
        muon.step()
        sgd.step()
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, other, rtol=1e-5, atol=1e-6) == (mine.ndim != 4), name


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_filters_step_is_orthogonal_whatever_its_memory_format(memory_format: torch.memory_format) -> None:
    weight = torch.nn.Parameter(torch.zeros(4, 3, 3, 3).contiguous(memory_format=memory_format))
    weight.grad = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    Muon([weight], lr=0.5, filters=0.2).step()
    values = torch.linalg.svdvals(weight.detach().flatten(1)) / (0.5 * 0.2)
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_a_filters_step_is_nesterovs_with_decay_and_the_scale_of_a_tall_matrix() -> None:
    draws = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(40, 1, 3, 3, generator=draws))
    expected, velocity = weight.detach().clone(), torch.zeros(40, 1, 3, 3)
    muon = Muon([weight], lr=0.1, momentum=0.8, weight_decay=0.5, filters=0.4)
    for _ in range(2):
        weight.grad = torch.randn(40, 1, 3, 3, generator=draws)
        velocity = 0.8 * velocity + weight.grad
        step = orthogonalized((weight.grad + 0.8 * velocity).flatten(1)).view_as(velocity)
        expected = expected * (1 - 0.1 * 0.4 * 0.5) - 0.1 * 0.4 * (40 / 9) ** 0.5 * step
        muon.step()
    assert torch.allclose(weight, expected, rtol=1e-4, atol=1e-5)
