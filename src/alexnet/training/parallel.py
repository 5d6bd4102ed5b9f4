"""How one network lies over the processes that train it: `train.parallel`.

    data     each process has the whole network and its own images; the gradients are averaged
    towers   the two GPUs of 2012: each of two processes has half of every layer's kernels, for all images; activations
             go across before conv3, fc6, fc7 and fc8 only, and fc8 is whole in the first process
    owt      'one weird trick' (Krizhevsky 2014, arXiv 1404.5997, scheme (a) of section 4): convolutions as in 'data';
             of each fully connected layer a process has a slice of the outputs, for the images of all

What is divided is divided by rows, the layers' outputs. A state that is saved, and the network that is evaluated, are
gathered whole: a run that began in one of them goes on in another.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import accumulate, pairwise

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from alexnet.errors import InputError
from alexnet.models import catalog
from alexnet.models.network import Network, module_of
from alexnet.models.quick import Quick
from alexnet.models.structure import Conv, Linear, numbered
from alexnet.models.towers import halves, has_towers
from alexnet.process.exchange import gather, regroup
from alexnet.process.group import Parallel, SameImages, World
from alexnet.recipes.schema import Recipe
from alexnet.training.setup import Setup

Named = dict[str, Tensor]
Sizes = dict[str, tuple[int, ...]]
"""Layer → the rows of each process, of the layers that are divided."""


def check(recipe: Recipe, world: World) -> None:
    """InputError where a recipe's `train.parallel` does not go with its other keys or the number of processes."""
    kind, network = recipe.train.parallel, catalog.get(recipe.model.name)
    if kind == "data":
        return
    if kind == "towers":
        if world.size != 2:
            raise InputError(
                f"train.parallel 'towers' takes 2 processes, one per tower, not {world.size}: --processes 2"
            )
        if not has_towers(network):
            names = ", ".join(name for name, spec in catalog.CATALOG.items() if has_towers(spec))
            raise InputError(f"train.parallel 'towers': {network.name} has no two towers; choose one of: {names}")
        if recipe.optimizer.name == "muon":
            raise InputError("train.parallel 'towers': muon needs whole layers; choose another optimizer, or 'data'")
    else:
        if world.size == 1:
            raise InputError("train.parallel 'owt' takes 2 processes or more, not 1: --processes 2")
        if not any(isinstance(layer, Linear) for layer in network.layers):
            raise InputError(f"train.parallel 'owt': {network.name} is no sequence that ends in fully connected layers")
        if recipe.train.accumulate > 1:
            raise InputError("train.parallel 'owt' computes a batch at once; leave train.accumulate at 1")
    if recipe.train.compile:
        raise InputError(f"train.parallel '{kind}' cannot be compiled; leave train.compile at false")


def divided(setup: Setup, world: World) -> "Division":
    """The network of a setup over the processes of `world`, as its recipe says. Raises InputError as `check` does."""
    check(setup.recipe, world)
    match setup.recipe.train.parallel:
        case "towers":
            return towers(setup.model, world)
        case "owt":
            return one_weird_trick(setup.model, world)
        case _:
            return Division(world, setup.model, Parallel(world, setup.forward()))


class Division:
    """What a process trains of a network, and how it computes with the others. Here: all of it, on its own images."""

    def __init__(self, world: World, network: Network, forward: "Parallel | _Forward"):
        self.world = world
        """Whose images a batch's are."""
        self.network = network
        """The layers of the whole network under their names, perhaps with some of their outputs only."""
        self.forward = forward

    def clip(self, limit: float) -> Tensor:
        """Scales the gradients so that their norm, over the whole network, is at most `limit`; returns what it was."""
        return nn.utils.clip_grad_norm_(self.network.parameters(), limit)

    def gathered(self, named: Mapping[str, Tensor]) -> Named:
        """Of tensors by parameter, the whole ones in the writer; to be called by all processes."""
        return dict(named)

    def own(self, named: Mapping[str, Tensor]) -> Named:
        """Of whole tensors by parameter, this process's rows."""
        return dict(named)

    def whole(self) -> Network:
        """The whole network with the weights of now, for evaluation; to be called by all processes."""
        return self.network


class _Divided(Division):
    """Some layers are divided by their outputs; `original` is the whole network, into which `whole` gathers them."""

    def __init__(self, world: World, network: Network, forward: "_Forward", original: Network, sizes: Sizes):
        super().__init__(world, network, forward)
        self.original, self.sizes = original, sizes
        network.load_state_dict(self.own(original.state_dict()), assign=True)

    def clip(self, limit: float) -> Tensor:
        learning = [(name, p) for name, p in self.network.named_parameters() if p.grad is not None]
        gradients: tuple[list[Tensor], list[Tensor]] = ([], [])
        for name, parameter in learning:
            assert parameter.grad is not None
            gradients[name.split(".")[0] in self.sizes].append(parameter.grad)
        same, rows = (nn.utils.get_total_norm(each).to(learning[0][1].device) for each in gradients)
        (square,) = self.world.sum(rows.square())
        norm = (square + same.square()).sqrt().to(rows.dtype)
        nn.utils.clip_grads_with_norm_([p for _, p in learning], limit, norm)
        return norm

    def gathered(self, named: Mapping[str, Tensor]) -> Named:
        # One tensor after the other, in an order that all know: a process may lack what it has no rows of.
        whole = dict(named) if self.world.is_writer else {}
        for name in sorted(named):
            tensor, sizes = _dense(named[name]), self.sizes.get(name.split(".")[0])
            if sizes is None or tensor.ndim == 0:
                continue
            if not self.world.is_writer:
                if len(tensor):
                    distributed.send(tensor, 0)
                continue
            parts = [tensor, *(tensor.new_empty((rows, *tensor.shape[1:])) for rows in sizes[1:])]
            for rank, part in enumerate(parts):
                if rank and len(part):
                    distributed.recv(part, rank)
            whole[name] = _restored(torch.cat(parts), named[name])
        return whole

    def own(self, named: Mapping[str, Tensor]) -> Named:
        mine = {}
        for name, tensor in named.items():
            sizes = self.sizes.get(name.split(".")[0]) if tensor.ndim else None
            start, stop = list(pairwise(accumulate(sizes, initial=0)))[self.world.rank] if sizes else (None, None)
            mine[name] = tensor[start:stop].detach().clone() if tensor.ndim else tensor.clone()
        return mine

    def whole(self) -> Network:
        state = self.gathered(self.network.state_dict())
        if self.world.is_writer:
            self.original.load_state_dict(state)
        for tensor in self.original.state_dict().values():
            distributed.broadcast(_dense(tensor), 0)
        return self.original.train(self.network.training)


def _dense(x: Tensor) -> Tensor:
    """The same memory in its order, which is what can be sent: filters may lie with their channels last."""
    return x if x.is_contiguous() else x.permute(0, 2, 3, 1)


def _restored(x: Tensor, like: Tensor) -> Tensor:
    return x if like.is_contiguous() else x.permute(0, 3, 1, 2)


class _Forward:
    """The forward pass of a divided network: parts that run one after the other, and what goes across between them.

    The gradients of what is divided need no sum: each process has all of its own.
    """

    weight = 1  # as Parallel.weight: nothing is averaged afterwards

    def __call__(self, inputs: Tensor, count: int) -> Tensor:
        raise NotImplementedError

    def renew(self) -> None:
        """As Parallel.renew."""

    def gradients(self, last: bool = True) -> AbstractContextManager[None]:
        """As Parallel.gradients."""
        return nullcontext()


class _TowersForward(_Forward):
    def __init__(self, parts: Sequence[tuple[bool, nn.Module]]):
        self.parts = parts
        """Each begins where the towers exchange activations; whether the second tower needs the first one's there."""

    def __call__(self, inputs: Tensor, count: int) -> Tensor:
        x = inputs
        for number, (both, part) in enumerate(self.parts):
            x = part(gather(x, 1, [x.shape[1]] * 2, (True, both)) if number else x)
        return x


class _NoHead(nn.Linear):
    """fc8 in the tower that has none of it: zeros for logits, whose loss does not count."""

    def __init__(self, features: int, classes: int):
        super().__init__(features, 1)
        _emptied(self)
        self.classes = classes

    def forward(self, input: Tensor) -> Tensor:
        return functional.pad(input[:, :0], (0, self.classes))


def _emptied(layer: nn.Linear) -> nn.Linear:
    """The layer without outputs; torch warns about one that is made so."""
    layer.weight, layer.bias = nn.Parameter(layer.weight.detach()[:0]), nn.Parameter(layer.bias.detach()[:0])
    layer.out_features = 0
    return layer


def _slice(features: int, rows: int) -> nn.Linear:
    return nn.Linear(features, rows) if rows else _emptied(nn.Linear(features, 1))


def towers(whole: Network, world: World) -> Division:
    """The half of `whole`, a network with two towers, that process 0 or 1 of two has."""
    cut, world = halves(whole), SameImages(world.rank, world.size)
    rows = cut.towers[world.rank]
    with torch.device("meta"):
        parts = [(name, module_of(layer, shape)) for name, layer, shape in rows]
        if world.rank:
            parts.append((cut.head, _NoHead(whole.get_parameter(f"{cut.head}.weight").shape[1], whole.classes)))
    network = _part_of(whole, parts)
    sizes = {name: (layer.output(shape)[0],) * 2 for name, layer, shape in rows if isinstance(layer, Conv | Linear)}
    sizes[cut.head] = (whole.get_parameter(f"{cut.head}.weight").shape[0], 0)
    forward = _TowersForward([(names[0] != cut.head, _run(network, names)) for names in _until(network, cut.exchanges)])
    return _Divided(world, network, forward, whole, sizes)


class _OwtForward(_Forward):
    def __init__(
        self, world: World, front: nn.Module, full: Sequence[tuple[tuple[int, ...], nn.Module]], after: nn.Module
    ):
        self.world, self.front, self.after = world, Parallel(world, front), after
        self.full = full
        """Each begins with a fully connected layer, of whose outputs process r has so many."""

    def __call__(self, inputs: Tensor, count: int) -> Tensor:
        size = self.world.size
        worlds = [World(rank, size) for rank in range(size)]
        images = [len(range(count)[each.span(count)]) for each in worlds]
        # The convolutions' gradients are averaged and not summed: what comes back to them makes up for it.
        x = gather(self.front(inputs, count), 0, images, scale=size)
        for number, (_, part) in enumerate(self.full):
            x = part(gather(x, 1, self.full[number - 1][0]) if number else x)
        return self.after(regroup(x, images, self.full[-1][0]))

    def renew(self) -> None:
        self.front.renew()


def one_weird_trick(whole: Network, world: World) -> Division:
    """The convolutions of `whole` and this process's outputs of its fully connected layers."""
    rows = list(numbered(whole.layers, whole.input, whole.classes))
    full = [name for name, layer, _ in rows if isinstance(layer, Linear)]
    sizes = {
        name: tuple(World(rank, world.size).own(layer.output(shape)[0]) for rank in range(world.size))
        for name, layer, shape in rows
        if isinstance(layer, Linear)
    }
    with torch.device("meta"):
        parts = [
            (name, _slice(shape[0], sizes[name][world.rank]) if name in sizes else module_of(layer, shape))
            for name, layer, shape in rows
        ]
    network = _part_of(whole, parts)
    front, *rest = _until(network, full)
    after, rest[-1] = rest[-1][1:], rest[-1][:1]  # of every class, as the logits are then
    slices = [(sizes[names[0]], _run(network, names)) for names in rest]
    forward = _OwtForward(world, _run(network, front), slices, _run(network, after))
    return _Divided(world, network, forward, whole, sizes)


def _part_of(whole: Network, parts: list[tuple[str, nn.Module]]) -> Network:
    network = Network(parts, whole.input, whole.classes)
    network.spec = whole.spec
    return network.train(whole.training)


def _until(network: Network, starts: Sequence[str]) -> list[list[str]]:
    """The names of the layers in runs, each of which but the first begins with one of `starts`."""
    runs: list[list[str]] = [[]]
    for name in network.layer_names:
        if name in starts:
            runs.append([])
        runs[-1].append(name)
    return runs


def _run(network: Network, names: Sequence[str]) -> nn.Module:
    run = nn.Sequential()
    for name in names:
        run.add_module(name, network.get_submodule(name))
    return Quick(run)
