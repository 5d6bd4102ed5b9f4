"""The Keras write-ups' networks: same counts, same function, same gradients, same running statistics."""

import numpy as np
import pytest
import torch

from alexnet.models import catalog
from parity import origins_keras
from parity.compare import BOUNDS, Table, agree, both_ways, draw, ours, randomize, relative, same_count, weights
from parity.origins_tf import tf

NOTE = {"running_var": ", its batch variance times n / (n − 1)"}
STATISTICS = "BatchNorm's running statistics after one training batch (float64)"


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("name", origins_keras.NETWORKS)
def test_same_function(name: str, precision: str, table: Table):
    model = catalog.create(name, dropout=0).to(getattr(torch, precision))
    randomize(model, seed=1)
    origin = origins_keras.wrap(origins_keras.build(name, precision))
    same_count(model, origin, precision, table)
    modes = ("inference", "training") if any(".running_" in key for key in origin.variables) else ("inference",)
    for direction in both_ways(model, origin):
        for mode in modes:
            found = agree(model, origin, precision, training=mode == "training")
            table(
                "Keras",
                network=name,
                weights=direction,
                mode=mode,
                precision=precision,
                **found.cells,
            )
            assert found.worst <= BOUNDS[precision], (direction, mode, found)


def test_running_statistics(table: Table):
    """One training batch moves BatchNorm's running mean and variance as in Keras, with momentum .99.

    Keras 3 takes the batch's biased variance. The write-up's TensorFlow 2 took the unbiased one (the test below), as
    PyTorch does and thus we: n / (n − 1) times Keras 3's, exactly.
    """
    model = catalog.create("alexnet-caltech", dropout=0).double()
    randomize(model, seed=1)
    origin = origins_keras.wrap(origins_keras.build("alexnet-caltech", "float64"))
    origin.load(weights(model))
    batch = draw(model, 0)
    before = {name: np.asarray(value) for name, value in weights(model).items()}
    reference = dict(origin.run(batch, training=True).statistics)
    for name, side in (("bn1.running_var", 27), ("bn2.running_var", 13)):
        n, kept = len(batch.images) * side * side, 0.99 * before[name]
        reference[name] = kept + (reference[name] - kept) * n / (n - 1)
    got = ours(model, batch, origin.output, training=True).statistics
    found = {name: relative(got[name], reference[name]) for name in reference}
    for name, value in found.items():
        table(STATISTICS, what=f"alexnet-caltech {name} against Keras 3{NOTE.get(name[4:], '')}", difference=value)
    assert max(found.values()) <= BOUNDS["float64"], found


def test_fused_kernel_is_unbiased(table: Table):
    """What TensorFlow 2's Keras ran: its batch variance is n / (n − 1) times the biased one."""
    x = np.random.default_rng(0).normal(0, 1, (2, 7, 7, 5)).astype(np.float32)
    _, _, variance, *_ = tf.compat.v1.nn.fused_batch_norm(x, np.ones(5, np.float32), np.zeros(5, np.float32))
    found = relative(variance.numpy(), x.reshape(-1, 5).var(0, ddof=1))
    table(STATISTICS, what="TensorFlow's fused kernel against the unbiased variance (float32)", difference=found)
    assert found <= BOUNDS["float32"]
