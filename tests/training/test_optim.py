"""Each optimizer against its formula, written down as a plain loop."""

import copy
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from alexnet.errors import InputError
from alexnet.recipes.schema import Optimizer
from alexnet.training import optim
from alexnet.training.optim import L2, MovingAverage, VelocitySGD

RATES = [0.1, 0.1, 0.1, 0.01, 0.01]  # drops by ten after the third step


def gradients(weight: Tensor) -> Tensor:
    return 2 * weight + 1


def walk(optimizer: torch.optim.Optimizer, weight: Tensor, rates: list[float]) -> Tensor:
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = gradients(weight.detach())
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize("nesterov", [False, True])
def test_velocity_sgd_is_the_published_formula(nesterov: bool) -> None:
    momentum, decay, start = 0.9, 0.01, [1.0, -2.0, 0.5]
    expected = []
    for w in start:
        v = 0.0
        for rate in RATES:
            g = 2 * w + 1 + decay * w
            v = momentum * v - rate * g
            w = w + momentum * v - rate * g if nesterov else w + v
        expected.append(w)
    weight = nn.Parameter(torch.tensor(start))
    moved = walk(VelocitySGD([weight], 0.1, momentum, nesterov, decay), weight, RATES)
    torch.testing.assert_close(moved, torch.tensor(expected))


@pytest.mark.parametrize("nesterov", [False, True])
def test_it_parts_from_torchs_sgd_where_the_rate_drops(nesterov: bool) -> None:
    ends = []
    for steps in (3, 5):
        ours, theirs = (nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
        walk(VelocitySGD([ours], 0.1, 0.9, nesterov), ours, RATES[:steps])
        walk(torch.optim.SGD([theirs], 0.1, 0.9, nesterov=nesterov), theirs, RATES[:steps])
        ends.append((ours.detach(), theirs.detach()))
    torch.testing.assert_close(*ends[0])
    assert not torch.allclose(*ends[1], rtol=0.01)


def test_by_how_much_they_part() -> None:
    """With gradients that do not depend on the weights, k steps after a drop from r to s the weights differ by
    (r − s) · b · (m + m² + … + mᵏ), b being the sum that torch's SGD keeps at the drop."""
    r, s, m = 0.1, 0.01, 0.9
    ours, theirs = (nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64)) for _ in range(2))
    optimizers = VelocitySGD([ours], r, m), torch.optim.SGD([theirs], r, m)
    draws, kept = torch.Generator().manual_seed(0), torch.zeros(2, dtype=torch.float64)
    for step in range(8):
        gradient = torch.randn(2, generator=draws, dtype=torch.float64)
        for optimizer, weight in zip(optimizers, (ours, theirs), strict=True):
            optimizer.param_groups[0]["lr"] = r if step < 4 else s
            weight.grad = gradient.clone()
            optimizer.step()
        if step < 4:  # the rate is constant: equal
            kept = m * kept + gradient
            expected = torch.zeros(2, dtype=torch.float64)
        else:
            expected = -(r - s) * kept * sum(m**k for k in range(1, step - 2))
        torch.testing.assert_close(ours.detach() - theirs.detach(), expected, rtol=1e-9, atol=1e-12)


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1, self.fc2 = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 3)


def network() -> Tiny:
    torch.manual_seed(0)
    return Tiny()


@pytest.mark.parametrize("name", ["sgd", "velocity", "adam", "adamw", "adadelta", "muon"])
def test_weight_decay_leaves_out_biases_and_norms(name: str) -> None:
    """With gradients of zero only decay moves a weight."""
    model = network()
    optimizer = optim.build(Optimizer(name=name, lr=0.1, weight_decay=0.1), model)
    before = copy.deepcopy(model.state_dict())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"conv1.weight", "fc2.weight"}


def test_build_takes_the_recipes_settings() -> None:
    adam = optim.build(Optimizer(name="adam", lr=0.5, beta1=0.8, beta2=0.9, eps=1e-7), network())
    assert isinstance(adam, torch.optim.Adam)
    assert {name: adam.param_groups[0][name] for name in ("lr", "betas", "eps")} == {
        "lr": 0.5, "betas": (0.8, 0.9), "eps": 1e-7,
    }  # fmt: skip
    sgd = optim.build(Optimizer(name="sgd", momentum=0.7, nesterov=True), network())
    assert (sgd.param_groups[0]["momentum"], sgd.param_groups[0]["nesterov"]) == (0.7, True)


def test_l2_adds_twice_lambda_w_on_the_named_layers_only() -> None:
    model = network()
    penalty = L2(Optimizer(l2=0.01, l2_layers=("conv",)), model)()
    assert isinstance(penalty, Tensor)
    penalty.backward()
    weights = dict(model.named_parameters())
    torch.testing.assert_close(weights["conv1.weight"].grad, 0.02 * weights["conv1.weight"].detach())
    assert [name for name, weight in weights.items() if weight.grad is not None] == ["conv1.weight"]


def test_l2_is_on_all_weights_when_none_is_named_and_nothing_when_off() -> None:
    model = network()
    expected = 0.01 * (model.conv1.weight.square().sum() + model.fc2.weight.square().sum())
    torch.testing.assert_close(L2(Optimizer(l2=0.01), model)(), expected)
    assert L2(Optimizer(), model)() == 0.0
    with pytest.raises(InputError, match="'cnov'; did you mean conv1"):
        L2(Optimizer(l2=0.01, l2_layers=("cnov",)), model)


def test_the_moving_average_follows_with_a_growing_decay_and_copies_statistics() -> None:
    model = network()
    average = MovingAverage(model, 0.5)
    expected = model.fc2.weight.detach().clone()
    for step in range(1, 20):
        with torch.no_grad():
            model.fc2.weight += 1
            model.state_dict()["bn1.running_mean"] += 1
        average.update(model)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.fc2.weight.detach()
    torch.testing.assert_close(average.average["fc2.weight"], expected)
    torch.testing.assert_close(average.average["bn1.running_mean"], torch.full((2,), 19.0))
    assert average.steps == 19


def test_steps_shrink_with_the_rate() -> None:
    """A plain check that `param_groups[…]['lr']`, which the loop sets, is what counts."""
    for name in ("sgd", "velocity", "adam", "adamw", "adadelta", "muon"):
        moved = []
        for rate in (0.1, 0.01, 0.001):
            model = network()
            optimizer = optim.build(Optimizer(name=name), model)
            before = model.fc2.weight.detach().clone()
            for group in optimizer.param_groups:
                group["lr"] = rate
            for parameter in model.parameters():
                parameter.grad = torch.ones_like(parameter)
            optimizer.step()
            moved.append((model.fc2.weight - before).abs().mean().item())
        assert all(large > small * 5 for large, small in pairwise(moved)), name
