"""Training in several processes against one: images per second, each process with one thread of its own.

    python -m alexnet.benchmark.scripts.scaling [--recipe cifar10-thinner-4] [--processes 2] [--batch 64] [--runs 5]
        [--images 2048]

Both train the same batch on synthetic images, A B A B …; of each run the first epoch warms up and the second
is timed. Printed as JSON: the rates, their medians, and how much of N times the single rate the N processes reach.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from alexnet.artifacts.run import Run


def rate(recipe: str, batch: int | None, processes: int, images: int) -> float:
    """Images per second of one short run's second epoch."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        settings = {"data.name": "synthetic", "data.synthetic_images": images, "data.validation": 0.05}
        if batch:
            settings["train.batch_size"] = batch
        command = [sys.executable, "-m", "alexnet", "train", recipe, "--epochs", "2", "--out", str(out)]
        command += ["--device", "cpu", "--processes", str(processes)]
        command += [f"--set={name}={value}" for name, value in settings.items()]
        subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, stdout=subprocess.DEVNULL)
        return Run(out).metrics[-1]["images_per_second"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="cifar10-thinner-4")
    parser.add_argument("--batch", type=int, help="images a step, over all processes; none: the recipe's")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--images", type=int, default=2048)
    given = parser.parse_args()
    rates: dict[int, list[float]] = {1: [], given.processes: []}
    for _ in range(given.runs):
        for count, seen in rates.items():
            seen.append(rate(given.recipe, given.batch, count, given.images))
    medians = {count: statistics.median(seen) for count, seen in rates.items()}
    ratio = medians[given.processes] / medians[1]
    print(json.dumps({
        "recipe": given.recipe, "batch": given.batch, "rates": rates, "medians": medians, "ratio": round(ratio, 3),
        "efficiency": round(ratio / given.processes, 3), "cores": os.cpu_count(),
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
