from dataclasses import replace

import numpy as np
import pytest
import torch

from alexnet.errors import InputError
from alexnet.export.agree import Samples, agree, samples
from alexnet.graphs.served import Served
from alexnet.inference.model import Model


def runs(model: Model, change=lambda probabilities, logits: (probabilities, logits), sizes=None):
    served = Served(model.module, model.preprocessing).eval()

    def run(images: np.ndarray):
        if sizes is not None:
            sizes.append(len(images))
        with torch.no_grad():
            probabilities, logits = served(torch.from_numpy(images))
        return change(probabilities.numpy(), logits.numpy())

    return run


def test_the_same_network_agrees_in_batches_of_1_and_more(opened: Model):
    sizes: list[int] = []
    images = samples(opened, None)
    found = agree(opened, runs(opened, sizes=sizes), images)
    assert (found.images, found.origin, found.difference, found.logits) == (32, "real", 0, 0)
    assert sizes == [1, 16, 15]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p, z: (p + 1e-3, z), "probabilities are .* off"),
        (lambda p, z: (p, 1.01 * z), "logits are .* off"),
        (lambda p, z: (np.where(p == p.max(), p, np.nan), z), "names another class"),
        (lambda p, z: (p, np.nan * z), "logits are nan off"),
        (lambda p, z: (p[:, ::-1], z), "names another class than PyTorch for image 0"),
        (lambda p, z: (p[:, :-1], z), "gives"),
    ],
)
def test_a_difference_is_refused(opened: Model, change, said: str):
    with pytest.raises(InputError, match=said):
        agree(opened, runs(opened, change), samples(opened, None, 4))


def test_a_network_that_gives_no_numbers_is_refused(make):
    broken = make("figure1-relu")
    broken.module.get_parameter("fc4.bias").data[0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        agree(broken, runs(broken), samples(broken, None, 2))


def test_random_images_where_there_are_no_others(make):
    found = samples(make("alexnet-bvlc", classes=2), None, 3)
    assert found.origin == "random"
    assert found.images.shape == (3, 256, 256, 3)
    assert found.images.dtype == np.uint8


def test_images_that_were_asked_for_must_be_there(opened: Model, tmp_path):
    with pytest.raises(InputError):
        samples(opened, tmp_path / "none")


def test_a_tie_may_swap(make):
    model = make("figure1-relu", classes=2)
    model.module.get_parameter("fc4.weight").data[1] = model.module.get_parameter("fc4.weight").data[0]
    model.module.get_parameter("fc4.bias").data[:] = 0
    images = Samples(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8), "random")
    model = replace(model, preprocessing=replace(model.preprocessing, std=(60.0,)))
    swapped = runs(model, lambda p, z: (p + np.array([0, 1e-7], np.float32), z))
    assert agree(model, swapped, images).difference < 1e-6
