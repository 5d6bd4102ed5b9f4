"""Small packed images, and a reporter that interrupts the training."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet.data.pack import pack
from alexnet.data.readers.folder import list_folder
from alexnet.training.reporter import Reporter


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """60 images of two classes."""
    random = np.random.default_rng(0)
    for index in range(60):
        path = tmp_path / "images" / f"class{index % 2}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(path)
    return tmp_path / "images"


@pytest.fixture
def shards(images: Path, tmp_path: Path) -> Path:
    """The 60 images in 5 shards."""
    listing = list_folder(images)
    pack(listing, {"channels": 1, "size": (8, 8), "fit": "crop"}, tmp_path / "shards", images=13)
    return tmp_path / "shards"


class _CtrlC(Reporter):
    def step(self, epoch: int, step: int, steps: int, figures: dict[str, float]) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def ctrl_c() -> Reporter:
    """Presses it in the third step."""
    return _CtrlC()
