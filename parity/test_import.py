"""Files that Keras and OpenCV's Caffe reader take as theirs: we read them and compute the same."""

from pathlib import Path

import numpy as np
import pytest
import torch

from alexnet.inference.model import load_model
from alexnet.models import catalog
from alexnet.models.network import Network
from alexnet.weights.imports import import_weights
from parity import origins_caffe
from parity.compare import BOUNDS, Table, Weights, draw, layer_by_layer, outputs, randomize, relative, weights
from parity.origins_caffe import field, varint

SECTION = "Files of other programs, imported"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras's own, on NumPy 2
@pytest.mark.parametrize("suffix", [".h5", ".keras", ".weights.h5"])
@pytest.mark.parametrize(
    "name",
    [
        "alexnet-cifar100",
        "alexnet-cifar10",
        "alexnet-thinner-2-as-run",
        "alexnet-thinner-4",
        "alexnet-caltech",
    ],
)
def test_keras_saves_and_we_load(name: str, suffix: str, tmp_path: Path, table: Table):
    origins_keras = pytest.importorskip("parity.origins_keras", reason="Keras is not installed: make parity")
    ours = catalog.create(name).eval()
    randomize(ours, 1)
    keras_model = origins_keras.build(name)
    origin = origins_keras.wrap(keras_model)
    origin.load(weights(ours))
    file = tmp_path / f"saved{suffix}"
    keras_model.save_weights(file) if suffix == ".weights.h5" else keras_model.save(file)
    layout = "channels_last" if suffix == ".weights.h5" else None  # which a weights file does not record
    imported = import_weights(file, tmp_path / "imported.safetensors", layout=layout)
    assert imported.card.name == name
    assert not imported.missing
    batch = draw(ours, 0)
    loaded = load_model(imported.path).module
    found = relative(torch.from_numpy(outputs(loaded, batch.images)).log_softmax(1).numpy(), origin.run(batch).outputs)
    table(SECTION, origin=f"Keras {suffix}", network=name, output=found)
    assert found <= BOUNDS["float32"]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("name", "pool_first"), [("alexnet-bvlc", False), ("caffenet", True)])
def test_opencv_reads_the_same_caffemodel(name: str, pool_first: bool, version: int, tmp_path: Path, table: Table):
    ours = catalog.create(name).eval()
    randomize(ours, 1, 60.0)
    content = origins_caffe.caffemodel(weights(ours)) if version == 2 else _version_1(weights(ours))
    file = tmp_path / "net.caffemodel"
    file.write_bytes(content)
    net = origins_caffe.opencv(content, pool_first)
    loaded = load_model(import_weights(file, tmp_path / "imported.safetensors", name).path).module
    assert isinstance(loaded, Network)
    images = draw(ours, 0, 60.0).images[:1].astype(np.float32)
    net.setInput(images, "data")
    worst = max(found for _, _, found in layer_by_layer(loaded, images, net.forward))
    table(SECTION, origin=f"caffemodel, version {version} of layers", network=name, output=worst)
    assert worst <= BOUNDS["float32"]


def _version_1(values: Weights) -> bytes:
    """The NetParameter as Caffe wrote it until 2014: numbered types, blobs of four sides, numbers one by one."""
    layers = []
    for name in dict.fromkeys(each.split(".")[0] for each in values):
        kind = 4 if name.startswith("conv") else 14
        blobs = b""
        for value in (values[f"{name}.weight"], values[f"{name}.bias"]):
            sides = (1,) * (4 - value.ndim) + value.shape
            head = b"".join(varint(i << 3) + varint(side) for i, side in enumerate(sides, 1))
            rows = np.empty((value.size, 5), np.uint8)
            rows[:, 0] = 5 << 3 | 5
            rows[:, 1:] = np.ascontiguousarray(value, "<f4").reshape(-1, 1).view(np.uint8)
            blobs += field(6, head + rows.tobytes())
        layers.append(field(2, field(4, name.encode()) + bytes([5 << 3, kind]) + blobs))
    return b"".join(layers)
