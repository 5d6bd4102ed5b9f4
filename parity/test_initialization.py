"""Initial weights drawn by us and by the origin are draws from the same distribution, layer by layer."""

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from alexnet.models import catalog
from parity import origins_keras
from parity.compare import Table, Weights, weights
from parity.origins_tf import tf

SAMPLE = 200_000


@pytest.mark.parametrize("name", ["alexnet-cifar100", "alexnet-cifar10", "alexnet-thinner-2", "alexnet-caltech"])
def test_as_keras(name: str, table: Table):
    torch.manual_seed(0)
    model = catalog.create(name)
    _check_same_distributions(name, catalog.get(name).init, weights(model), _keras(name), "Keras", table)


def test_as_tensorflow_1(table: Table):
    """get_variable without an initializer, as the ImageNet write-up calls it: Glorot uniform, for biases too."""
    torch.manual_seed(0)
    found = weights(catalog.create("alexnet-tf", init="tensorflow"))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.set_random_seed(0)
        variables = {}
        for name, value in found.items():
            shape = (*value.shape[2:], *value.shape[1::-1]) if value.ndim > 1 else value.shape
            variables[name] = tf.compat.v1.get_variable(name.replace(".", "_"), shape)
        session.run(tf.compat.v1.global_variables_initializer())
        origin = session.run(variables)
    _check_same_distributions("alexnet-tf", "tensorflow", found, origin, "TensorFlow 1 get_variable", table)


def _keras(name: str) -> Weights:
    return origins_keras.wrap(origins_keras.build(name)).weights()


def _check_same_distributions(name: str, init: str, ours: Weights, origin: Weights, by: str, table: Table) -> None:
    assert ours.keys() == origin.keys()
    chances, deviations, largest = {}, {}, {}
    for layer, value in ours.items():
        mine, theirs = value.ravel()[:SAMPLE], origin[layer].ravel()[:SAMPLE]
        if np.ptp(theirs) == 0:
            assert np.array_equal(mine, theirs), layer
            continue
        _, chances[layer] = np.array(ks_2samp(mine, theirs))
        if value.size >= SAMPLE:
            deviations[layer] = value.std() / origin[layer].std() - 1
            largest[layer] = abs(value).max() / abs(origin[layer]).max() - 1
    table(
        "Initial weights: ours against the origin's draws",
        network=name,
        initialization=init,
        origin=by,
        tensors=f"{len(ours)}, {len(ours) - len(chances)} of them constant",
        least_p_of_Kolmogorov_Smirnov=f"{min(chances.values()):.3f}",
        worst_std=f"{max(map(abs, deviations.values())):.2%}",
        worst_largest_value=f"{max(map(abs, largest.values())):.2%}",
    )
    assert min(chances.values()) > 1e-4, chances
    assert max(map(abs, [*deviations.values(), *largest.values()])) < 0.01
