"""How often write-up A's start ('uniform' convolutions) gets stuck: its Keras program and ours, seed by seed.

    python -m alexnet.benchmark.scripts.stuck_starts --peer-python .venv-parity/bin/python     (hours on two cores)
    python -m alexnet.benchmark.scripts.stuck_starts --epochs 1 --seeds 10 …                   (half an hour)

`cifar100-as-published`, in turn for each seed: Keras in fp32, ours in bf16 and in fp32. A run counts as stuck while its
test accuracy is below twice that of chance: after an epoch those that learn are above .025.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from alexnet.benchmark.scripts.time_to_accuracy import keras_rows, our_rows

RECIPE, CLASSES = "cifar100-as-published", 100
STUCK = 2 / CLASSES


def accuracies(program: str, seed: int, epochs: int, python: str) -> list[float]:
    """Test accuracy after each epoch."""
    if program == "keras":
        rows = keras_rows(python, RECIPE, epochs, seed)
    else:
        with tempfile.TemporaryDirectory() as folder:
            settings = (f"train.seed={seed}", f"train.precision={program}", f"train.epochs={epochs}")
            rows = our_rows(RECIPE, settings, Path(folder) / "run")
    return [row["accuracy"] for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to SEEDS - 1 (default: 5)")
    parser.add_argument("--epochs", type=int, default=5, help="default: the published 5")
    parser.add_argument("--first", type=int, default=0, help="start from this seed (default: 0)")
    parser.add_argument("--programs", default="keras,bf16,fp32", help="some of keras, bf16, fp32 (ours)")
    parser.add_argument("--peer-python", default=sys.executable, help="the interpreter of an environment with Keras")
    arguments = parser.parse_args()
    found: dict[str, list[float]] = {program: [] for program in arguments.programs.split(",")}
    print("| program | seed | test accuracy by epoch |\n|---|---|---|", flush=True)
    for seed in range(arguments.first, arguments.seeds):
        for program, last in found.items():
            by_epoch = accuracies(program, seed, arguments.epochs, arguments.peer_python)
            last.append(by_epoch[-1])
            print(f"| {program} | {seed} | {' '.join(f'{each:.4f}' for each in by_epoch)} |", flush=True)
    print("\n| program | n | mean | standard deviation | stuck |\n|---|---|---|---|---|")
    for program, last in found.items():
        spread = statistics.stdev(last) if len(last) > 1 else float("nan")
        stuck = sum(each < STUCK for each in last)
        print(f"| {program} | {len(last)} | {statistics.mean(last):.4f} | {spread:.4f} | {stuck} of {len(last)} |")


if __name__ == "__main__":
    main()
