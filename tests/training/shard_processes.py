"""What test_shard_window.py runs in several processes: a training from shards at an address that it keeps on the disk.

python shard_processes.py ADDRESS RUN JSON-SETTINGS
"""

import json
import sys
from pathlib import Path

import torch

import alexnet
from alexnet.data import dataset as sets
from alexnet.experiments import finish
from alexnet.insight import plots


def main(address: str, out: Path, settings: str) -> None:
    torch.set_num_threads(1)
    sets.MEMORY_LIMIT = 0
    plots.sample_grid = finish.draw = finish.write_report = lambda *_: None
    alexnet.train("digits", out=out, data=address, epochs=2, device="cpu", settings=json.loads(settings))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
