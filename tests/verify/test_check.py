"""The proof must notice: every mutation of a network, a formula or an initialization fails a check."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from alexnet.models import catalog, network, towers
from alexnet.models.init import INITIALIZATIONS, Normal
from alexnet.models.structure import LRN, BatchNorm, Conv, Dropout, Linear, Pool, ReLU
from alexnet.verify import check as proof
from alexnet.verify.literals import LAYOUTS, NORMS


def test_everything_passes_and_random_numbers_are_left_alone():
    state = torch.get_rng_state()
    seen = []
    checks = proof.verify(seen.append)
    assert [check for check in checks if not check.passed] == []
    assert seen == checks
    assert torch.equal(torch.get_rng_state(), state)
    names = {check.what.partition(":")[0] for check in checks}
    assert set(catalog.CATALOG) <= names
    assert all(check.source for check in checks)


def test_every_network_in_a_row_is_written_down_a_second_time():
    rows = {name for name, spec in catalog.CATALOG.items() if spec.layers}
    assert set(LAYOUTS) == rows
    assert set(NORMS) == {name for name in rows if any(isinstance(part, LRN) for part in catalog.get(name).layers)}


def changed(kind, **change):
    """A mutation: the first layer of this kind changes."""

    def mutate(parts):
        i = next(i for i, part in enumerate(parts) if type(part) is kind)
        return (*parts[:i], replace(parts[i], **change), *parts[i + 1 :])

    return mutate


def swapped(first, second):
    """A mutation: the first neighbors of these kinds change places."""

    def mutate(parts):
        i = next(i for i in range(len(parts)) if (type(parts[i]), type(parts[i + 1])) == (first, second))
        return (*parts[:i], parts[i + 1], parts[i], *parts[i + 2 :])

    return mutate


def without(kind):
    """A mutation: the first layer of this kind is gone."""

    def mutate(parts):
        i = next(i for i, part in enumerate(parts) if type(part) is kind)
        return (*parts[:i], *parts[i + 1 :])

    return mutate


def ungrouped(parts):
    i = next(i for i, part in enumerate(parts) if isinstance(part, Conv) and part.groups == 2)
    return (*parts[:i], replace(parts[i], groups=1), *parts[i + 1 :])


MUTATIONS = {
    "alpha": ("alexnet-bvlc", changed(LRN, alpha=2e-4)),
    "alpha as printed": ("alexnet-tf", changed(LRN, alpha=1e-4)),
    "beta": ("alexnet-2012", changed(LRN, beta=0.5)),
    "k": ("caffenet", changed(LRN, k=2)),
    "n": ("alexnet-2012-as-run", changed(LRN, size=3)),
    "undivided": ("alexnet-2012-as-run", changed(LRN, divide=False)),
    "divided": ("alexnet-2012", changed(LRN, divide=True)),
    "norm across the towers": ("alexnet-2012-as-run", changed(LRN, groups=1)),
    "norm per tower": ("alexnet-bvlc", changed(LRN, groups=2)),
    "no norm": ("alexnet-mnist", without(LRN)),
    "no batch norm": ("alexnet-caltech", without(BatchNorm)),
    "pool before norm": ("alexnet-bvlc", swapped(LRN, Pool)),
    "norm before pool": ("caffenet", swapped(Pool, LRN)),
    "relu before norm": ("alexnet-2012-as-run", swapped(Pool, ReLU)),
    "a group": ("alexnet-2012", ungrouped),
    "padding of a convolution": ("alexnet-cifar10", changed(Conv, padding=3)),
    "no padding": ("alexnet-2012", changed(Conv, padding=0)),
    "padding of a pool": ("alexnet-cifar10", changed(Pool, padding=1)),
    "size of a pool": ("alexnet-bvlc", changed(Pool, size=2)),
    "stride": ("alexnet-slim", changed(Conv, stride=2)),
    "width": ("alexnet-thinner-2", changed(Conv, out=96)),
    "bias": ("alexnet-owt", changed(Conv, bias=False)),
    "hidden units": ("alexnet-two-class", changed(Linear, out=4000)),
    "dropout": ("alexnet-caltech", changed(Dropout, p=0.5)),
    "dropout's form": ("alexnet-2012", changed(Dropout, scaled=False)),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_changed_network_is_noticed(mutation, monkeypatch):
    name, mutate = MUTATIONS[mutation]
    spec = catalog.get(name)
    assert all(check.passed for check in proof.check_network(spec))
    mutant = replace(spec, architecture=mutate(spec.layers))
    monkeypatch.setitem(catalog.CATALOG, name, mutant)
    assert not all(check.passed for check in proof.check_network(mutant))


def test_a_changed_residual_network_is_noticed(monkeypatch):
    mutant = replace(catalog.get("resnet-20"), architecture=catalog.get("resnet-20-projection").architecture)
    monkeypatch.setitem(catalog.CATALOG, "resnet-20", mutant)
    assert not all(check.passed for check in proof.check_network(mutant))


def test_same_padding_on_the_wrong_side_is_noticed(monkeypatch):
    right = network.pad_amounts
    monkeypatch.setattr(network, "pad_amounts", lambda *args: right(*args)[::-1])
    assert not all(check.passed for check in proof.check_padding())


def test_pools_that_pad_with_zeros_are_noticed(monkeypatch):
    pool = F.max_pool2d
    monkeypatch.setattr(
        F,
        "max_pool2d",
        lambda x, k, s, pads, *_, ceil_mode, **__: pool(F.pad(x, (1, 1, 1, 1)), k, s, 0, ceil_mode=ceil_mode),
    )
    assert not all(check.passed for check in proof.check_padding())


def test_towers_that_share_too_little_are_noticed(monkeypatch):
    def forward(self, x):
        a, b = x, x
        for name, part in self.a.items():
            if name in self.exchanges:
                a, b = torch.cat([a, a], 1), torch.cat([b, b], 1)
            a = part(a)
            b = self.b[name](b) if name in self.b else b
        return a

    monkeypatch.setattr(towers.Towers, "forward", forward)
    checks = {check.what.rpartition(", ")[2]: check.passed for check in proof.check_towers(catalog.get("alexnet-2012"))}
    assert not checks["logits"]
    assert not checks["gradients"]


@pytest.mark.parametrize("name", ["figure1", "keras-he", "he", "torch", "ours"])
def test_a_changed_initialization_is_noticed(name, monkeypatch):
    assert proof.check_initialization(name).passed
    right = INITIALIZATIONS[name]
    wider = replace(right, weight=lambda place: Normal(right.draw(place)[0].std * 1.3), dense=None)
    monkeypatch.setitem(INITIALIZATIONS, name, wider)
    assert not proof.check_initialization(name).passed
