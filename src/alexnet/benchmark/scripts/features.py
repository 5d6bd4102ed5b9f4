"""fc7 of many photographs: what forward pass and decoding allow on these cores, and what `features` makes of it.

    python -m alexnet.benchmark.scripts.features [--images 10000] [--rounds 3] [--precision fp32]

In turn in each round: the forward pass alone, on one batch again and again; decoding alone, with its processor time;
fc7 of arrays in memory; fc7 of JPEGs to an HDF5 file. With c cores, f seconds of a forward pass an image and d seconds
of a core for its decoding, 1 / (f + d / c) images a second is the most that the two allow together. The weights are
random: only their time counts.
"""

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import alexnet
from alexnet.benchmark.scripts.input import make_images
from alexnet.data.transforms.augment import Augmenter
from alexnet.device import choose_device, environment
from alexnet.inference import extract, features
from alexnet.inference.images import batches, open_images
from alexnet.inference.opening import Opened
from alexnet.process.memory import keep_freed_memory

BATCH = features.BATCH


def timed(what: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and seconds of processor time in this process."""
    begin, used = time.perf_counter(), time.process_time()
    what()
    return time.perf_counter() - begin, time.process_time() - used


def measure(network: str, count: int, rounds: int, precision: str) -> dict[str, Any]:
    model = features.of_module(alexnet.create(network).eval())
    opened = Opened(model, {"initialized": 0})
    wanted = features.want(model, ["fc7"], precision=precision)
    height, width = wanted.preprocessing.size
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, height, width, 3), np.uint8)
    passes = max(1, count // BATCH)
    memory = features.as_images([pixels[row % BATCH] for row in range(passes * BATCH)])
    batch = Augmenter(wanted.preprocessing).evaluate(torch.from_numpy(pixels))
    taken: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        make_images(root / "images", count)
        images = open_images([root / "images"])

        def forward() -> None:
            for _ in range(passes):
                features._forward(model.module, batch, wanted)  # pyright: ignore

        contestants = {
            "forward": (forward, passes * BATCH),
            "decoding": (lambda: [None for _ in batches(images, wanted.preprocessing, BATCH)], count),
            "memory": (lambda: [None for _ in features.run(model, memory, wanted)], len(memory)),
            "file": (lambda: extract.extract(opened, images, wanted, root / "fc7.h5", force=True), count),
        }
        for turn in range(rounds + 1):
            for who, (what, images_each) in contestants.items():
                if not turn and images_each > 2_000:
                    continue  # the first round does not count, and is left out where it is long
                seconds, cores = timed(what)
                if turn:
                    taken.setdefault(who, []).append((seconds / images_each, cores / images_each))
    each = {who: statistics.median(seconds for seconds, _ in values) for who, values in taken.items()}
    decoding = statistics.median(cores for _, cores in taken["decoding"])
    # The machine's speed drifts: shares are of what was measured in the same round.
    turns = list(zip(*taken.values(), strict=True))
    most = [1 / (forward + cores / torch.get_num_threads()) for (forward, _), (_, cores), _, _ in turns]
    of_most = [1 / file / bound for bound, (_, _, _, (file, _)) in zip(most, turns, strict=True)]
    of_forward = [forward / memory for (forward, _), _, (memory, _), _ in turns]
    facts = environment(choose_device("cpu"), precision)
    return {
        "network": network,
        "images": count,
        "rounds": rounds,
        "precision": precision,
        "cpu": facts["cpu"],
        "threads": facts["threads"],
        "torch": facts["torch"],
        "images_per_second": {who: round(1 / seconds, 1) for who, seconds in each.items()},
        "decoding_core_milliseconds": round(1e3 * decoding, 2),
        "bound": round(statistics.median(most), 1),
        "file_of_bound": round(statistics.median(of_most), 3),
        "memory_of_forward": round(statistics.median(of_forward), 3),
        "peak_memory_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--network", default="alexnet-owt")
    parser.add_argument("--precision", default="fp32", help="fp32 or bf16")
    arguments = parser.parse_args()
    keep_freed_memory()
    print(json.dumps(measure(arguments.network, arguments.images, arguments.rounds, arguments.precision), indent=2))


if __name__ == "__main__":
    main()
