"""Everything the command line does, in a line or two of Python."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import alexnet


def test_features_have_a_row_for_each_image() -> None:
    digits = alexnet.dataset("digits").subset(np.arange(3))
    assert alexnet.features(alexnet.create("alexnet-digits"), digits, ["fc7"])["fc7"].shape == (3, 128)


def test_create_is_a_network_of_the_catalog() -> None:
    network = alexnet.create("alexnet-digits", classes=7)
    assert isinstance(network, torch.nn.Module)
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 7)
    assert network.spec.name == "alexnet-digits"
    with pytest.raises(alexnet.InputError, match="did you mean"):
        alexnet.create("alexnet-digit")


def test_images_are_arrays_with_labels_and_class_names() -> None:
    digits = alexnet.dataset("digits")
    image, label = digits[0]
    assert (image.shape, str(image.dtype), digits.classes[label]) == ((8, 8, 1), "uint8", "0")
    assert len(digits) == 1797
    with pytest.raises(alexnet.InputError, match="has no split 'test'; it has: train"):
        alexnet.dataset("digits", split="test")


@pytest.mark.usefixtures("bare")
def test_from_training_to_an_answer(tmp_path: Path) -> None:
    run = alexnet.train("digits", out=tmp_path / "run", epochs=1, data__name="synthetic", data__synthetic_images=40)
    model = alexnet.load(run)
    dataset = alexnet.dataset("synthetic", split="test", size=(8, 8), channels=1, count=40)
    assert alexnet.evaluate(model, dataset).figures.count == len(dataset)
    assert alexnet.predict(model, [dataset[0][0]], top=3)[0].predictions[0].label in model.classes
    assert run.report.is_file()


def test_every_public_name_is_there() -> None:
    assert dir(alexnet) == alexnet.__all__
    assert all(getattr(alexnet, name) is not None for name in alexnet.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = alexnet.trian


def test_the_import_does_not_wait_for_torch() -> None:
    code = "import sys, alexnet; alexnet.InputError; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
