"""The published failure (no augmentation: .94 in training, .26 in the test) on a small set: seen, named, cured."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import alexnet
from alexnet.artifacts.run import Run
from alexnet.data.sources import open_splits
from alexnet.files import read_lines

SMALL = {
    "model.name": "alexnet-bearpaw", "model.init": "keras-he", "data.validation": "test", "optimizer.lr": 5e-4,
    "train.batch_size": 25,
}  # fmt: skip
THE_PAPERS = {"data.resize": 40, "augment.flip": 0.5, "augment.pca_color": 0.1}  # crops of 32×32 pixels


@pytest.fixture
def folder(tmp_path: Path, real_data: Path) -> Path:
    """CIFAR-10 as class folders of JPEG files: 40 images of each class to train and 20 to test."""
    root = tmp_path / "few"
    splits = open_splits("cifar10", real_data / "cifar10", validation=None)
    assert splits.test is not None
    for split, dataset, count in (("train", splits.train, 40), ("test", splits.test, 20)):
        for label, name in enumerate(dataset.classes):
            (root / split / name).mkdir(parents=True)
            for index in np.flatnonzero(dataset.labels == label)[:count].tolist():
                Image.fromarray(dataset[index][0]).save(root / split / name / f"{index}.jpg", quality=95)
    return root


def train(folder: Path, out: Path, settings: dict[str, Any]) -> tuple[Run, float]:
    """The run, and by how much its last epoch is better in training than in the test."""
    run = alexnet.train("folder-as-published", out=out, data=folder, epochs=8, settings=SMALL | settings)
    return run, run.metrics[-1]["train_accuracy"] - run.metrics[-1]["val_accuracy"]


@pytest.mark.usefixtures("bare")
def test_overfitting_is_named_and_the_papers_augmentation_cures_it(folder: Path, tmp_path: Path) -> None:
    failed, gap = train(folder, tmp_path / "failed", {})
    named = [row for row in read_lines(failed.path / "findings.jsonl") if row["kind"] == "overfitting"]
    assert gap > 0.4
    assert named
    assert named[0]["cause"] == "overfitting: the network learns its 400 training images by heart"
    assert "augment.flip" in named[0]["fix"]
    cured, rest = train(folder, tmp_path / "cured", THE_PAPERS)
    assert rest < gap / 3
    assert cured.metrics[-1]["val_loss"] < 0.8 * failed.metrics[-1]["val_loss"]
