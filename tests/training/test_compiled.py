from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from alexnet.errors import InputError
from alexnet.training.compiled import compiled


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4 * 36, 3))


INPUTS, LABELS = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 3


def compiler(monkeypatch: pytest.MonkeyPatch, compile: Callable[[nn.Module], Callable[[Tensor], Tensor]]) -> None:
    monkeypatch.setattr(torch, "compile", compile)


def test_a_right_compiler_is_believed(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler(monkeypatch, lambda model: lambda x: model(x.clone()))
    fast = compiled(network, INPUTS, LABELS, "fp32")
    assert network.training
    assert all(p.grad is None for p in network.parameters())
    network.eval()
    assert torch.equal(fast(INPUTS), network(INPUTS))


def test_a_compiler_that_loses_gradients_is_not(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(model: nn.Module) -> Callable[[Tensor], Tensor]:
        return lambda x: model[4](model[3](model[2](model[1](model[0](x).detach() + 0 * model[0](x)))))  # type: ignore

    compiler(monkeypatch, lose)
    with pytest.raises(InputError, match=r"gradient of 0\.weight is off by 100%.*compile=false"):
        compiled(network, INPUTS, LABELS, "fp32")
    assert network.training
