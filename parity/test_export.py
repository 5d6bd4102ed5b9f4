"""What leaves: every network in ONNX Runtime, and weights as Keras and torchvision's names have them, in Keras."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from alexnet.artifacts import card as cards
from alexnet.export import formats
from alexnet.export.agree import samples
from alexnet.inference.model import Model
from alexnet.models import catalog
from alexnet.models.network import Network
from parity.compare import BOUNDS, Table, draw, outputs, randomize, relative

PIXELS = 74.0  # standard deviation of pixels drawn evenly from 0–255


def opened(name: str) -> Model:
    """A network of the catalog with random weights in which every number matters, classes named by number."""
    model = catalog.create(name).eval()
    wants = model.spec.preprocessing
    randomize(model, 1, PIXELS * wants.scale / float(np.mean(wants.std)))
    classes = tuple(str(number) for number in range(model.classes))
    return Model(model, classes, wants, cards.make(model, classes, wants), Path("nowhere"))


@pytest.mark.parametrize("name", catalog.CATALOG)
def test_onnx_runtime_runs_it(name: str, table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Exported with its preprocessing, run on random images, compared with PyTorch; a big image alone."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: make parity")
    monkeypatch.setattr(formats, "samples", partial(samples, count=2))
    found = formats.export(opened(name), "onnx", tmp_path / "network.onnx", logits=True).agreement
    assert found is not None
    assert found.logits is not None
    table("Exported as ONNX, in ONNX Runtime", network=name, probabilities=found.difference, logits=found.logits)
    assert found.logits <= 1e-4


KERAS = (
    "alexnet-cifar100",
    "alexnet-cifar10",
    "alexnet-slim",
    "alexnet-thinner-2-as-run",
    "alexnet-caltech",
)


@pytest.mark.parametrize("name", KERAS)
def test_keras_loads_it_by_name(name: str, table: Table, tmp_path: Path):
    """Keras's own load_weights(by_name=True) fills the write-up's network, which then gives what ours gives."""
    origins_keras = pytest.importorskip("parity.origins_keras", reason="Keras is not installed: make parity")
    model = opened(name)
    assert isinstance(model.module, Network)
    formats.export(model, "keras", tmp_path / "weights.h5")
    built: Any = origins_keras.build(name)
    built.load_weights(tmp_path / "weights.h5", by_name=True)
    images = draw(model.module, 0).images.astype(np.float32)
    theirs = built(images.transpose(0, 2, 3, 1), training=False).numpy()
    ours = torch.from_numpy(outputs(model.module, images)).softmax(1).numpy()
    found = relative(theirs, ours)
    table("Exported as .h5, loaded by Keras by name", network=name, probabilities=found)
    assert found <= BOUNDS["float32"]
