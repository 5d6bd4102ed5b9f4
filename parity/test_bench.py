"""What `alexnet bench --peer keras` times is the same network: same counts, function and gradients."""

import keras
import pytest

from alexnet.benchmark import keras_peer
from alexnet.models import catalog
from alexnet.recipes.schema import Optimizer
from parity import origins_keras
from parity.compare import BOUNDS, Table, agree, both_ways, randomize, same_count

# Every kind of padding, and BatchNorm.
NETWORKS = ("alexnet-cifar100", "alexnet-cifar10", "alexnet-thinner-4", "alexnet-caltech")


@pytest.mark.parametrize("name", NETWORKS)
def test_same_function(name: str, table: Table):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    model = catalog.create(name, dropout=0).double()
    randomize(model, seed=1)
    origin = origins_keras.wrap(keras_peer.build(name, Optimizer()))
    same_count(model, origin, "float64", table)
    for direction in both_ways(model, origin):
        found = agree(model, origin, "float64")
        table(
            "The benchmark's Keras networks",
            network=name,
            weights=direction,
            output=found.output,
            worst_gradient=found.gradient,
        )
        assert found.worst <= BOUNDS["float64"], (direction, found)


@pytest.mark.parametrize("name", ["alexnet-2012", "alexnet-keras"])
def test_same_counts(name: str):
    """With LRN, which TensorFlow has in float32 only; in groups, and with the paper's dropout."""
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    built = keras_peer.build(name, Optimizer())
    assert built.count_params() == catalog.get(name).parameters
    assert built.output_shape == (None, 1000)
