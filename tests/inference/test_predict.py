"""What a model says of single images, from files and from arrays."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import alexnet
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.inference import predict as module


def test_a_file_and_its_array_agree(trained: Run, tmp_path: Path) -> None:
    model, digits = alexnet.load(trained), alexnet.dataset("digits")
    arrays = [digits[index][0] for index in range(3)]
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for path, array in zip(paths, arrays, strict=True):
        Image.fromarray(array[:, :, 0]).save(path)
    from_files = alexnet.predict(model, paths, top=10)
    from_arrays = alexnet.predict(model, arrays, top=10)
    assert [one.predictions for one in from_files] == [one.predictions for one in from_arrays]
    assert [one.path for one in from_files] == [str(path) for path in paths]
    assert [one.path for one in from_arrays] == ["image 0", "image 1", "image 2"]
    assert from_files[0].to_json().keys() == {"path", "predictions"}


def test_probabilities_are_sorted_and_sum_to_one(trained: Run) -> None:
    model, digits = alexnet.load(trained), alexnet.dataset("digits")
    said = alexnet.predict(model, [digits[index][0] for index in range(20)], top=99)
    for one in said:
        probabilities = [each.score for each in one.predictions]
        assert len(probabilities) == 10
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert probabilities == sorted(probabilities, reverse=True)
    right = [one.predictions[0].label == str(digits.labels[i]) for i, one in enumerate(said)]
    assert np.mean(right) > 0.7
    assert [len(one.predictions) for one in alexnet.predict(model, [digits[0][0]], top=3)] == [3]


def test_batches_are_not_seen_in_the_answer(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    model, digits = alexnet.load(trained), alexnet.dataset("digits")
    arrays = [digits[index][0] for index in range(7)]
    together = alexnet.predict(model, arrays, top=1)
    monkeypatch.setattr(module, "BATCH", 3)
    apart = alexnet.predict(model, iter(arrays), top=1)
    assert [one.path for one in apart] == [one.path for one in together]
    assert [one.predictions[0].label for one in apart] == [one.predictions[0].label for one in together]
    assert alexnet.predict(model, []) == []


@pytest.mark.parametrize(
    "image",
    [np.zeros((8, 8)), np.zeros((8, 8, 4), np.uint8), np.zeros((8,), np.uint8), np.zeros((0, 8), np.uint8)],
)
def test_what_is_no_image_is_refused(trained: Run, image: np.ndarray) -> None:
    with pytest.raises(InputError, match="an image is uint8"):
        alexnet.predict(alexnet.load(trained), [image])


def test_nothing_to_name_is_refused(trained: Run) -> None:
    with pytest.raises(InputError, match="top takes a whole number of at least 1"):
        alexnet.predict(alexnet.load(trained), [], top=0)
