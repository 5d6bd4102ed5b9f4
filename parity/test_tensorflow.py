"""The TensorFlow 1 networks, in TensorFlow's own operations."""

import numpy as np
import pytest
import torch

from alexnet.models import catalog
from alexnet.models.layers import LocalResponseNorm
from parity import origins_tf
from parity.compare import BOUNDS, Table, agree, both_ways, outputs, randomize, relative, same_count
from parity.origins_tf import tf

SCALE = 60.0
"""Standard deviation of images on the 0–255 scale, at which the LRNs bite."""

NETWORKS = {
    "alexnet-mnist": (origins_tf.mnist, 1.0),
    "alexnet-tf-as-printed": (lambda precision: origins_tf.imagenet(precision, alpha=1e-4), SCALE),
    "alexnet-tf": (lambda precision: origins_tf.imagenet(precision, alpha=2e-5), SCALE),
    "alexnet-keras": (lambda precision: origins_tf.imagenet(precision, alpha=1e-4, bias=2.0, pool_first=True), SCALE),
}


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_same_function(name: str, precision: str, table: Table):
    build, scale = NETWORKS[name]
    model = catalog.create(name, dropout=0).to(getattr(torch, precision))
    randomize(model, 1, scale)
    origin = build(precision)
    same_count(model, origin, precision, table)
    for direction in both_ways(model, origin):
        found = agree(model, origin, precision, scale)
        table("TensorFlow", network=name, weights=direction, precision=precision, **found.cells)
        assert found.worst <= BOUNDS[precision], (direction, found)


@pytest.mark.parametrize(
    ("radius", "bias", "alpha"), [(2, 1.0, 1e-4), (2, 1.0, 2e-5), (2, 2.0, 1e-4), (4, 1.0, 1e-3 / 9)]
)
def test_lrn(radius: int, bias: float, alpha: float, table: Table):
    """Our undivided form is TensorFlow's kernel, and so is the formula that stands in for it in float64."""
    x = np.random.default_rng(0).normal(0, SCALE, (2, 12, 7, 7))
    layer = LocalResponseNorm(2 * radius + 1, alpha, 0.75, bias, divide=False)
    found = {}
    for precision, lrn in (("float32", origins_tf.lrn), ("float64", origins_tf.lrn_formula)):
        kernel = lrn(tf.constant(x.transpose(0, 2, 3, 1), precision), radius, bias, alpha, 0.75)
        reference = kernel.numpy().transpose(0, 3, 1, 2)
        found[precision] = relative(layer(torch.from_numpy(x).to(getattr(torch, precision))).numpy(), reference)
        table(
            "LRN",
            form="undivided",
            origin="tf.nn.local_response_normalization" if precision == "float32" else "its formula in tf operations",
            size=2 * radius + 1,
            alpha=alpha,
            k=f"{bias:g}",
            precision=precision,
            output=found[precision],
        )
    assert found["float32"] <= BOUNDS["float32"]
    assert found["float64"] <= BOUNDS["float64"]


def test_printed_alpha_differs(table: Table):
    """With the same weights, the write-up's alpha and the right one are two functions."""
    printed, right = catalog.create("alexnet-tf-as-printed"), catalog.create("alexnet-tf")
    randomize(printed, 1, SCALE)
    right.load_state_dict(printed.state_dict())
    images = np.random.default_rng(0).normal(0, SCALE, (1, 3, 227, 227))
    found = relative(outputs(printed, images), outputs(right, images))
    table("Traps", what="alexnet-tf-as-printed against alexnet-tf, same weights", difference_of_outputs=found)
    assert found > 100 * BOUNDS["float32"]
