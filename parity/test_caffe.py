"""Caffe's two networks through OpenCV's reader of Caffe models, layer by layer (float32; OpenCV has no gradients)."""

import numpy as np
import pytest

from alexnet.models import catalog
from parity import origins_caffe
from parity.compare import BOUNDS, Table, draw, layer_by_layer, randomize, weights

SCALE = 60.0


@pytest.mark.parametrize(("name", "pool_first"), [("alexnet-bvlc", False), ("caffenet", True)])
def test_layer_by_layer(name: str, pool_first: bool, table: Table):
    model = catalog.create(name).eval()
    randomize(model, 1, SCALE)
    net = origins_caffe.opencv(origins_caffe.caffemodel(weights(model)), pool_first)
    images = draw(model, 0, SCALE).images[:1].astype(np.float32)
    net.setInput(images, "data")
    for layer, shape, found in layer_by_layer(model, images, net.forward):
        table("OpenCV's Caffe reader", network=name, layer=layer, shape="×".join(map(str, shape)), output=found)
        assert found <= BOUNDS["float32"], layer
