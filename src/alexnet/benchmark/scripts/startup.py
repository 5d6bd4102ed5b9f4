"""Start-up: the processor time of `import alexnet`, `--help`, `models`, `recipes` and a cold `predict`, each divided by
that of `python -c 'import torch'`.

    python -m alexnet.benchmark.scripts.startup [--runs 5]

The commands take turns; medians. Processor time (user and system, of the process and what it starts), because other
programs on the machine disturb it less than the clock on the wall. `predict` reads 244 MB of weights of `alexnet-owt`,
freshly initialized, from the system's cache of files.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def _make_model(folder: Path) -> list[str]:
    import numpy as np
    from PIL import Image

    from alexnet.artifacts import card as cards
    from alexnet.artifacts import store
    from alexnet.files import write_json
    from alexnet.models import catalog

    network = catalog.create("alexnet-owt")
    store.save(folder / "model.safetensors", network.state_dict())
    card = cards.make(network, tuple(f"class {index}" for index in range(1000)), network.spec.preprocessing)
    write_json(folder / "model.json", card.to_json())
    pixels = np.random.default_rng(0).integers(0, 256, (375, 500, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "image.jpg")
    return [str(folder / "model.safetensors"), str(folder / "image.jpg")]


def seconds(command: list[str]) -> float:
    """Processor time of `command` and of what it starts."""
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    verb = [sys.executable, "-m", "alexnet"]
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "import torch": [sys.executable, "-c", "import torch"],
            "import alexnet": [sys.executable, "-c", "import alexnet"],
            **{name: [*verb, name] for name in ("--help", "models", "recipes")},
            "predict": [*verb, "predict", *_make_model(Path(folder))],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(given.runs + 1):
            for name, command in commands.items():
                taken[name].append(seconds(command))
    medians = {name: statistics.median(each[1:]) for name, each in taken.items()}  # the first round fills caches
    print(json.dumps({
        "ratios": {name: round(each / medians["import torch"], 3) for name, each in medians.items()},
        "seconds": {name: [round(each, 2) for each in found[1:]] for name, found in taken.items()},
        "machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version(),
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
