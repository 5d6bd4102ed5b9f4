"""Training speed side by side with what a user would otherwise run: in turn A B A B, medians and ratios."""

import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import torch

from alexnet.benchmark import cost, machine
from alexnet.benchmark.worker import LOOPS, PEERS
from alexnet.benchmark.workload import of_network
from alexnet.device import choose_device, choose_precision, environment
from alexnet.errors import InputError, unknown
from alexnet.models.summary import outline
from alexnet.recipes.schema import Recipe

PUBLISHED = ("alexnet-cifar100", "alexnet-cifar10", "alexnet-thinner-4", "alexnet-slim", "alexnet-caltech")
"""What is compared when nothing is named: the published systems."""
ROWS = {"torchvision": ("alexnet-owt",)}
"""The same for a peer that does not have them."""
_WARM_UP = 2  # first steps trace, allocate and choose kernels


@dataclass(frozen=True)
class Side:
    """One of those compared: medians over the rounds of the median step of each round."""

    facts: dict[str, Any]
    seconds: float
    """Of a step."""
    steps: int
    """Timed, in all rounds."""


@dataclass(frozen=True)
class Comparison:
    """One network and one peer, all sides timed in turn."""

    network: str
    against: str
    """The peer."""
    batch: int
    rounds: int
    own: Side
    peer: Side
    ratios: list[float]
    """Of each round: the peer's median step over ours; above 1 we are quicker."""
    peak: float
    """FLOP/s of a matrix product in our precision, measured in every round beside the two: the median."""
    flops: float
    """Of a training step, counted as in cost.py."""

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def share(self) -> float:
        """Of the measured peak that our step reaches."""
        return self.flops / self.own.seconds / self.peak

    def to_json(self) -> dict[str, Any]:
        speeds = {name: self.batch / getattr(self, name).seconds for name in ("own", "peer")}
        return {**asdict(self), "ratio": self.ratio, "share_of_peak": self.share, "images_per_second": speeds}


@dataclass(frozen=True)
class SideBySide:
    """What `alexnet bench --peer` measures."""

    peers: list[str]
    environment: dict[str, Any]
    rows: list[Comparison]
    """By network, then by peer; the rows of a network share our own side."""

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "rows": [row.to_json() for row in self.rows]}


class _Worker:
    """A side in its process, with its network built and warm."""

    def __init__(self, side: str, process: subprocess.Popen[str], said: IO[str], recipe: Recipe):
        self.side, self._process, self._said = side, process, said
        self.timed, self.medians = 0, list[float]()
        self.facts = self._ask(json.dumps(asdict(recipe)))
        self.step = statistics.median(self._ask(str(_WARM_UP))[1:])

    def round(self, seconds: float) -> float:
        """The median step of a round of about so many seconds, three steps at least."""
        times = self._ask(str(max(3, math.ceil(seconds / self.step))))
        self.timed += len(times)
        self.medians.append(statistics.median(times))
        return self.medians[-1]

    def told(self) -> Side:
        return Side(self.facts, statistics.median(self.medians), self.timed)

    def _ask(self, line: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            self._process.wait()
            self._said.seek(0)
            said = self._said.read()[-2000:]
            if "No module named 'alexnet" in said:
                raise InputError("the environment of --peer-python has no alexnet; install it there too") from None
            if not said.strip():
                raise InputError("what --peer-python names ended without a word; name a Python interpreter") from None
            raise RuntimeError(f"the {self.side} side ended without an answer: {said}") from None
        if isinstance(answer, dict) and "error" in answer:
            raise InputError(answer["error"])
        return answer


@contextlib.contextmanager
def _worker(python: Path | str, side: str, recipe: Recipe, threads: int, device: str) -> Iterator[_Worker]:
    """A side in a process of its own, which is gone at the end of the block."""
    command = [str(python), "-m", "alexnet.benchmark.worker", side, str(threads), device]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
        subprocess.Popen(
            command, env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True,
        ) as process,
    ):  # fmt: skip
        try:
            yield _Worker(side, process, said, recipe)
        finally:
            process.kill()


def run(
    peers: Sequence[str],
    networks: Sequence[str] = (),
    batches: Sequence[int] = (),
    precision: str = "auto",
    *,
    python: Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    rounds: int = 5,
    seconds: float = 4.0,
    progress: Callable[[int, int], None] | None = None,
) -> SideBySide:
    """Times our training step and each peer's on the same networks, batches and optimizers: synthetic images in
    memory, no augmentation, each side with all of torch's threads.

    peers: of worker.PEERS. networks: none: ROWS of the first peer, else PUBLISHED. batches: none: as published, or 64.
    python: the interpreter of an environment with those that are not torch alone; None: this one. settings: recipe
    keys put over ours. Each of `rounds` gives each side about `seconds`, in turn, and measures the matrix peak.
    InputError for what does not exist or is not installed.
    """
    peers = list(dict.fromkeys(peers))
    if wrong := [peer for peer in peers if peer not in PEERS]:
        raise unknown("peer", wrong[0], PEERS)
    if python is not None and not Path(python).is_file():
        raise InputError(f"no Python at {str(python)!r}")
    where, threads = choose_device(device), torch.get_num_threads()
    names = networks or ROWS.get(peers[0], PUBLISHED)
    chosen = [(network, size) for network in names for size in batches or [None]]
    wanted, found = choose_precision(precision, where), list[Comparison]()
    for network, size in chosen:
        recipe = of_network(network, size, wanted, settings)
        with contextlib.ExitStack() as open_workers:

            def worker(side: str, recipe: Recipe) -> _Worker:
                its = sys.executable if side in ("alexnet", *LOOPS) else python or sys.executable
                return open_workers.enter_context(_worker(its, side, recipe, threads, device))

            others = {
                peer: worker(peer, of_network(network, size, wanted if peer in LOOPS else "fp32")) for peer in peers
            }
            ours = worker("alexnet", recipe)
            for each in others.values():
                if each.facts["parameters"] != ours.facts["parameters"]:
                    raise RuntimeError(f"{network}: the two sides have {each.facts} and {ours.facts}")
            peaks = []
            for number in range(rounds):
                peaks.append(machine.matrix_peak(where, wanted, repeats=3))
                for each in (*others.values(), ours):
                    each.round(seconds)
                if progress:
                    progress(len(found) // len(peers) * rounds + number + 1, len(chosen) * rounds)
        batch, peak = of_network(network, size, "fp32").train.batch_size, statistics.median(peaks)
        flops, own = batch * cost.training_flops(outline(network)), ours.told()
        for peer, each in others.items():
            ratios = [a / b for a, b in zip(each.medians, ours.medians, strict=True)]
            found.append(Comparison(network, peer, batch, rounds, own, each.told(), ratios, peak, flops))
    return SideBySide(peers, environment(where, wanted), found)
