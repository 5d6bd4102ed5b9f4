import numpy as np
import pytest
from PIL import Image

from alexnet.artifacts.store import Model
from alexnet.errors import InputError
from alexnet.export import int8


@pytest.fixture
def folder(opened: Model, tmp_path):
    """Ten digits' images in a folder per class: the i-th is all of gray i."""
    for number in range(10):
        (tmp_path / str(number)).mkdir()
        Image.new("L", (8, 8), number).save(tmp_path / str(number) / "one.png")
    return tmp_path


def test_no_image_is_calibrated_on_and_measured(opened: Model, folder):
    calibration, measured = int8.images(opened, folder)
    grays = [images[:, 0, 0, 0].tolist() for images in (calibration, measured.batch(np.arange(len(measured))))]
    assert grays == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]
    assert measured.labels.tolist() == [1, 3, 5, 7, 9]


def test_a_runs_training_images_calibrate(opened: Model):
    calibration, measured = int8.images(opened, None)
    assert calibration.shape == (int8.CALIBRATION, 8, 8, 1)
    assert len(measured) == 359


def test_images_of_unknown_classes_cannot_measure(opened: Model, folder):
    (folder / "9").rename(folder / "nine")
    with pytest.raises(InputError, match=r"int8 needs labeled images.*never saw: nine"):
        int8.images(opened, folder)
