import numpy as np
import pytest
from PIL import Image

from alexnet.errors import InputError
from alexnet.export import int8
from alexnet.weights.store import Opened


@pytest.fixture
def folder(opened: Opened, tmp_path):
    """Ten digits' pictures in a folder per class: the i-th is all of gray i."""
    for number in range(10):
        (tmp_path / str(number)).mkdir()
        Image.new("L", (8, 8), number).save(tmp_path / str(number) / "one.png")
    return tmp_path


def test_no_picture_is_calibrated_on_and_measured(opened: Opened, folder):
    calibration, measured = int8.pictures(opened, folder)
    grays = [images[:, 0, 0, 0].tolist() for images in (calibration, measured.batch(np.arange(len(measured))))]
    assert grays == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]
    assert measured.labels.tolist() == [1, 3, 5, 7, 9]


def test_a_runs_training_pictures_calibrate(opened: Opened):
    calibration, measured = int8.pictures(opened, None)
    assert calibration.shape == (int8.CALIBRATION, 8, 8, 1)
    assert len(measured) == 359


def test_pictures_of_unknown_classes_cannot_measure(opened: Opened, folder):
    (folder / "9").rename(folder / "nine")
    with pytest.raises(InputError, match=r"int8 needs labelled pictures.*never saw: nine"):
        int8.pictures(opened, folder)
