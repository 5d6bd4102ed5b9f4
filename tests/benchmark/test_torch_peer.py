"""The plain PyTorch loop trains the network that we train: same parameters, same loss, same steps."""

import pytest
import torch

from alexnet.benchmark import peers, torch_peer, worker
from alexnet.benchmark.torch_peer import Loop, optimizer_of
from alexnet.benchmark.workload import of_network
from alexnet.errors import InputError
from alexnet.models import catalog, products
from alexnet.models.quick import quicken
from alexnet.models.summary import outline
from alexnet.recipes.schema import Optimizer
from alexnet.training import optim

CPU = torch.device("cpu")


def test_its_loss_falls() -> None:
    """The loop alternates between two batches of noise, which it learns by heart."""
    loop = Loop(of_network("alexnet-digits", 8, "fp32", {"optimizer.name": "adam", "optimizer.lr": 3e-3}), CPU)
    losses = [loop.step().item() for _ in range(50)]
    assert sum(losses[-4:]) < 1.6 * sum(losses[:2])


def test_bf16_is_autocast_over_float32_weights() -> None:
    loop = Loop(of_network("alexnet-digits", 4, "bf16"), CPU)
    assert torch.isfinite(loop.step())
    assert {p.dtype for p in loop.network.parameters()} == {torch.float32}
    exact = Loop(of_network("alexnet-digits", 4, "fp32"), CPU)
    assert exact.step().item() == pytest.approx(Loop(of_network("alexnet-digits", 4, "bf16"), CPU).step().item(), 0.05)


def test_the_first_steps_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same weights and batch, in fp32 and without dropout: the same loss, before a step and after it. By the
    same products of matrices: at a loss of 34 a last digit grows a thousandfold in a step."""
    monkeypatch.setattr(products, "onednn_is_faster", lambda: False)
    recipe = of_network("alexnet-thinner-4", 4, "fp32", {"optimizer.l2": 1e-3, "optimizer.l2_layers": ("conv",)})
    loop = Loop(recipe, CPU)
    loop.network.eval()  # dropout's draws differ
    ours = catalog.create("alexnet-thinner-4").eval()
    ours.load_state_dict(loop.network.state_dict())
    optimizer, l2, quick = optim.build(recipe.optimizer, ours), optim.L2(recipe.optimizer, ours), quicken(ours)
    for number in range(4):
        images, labels = loop._batches[number % 2]
        loss = torch.nn.functional.cross_entropy(quick(images), labels)
        optimizer.zero_grad()
        (loss + l2()).backward()
        optimizer.step()
        assert loop.step().item() == pytest.approx(loss.item(), rel=1e-4)


@pytest.mark.parametrize("network", peers.PUBLISHED)
def test_it_has_the_parameters_of_every_published_row(network: str) -> None:
    with torch.device("meta"):
        made = catalog.create(network)
    assert torch_peer.numbers(made) == outline(network).parameters
    recipe = of_network(network)
    total = sum(p.numel() for group in optimizer_of(recipe.optimizer, made).param_groups for p in group["params"])
    assert total == outline(network).trainable_parameters


def test_the_penalty_of_keras_is_a_weight_decay_of_twice_its_factor() -> None:
    network = catalog.create("alexnet-digits")
    of = Optimizer("velocity", lr=0.1, l2=1e-3, l2_layers=("conv",), weight_decay=1e-2)
    decay = {
        name: group["weight_decay"]
        for group in optimizer_of(of, network).param_groups
        for name, p in network.named_parameters()
        if any(p is each for each in group["params"])
    }
    assert decay["conv1.weight"] == pytest.approx(1e-2 + 2e-3)
    (last,) = [name for name in decay if name.endswith(".weight")][-1:]
    assert last.startswith("fc")
    assert decay[last] == 1e-2
    assert decay["conv1.bias"] == 0
    for name in ("muon", "adamw"):
        with pytest.raises(InputError, match="--peer torch has no optimizer"):
            optimizer_of(Optimizer(name, l2=1e-3), network)


def test_a_compiled_loop_is_checked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile stands in: a network that answers the same passes, wrong gradients and compilers are one line."""
    recipe = of_network("alexnet-digits", 4, "fp32")
    monkeypatch.setattr(torch, "compile", lambda module: module)
    seconds, facts = worker.start("torch-compile", recipe, torch.get_num_threads(), "cpu")
    assert len(seconds(2)) == 2
    assert facts["precision"] == "fp32"
    monkeypatch.setattr(torch, "compile", lambda module: lambda x: module(x).detach() + 0 * module(x))
    with pytest.raises(InputError, match=r"^torch.compile: the compiled network is wrong on this machine") as said:
        torch_peer.start(recipe, torch.get_num_threads(), "cpu", compile=True)
    assert "train.compile" not in str(said.value)

    def broken(module: torch.nn.Module) -> None:
        raise RuntimeError("no C++ compiler\nand much more")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(InputError, match=r"^torch.compile does not work here: no C\+\+ compiler; leave the peer"):
        torch_peer.start(recipe, torch.get_num_threads(), "cpu", compile=True)
