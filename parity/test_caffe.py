"""Caffe's two networks through OpenCV's reader of Caffe models, layer by layer (float32; OpenCV has no gradients)."""

import numpy as np
import pytest
import torch

from alexnet.models import catalog
from parity import origins_caffe
from parity.compare import BOUNDS, Table, draw, randomise, relative, weights

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed: make parity")
if not hasattr(cv2.dnn, "readNetFromCaffe"):
    pytest.skip("this OpenCV no longer reads Caffe models; opencv-python-headless<5 does", allow_module_level=True)

SCALE = 60.0


@pytest.mark.parametrize(("name", "pool_first"), [("alexnet-bvlc", False), ("caffenet", True)])
def test_layer_by_layer(name: str, pool_first: bool, table: Table):
    model = catalog.create(name).eval()
    randomise(model, 1, SCALE)
    text = origins_caffe.prototxt(pool_first).encode()
    net = cv2.dnn.readNetFromCaffe(_buffer(text), _buffer(origins_caffe.caffemodel(weights(model))))
    net.enableFusion(False)
    net.enableWinograd(False)
    pictures = draw(model, 0, SCALE).pictures[:1].astype(np.float32)
    net.setInput(pictures, "data")
    ours = [layer for layer in model.layer_names if layer.startswith(("relu", "norm", "pool", "fc8"))]
    assert len(ours) == 7 + 2 + 3 + 1
    for layer, reference in zip(ours, net.forward(ours), strict=True):
        with torch.no_grad():
            got = model.tap(torch.from_numpy(pictures), [layer])[layer].numpy()
        found = relative(got, reference.reshape(got.shape))
        table("OpenCV's Caffe reader", network=name, layer=layer, shape="×".join(map(str, got.shape[1:])), output=found)
        assert found <= BOUNDS["float32"], layer


def _buffer(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)
