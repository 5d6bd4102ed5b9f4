"""What test_group.py runs in two processes: several trainings, and what each process did, into a folder."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from torch import distributed

import alexnet
from alexnet import files
from alexnet.data.loading.loader import Loader
from alexnet.data.transforms.augment import Augmenter
from alexnet.inference import evaluate
from alexnet.insight import plots
from alexnet.models import catalog
from alexnet.process.group import ALONE, World
from alexnet.training.interrupts import Interrupted
from alexnet.training.reporter import Reporter

# 65 images to train in batches of 16: the last batch is one image, and one process has none of it.
TINY = {
    "data.name": "synthetic", "data.synthetic_images": 81, "train.batch_size": 16, "train.epochs": 3,
    "model.dropout": 0.0, "train.precision": "fp32", "optimizer.name": "sgd", "optimizer.lr": 0.02,
}  # fmt: skip
EVERYTHING = TINY | {
    "optimizer.name": "velocity", "optimizer.l2": 1e-3,
    "augment.flip": 0.5, "augment.shift": 0.2, "augment.randaugment_ops": 2, "augment.pca_color": 0.1,
    "augment.random_erasing": 0.5,
    "train.ema": 0.9, "train.label_smoothing": 0.1, "train.clip_norm": 1.0, "train.class_weights": True,
    "model.freeze": ["conv1..conv2"], "schedule.unfreeze": [1, 2],
}  # fmt: skip
BATCHNORM = {key: value for key, value in TINY.items() if key != "model.dropout"} | {
    "model.name": "resnet-20", "train.epochs": 1,
}  # fmt: skip


class StopAt(Reporter):
    """Asks this process, and so both, to stop after a step of an epoch."""

    def __init__(self, epoch: int, step: int) -> None:
        self.at = (epoch, step)

    def step(self, epoch: int, step: int, steps: int, figures: dict[str, float]) -> None:
        if (epoch, step) == self.at:
            signal.raise_signal(signal.SIGTERM)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    plots.sample_grid = plots.curves = plots.confusion = plots.worst = lambda *_: None
    distributed.init_process_group(
        "gloo", f"file://{folder / 'rendezvous'}", rank=int(os.environ["RANK"]), world_size=2
    )
    world = World(distributed.get_rank(), 2)
    written, replace = [], os.replace
    os.replace = lambda source, target: (written.append(str(target)), replace(source, target))

    alexnet.train("digits", out=folder / "everything", settings=EVERYTHING)
    alexnet.train("digits", out=folder / "batchnorm", settings=BATCHNORM)
    try:
        alexnet.train("digits", out=folder / "stopped", settings=EVERYTHING, reporter=StopAt(2, 3))
    except Interrupted:
        (folder / f"interrupted-{world.rank}").touch()
    if not world.is_writer:
        assert not written, written

    # 17 images in batches of 4: five, of which one process has two and the other three.
    loader = Loader(alexnet.dataset("digits").subset(np.arange(17)), torch.device("cpu"))
    torch.manual_seed(0)
    model = catalog.create("alexnet-digits", classes=10)
    augmenter = Augmenter(model.spec.preprocessing)
    alone, shared = (evaluate.run(model, loader, augmenter, 4, world=each) for each in (ALONE, world))
    assert alone.figures == shared.figures
    assert (alone.losses == shared.losses).all()
    assert (alone.confusion == shared.confusion).all()
    files.write_text(folder / f"done-{world.rank}", "")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
