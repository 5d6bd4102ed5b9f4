"""A network with two towers that trains in a second, which the catalog does not have."""

import dataclasses

from alexnet.models import catalog
from alexnet.models.alexnet import PAPER_LRN, Layers, hidden
from alexnet.models.structure import Conv, Dropout, Pool, ReLU

NAME = "tiny-towers"
LAYERS: Layers = (
    *(Conv(8, 3), ReLU(), dataclasses.replace(PAPER_LRN, groups=2)),
    *(Conv(16, 3, groups=2), ReLU(), Pool(3, 2, "same")),
    *(Conv(16, 3), ReLU()),
    *(Conv(16, 3, groups=2), ReLU(), Pool(3, 2, "same")),
    *hidden(18, Dropout(0.0)),
)
CHANGES = {
    "model.name": NAME, "data.name": "synthetic", "data.synthetic_images": 81, "train.batch_size": 16,
    "train.epochs": 3, "train.precision": "fp32", "optimizer.name": "velocity", "optimizer.lr": 0.02,
    "optimizer.l2": 1e-3, "optimizer.layer_lr": {"fc7": 2.0}, "optimizer.weight_decay": 1e-3, "augment.flip": 0.5,
    "train.ema": 0.9, "train.label_smoothing": 0.1, "train.clip_norm": 1.0,
    "train.class_weights": True, "model.freeze": ["conv1..conv2", "fc7"], "schedule.unfreeze": [1, 1, 2],
}  # fmt: skip
"""A recipe in which every part of a step has something to do. 65 images train, so that the last batch is one image."""
MIXED = {"augment.mixup": 0.4, "augment.cutmix": 0.4, "train.accumulate": 2}
"""What two towers must do alike with all images; elsewhere a process mixes its own, and the run is another."""


def register() -> None:
    """Puts the network into this process's catalog."""
    spec = catalog.get("alexnet-digits")
    catalog.CATALOG[NAME] = dataclasses.replace(spec, name=NAME, architecture=LAYERS, init="keras-he", parameters=9_376)
