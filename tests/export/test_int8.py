import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from alexnet.artifacts.run import Run
from alexnet.data.dataset import Dataset
from alexnet.errors import InputError
from alexnet.export import formats, int8
from alexnet.export.agree import Samples
from alexnet.inference.data import dataset_for, fitted
from alexnet.inference.model import Model, load_model
from alexnet.inference.predict import predict


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


def test_the_images_that_calibrate_a_run_trained_it_and_are_not_measured(opened: Model):
    calibration, measured = int8.images(opened, None)
    training = fitted(opened, dataset_for(opened, None, "train"))
    digits = {image.tobytes() for image in training.batch(np.arange(len(training)))}
    assert all(image.tobytes() in digits for image in calibration)
    others = [image.tobytes() for image in measured.batch(np.arange(len(measured)))]
    assert sum(image.tobytes() in set(others) for image in calibration) <= 1  # two images of the set are equal


@pytest.mark.parametrize("data", [True, False])
def test_what_is_measured_and_compared_calibrates_nothing(
    data: bool, opened: Model, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each image that goes through the quantizer, the comparison and the measurement, as `export` calls them."""
    seen: dict[str, list[bytes]] = {"calibrated": [], "measured": [], "compared": []}
    quantize, measure, agree = int8.quantize, int8.measure, formats.agree

    def note(what: str, images: np.ndarray) -> None:
        seen[what] += [image.tobytes() for image in images]

    def quantized(exact: bytes, calibration: np.ndarray) -> bytes:
        note("calibrated", calibration)
        return quantize(exact, calibration)

    def measured(exact: bytes, content: bytes, dataset: Dataset, count: int) -> int8.Quantized:
        note("measured", dataset.batch(np.arange(len(dataset))))
        return measure(exact, content, dataset, count)

    def agreed(model: Model, run: Any, images: Samples) -> Any:
        note("compared", images.images)
        return agree(model, run, images)

    monkeypatch.setattr(int8, "quantize", quantized)
    monkeypatch.setattr(int8, "measure", measured)
    monkeypatch.setattr(formats, "agree", agreed)
    formats.export(opened, "int8", tmp_path / "x.onnx", data=folder if data else None, max_loss=1.0)
    for what in ("measured", "compared"):
        assert len(set(seen[what]) & set(seen["calibrated"])) <= (0 if data else 1)
    assert set(seen["compared"]) <= set(seen["measured"])


def test_a_collapse_is_refused_and_nothing_written(opened: Model, tmp_path: Path):
    """One hidden unit 3000 times as large, what comes after it as much smaller: the same function, not in int8."""
    module = copy.deepcopy(opened.module)
    state = {name: value.clone() for name, value in module.state_dict().items()}
    state["fc6.weight"][0] *= 3000
    state["fc6.bias"][0] = 3000
    state["fc7.weight"][:, 0] /= 3000
    module.load_state_dict(state)
    bad = dataclasses.replace(opened, module=module)
    with pytest.raises(InputError, match=r"int8 loses .* points of top-1 accuracy .* more than --max-loss 0.02"):
        formats.export(bad, "int8", tmp_path / "x.onnx")
    assert list(tmp_path.glob("*.onnx")) == []
    assert formats.export(bad, "int8", tmp_path / "x.onnx", max_loss=1.0).quantized


def test_the_bound_is_a_bound():
    figures = {
        "float_bytes": 1,
        "int8_bytes": 1,
        "float_ms": 1.0,
        "int8_ms": 1.0,
        "speed": 1.0,
        "batch": 1,
        "rounds": 1,
    }
    found = int8.Quantized(**figures, calibrated_on=1, measured_on=100, float_score=0.90, int8_score=0.88)
    int8.check(found, 0.0201)
    with pytest.raises(InputError, match=r"2\.0 points"):
        int8.check(found, 0.019)


def test_images_of_unknown_classes_cannot_measure(opened: Model, folder):
    (folder / "9").rename(folder / "nine")
    with pytest.raises(InputError, match=r"int8 needs labeled images.*never saw: nine"):
        int8.images(opened, folder)


def test_what_quantization_changed_is_told(opened: Model, trained: Run, command: Any, tmp_path: Path):
    """By another way: the file opened again, against the network in PyTorch."""
    out = tmp_path / "x.onnx"
    said = command("export", trained.path, "--format", "int8", "--out", out)
    assert "the float32 graph, before it was quantized: same as PyTorch on 32 real images" in said.out
    images = fitted(opened, dataset_for(opened, None))
    pixels = [images[row][0] for row in range(len(images))]
    exactly, roughly = (
        np.array([[each.score for each in sorted(one.predictions, key=lambda each: each.label)] for one in answers])
        for answers in (predict(opened, pixels, top=10), predict(load_model(out, graphs=True), pixels, top=10))
    )
    same = int((exactly.argmax(1) == roughly.argmax(1)).sum())
    found = formats.export(opened, "int8", out, force=True).quantized
    assert found is not None
    assert found.difference == pytest.approx(np.abs(exactly - roughly).max(), rel=1e-2)
    assert found.difference > 1e-3
    assert found.same == same
    assert f"top-1 equal on {same} of {len(images)}, probabilities within {found.difference:.1e}" in said.out
