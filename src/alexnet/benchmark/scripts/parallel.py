"""The ways to lay a network over processes, side by side: seconds and bytes of a training step.

    python -m alexnet.benchmark.scripts.parallel [--network alexnet-2012] [--batch 32] [--processes 2] [--rounds 5]
        [--kinds data,towers,owt,zero] [--optimizer sgd|adamw] [--check]

Each process has one thread and fp32. The ways take turns, a step each; the first round is not counted. 'zero' is 'data'
with torch's ZeroRedundancyOptimizer. Printed as JSON: the median, least and largest seconds of a step with each of them
and with one process, the bytes that all processes together sent for activations and gradients, what the formula in
docs/SCALE.md gives, and the bytes of the first process's optimizer state. --check: in fp64 without dropout, the largest
difference of logits, gradients and weights after one step from the undivided network's, relative to their largest.
"""

import argparse
import copy
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn import functional

from alexnet.models import catalog
from alexnet.models.network import Network
from alexnet.models.quick import quicken
from alexnet.models.structure import Conv, Linear, numbered
from alexnet.models.towers import halves
from alexnet.process import exchange
from alexnet.process.group import ALONE, Parallel, World
from alexnet.process.rendezvous import joined
from alexnet.training import parallel


def expected(network: Network, kind: str, batch: int, processes: int, itemsize: int = 4) -> float:
    """The bytes that all processes together send for a step of `batch` images, by arithmetic.

    A sum of S numbers over P processes sends 2·(P − 1)·S in all (a ring). Activations go forward once, and their
    gradients back once.
    """
    rows = list(numbered(network.layers, network.input, network.classes))
    seen = {name: math.prod(shape) for name, _, shape in rows}
    parameters = {name: layer.parameters(shape) for name, layer, shape in rows}
    others = processes - 1
    if kind in ("data", "zero"):
        numbers = 2.0 * others * sum(parameters.values())
    elif kind == "towers":
        cut = halves(network)
        both = [seen[name] for name in cut.exchanges if name != cut.head]
        # Each sends its half of what is seen, forward, and as much backward; before the head only one does.
        numbers = 2 * batch * sum(both) + batch * seen[cut.head]
    else:
        full = [name for name, layer, _ in rows if isinstance(layer, Linear)]
        convolutions = sum(parameters[name] for name, layer, _ in rows if isinstance(layer, Conv))
        numbers = 2 * others * convolutions  # summed
        numbers += 2 * others * batch * sum(seen[name] for name in full)  # to all others, and back
        numbers += 2 * others / processes * batch * network.classes  # logits to their images' process, and back
    return numbers * itemsize


def _data(network: Network, world: World) -> parallel.Division:
    return parallel.Division(world, network, Parallel(world, quicken(network)))


DIVIDE = {"data": _data, "zero": _data, "towers": parallel.towers, "owt": parallel.one_weird_trick}


class _Trained:
    """A network that is trained on random images, divided in one of the ways."""

    def __init__(self, given: argparse.Namespace, kind: str, world: World):
        torch.manual_seed(0)
        self.batch, self.whole = given.batch, catalog.create(given.network)
        x, labels = torch.randn(given.batch, *self.whole.input), torch.arange(given.batch) % self.whole.classes
        self.division = DIVIDE[kind](self.whole, world)
        self.division.network.train()
        self.division.forward.renew()
        mine = self.division.world.span(given.batch)
        self.x, self.labels = x[mine].contiguous(memory_format=torch.channels_last), labels[mine]
        parameters = [p for p in self.division.network.parameters() if len(p)]
        how = {"sgd": (torch.optim.SGD, {"momentum": 0.9}), "adamw": (torch.optim.AdamW, {})}[given.optimizer]
        if kind == "zero":
            self.optimizer = ZeroRedundancyOptimizer(parameters, how[0], lr=1e-4, **how[1])
            self.kept: torch.optim.Optimizer = self.optimizer.optim
        else:
            self.optimizer = self.kept = how[0](parameters, lr=1e-4, fused=True, **how[1])

    def step(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        forward, own = self.division.forward, self.division.world.own(self.batch)
        logits = forward(self.x, self.batch)
        (functional.cross_entropy(logits, self.labels) * (own * forward.weight / self.batch)).backward()
        self.optimizer.step()

    def state(self) -> int:
        """The bytes of this process's optimizer state."""
        slots = (each for slots in self.kept.state.values() for each in slots.values())
        return sum(each.nbytes for each in slots if isinstance(each, Tensor))


def _measured(given: argparse.Namespace, world: World) -> dict[str, Any]:
    """Steps of each kind in turn: the seconds of this process, and the bytes of all."""
    kinds = given.kinds.split(",") if world.size > 1 else ["data"]
    trained = {kind: _Trained(given, kind, world) for kind in kinds}
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    sent: dict[str, float] = {}
    for _ in range(given.rounds + 1):
        for kind, each in trained.items():
            world.wait()
            before, begun = exchange.sent(), time.perf_counter()
            each.step()
            world.wait()  # for the slower one; eight bytes
            seconds[kind].append(time.perf_counter() - begun)
            own = exchange.sent() - before - (round(exchange.ring(8, world.size)) if world.size > 1 else 0)
            (total,) = world.sum(torch.tensor(own))
            sent[kind] = float(total)
    return {
        kind: {
            "median": round(statistics.median(each[1:]), 3), "least": round(min(each[1:]), 3),
            "largest": round(max(each[1:]), 3), "n": given.rounds, "bytes": sent[kind],
            "formula": expected(trained[kind].whole, kind, given.batch, world.size) if world.size > 1 else 0.0,
            "optimizer state": trained[kind].state(),
        }
        for kind, each in seconds.items()
    }  # fmt: skip


def undivided(network: nn.Module, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Logits, gradients and the weights after a step of SGD, of a network in one process."""
    logits = network(x)
    functional.cross_entropy(logits, labels).backward()
    found = {"logits": logits.detach()}
    found |= {f"gradient of {name}": p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    torch.optim.SGD(network.parameters(), 0.1).step()
    return found | {f"{name} after a step": p.detach() for name, p in network.named_parameters()}


def differences(network: Network, kind: str, batch: int, world: World) -> dict[str, float]:
    """How far `network`, divided, is from itself undivided, at most and relative to the largest number, for each of
    what `undivided` gives; the bytes that were sent, and what `expected` gives. network: float64, in eval mode."""
    x = 3 * torch.randn(batch, *network.input, dtype=torch.float64)
    labels = torch.arange(batch) % network.classes
    wanted = undivided(copy.deepcopy(network), x, labels)
    division = DIVIDE[kind](network, world)
    division.forward.renew()
    own, mine = division.world.own(batch), division.world.span(batch)
    before = exchange.sent()
    logits = division.forward(x[mine], batch)
    share = own * division.forward.weight / batch
    (functional.cross_entropy(logits, labels[mine]) * share).backward()
    (sent,) = world.sum(torch.tensor(exchange.sent() - before))
    learned = dict(division.network.named_parameters())
    gradients = division.gathered({name: p.grad for name, p in learned.items() if p.grad is not None})
    torch.optim.SGD([p for p in learned.values() if len(p)], 0.1).step()
    found = {f"{name} after a step": value for name, value in division.whole().state_dict().items()}
    if own:
        found["logits"], wanted["logits"] = logits.detach(), wanted["logits"][mine]
    if world.is_writer:
        found |= {f"gradient of {name}": value for name, value in gradients.items()}
        assert found.keys() == wanted.keys()
    errors = {name: float((each - wanted[name]).abs().max() / wanted[name].abs().max()) for name, each in found.items()}
    return errors | {"bytes": float(sent), "formula": expected(network, kind, batch, world.size, 8)}


def _checked(given: argparse.Namespace, world: World) -> dict[str, Any]:
    report = {}
    for kind in given.kinds.split(","):
        if kind in ("towers", "owt"):
            torch.manual_seed(0)
            network = catalog.create(given.network).double().eval()
            found = differences(network, kind, given.batch, world)
            bytes_ = {name: found.pop(name) for name in ("bytes", "formula")}
            worst = max(found, key=lambda name: found[name])
            report[kind] = bytes_ | {"compared": len(found), "largest": found[worst], "of": worst}
    return report


def _process(given: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    if "RANK" not in os.environ:
        print(json.dumps(_measured(given, ALONE)))
        return
    with joined("cpu") as world:
        report = (_checked if given.check else _measured)(given, world)
        if world.is_writer:
            print(json.dumps(report))


def _run(processes: int) -> dict[str, Any]:
    """This script again, in so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "alexnet.benchmark.scripts.parallel", *sys.argv[1:], "--process"],
                env=os.environ | {"OMP_NUM_THREADS": "1"} | ({} if processes == 1 else {
                    "RANK": str(rank), "WORLD_SIZE": str(processes),
                    "ALEXNET_RENDEZVOUS": f"file://{Path(folder) / 'rendezvous'}",
                }),
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(processes)
        ]  # fmt: skip
        said = [process.communicate()[0] for process in started]
        if any(process.returncode for process in started):
            raise SystemExit(1)
        return json.loads(said[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="alexnet-2012")
    parser.add_argument("--optimizer", default="sgd", choices=["sgd", "adamw"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kinds", default="data,towers,owt")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--process", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.process:
        _process(given)
        return
    several = _run(given.processes)
    report = several if given.check else {"one process": _run(1)["data"]} | several
    about = {"network": given.network, "batch": given.batch, "processes": given.processes}
    print(json.dumps(about | {"cores": os.cpu_count(), "torch": torch.__version__} | report, indent=2))


if __name__ == "__main__":
    main()
