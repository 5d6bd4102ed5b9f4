"""What every test shares: one thread, and where the real data lies when it is there."""

import os
from pathlib import Path

import pytest
import torch

# One thread: the networks here are tiny, and waiting for each other costs more than it gives.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

_DATA = Path(os.environ.get("ALEXNET_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture
def real_data() -> Path:
    """The folder with MNIST, CIFAR-10 and weights; the test is skipped where there is none."""
    if not _DATA.is_dir():
        pytest.skip("no real data: set ALEXNET_DATA to a folder with mnist/, cifar10/ and weights/")
    return _DATA
