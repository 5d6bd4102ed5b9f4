"""The mean image travels with the weights, and is missed when it does not."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import alexnet
from alexnet.artifacts import store
from alexnet.artifacts.figures import score
from alexnet.artifacts.run import Run
from alexnet.data.transforms.augment import Augmenter
from alexnet.errors import InputError
from alexnet.export.formats import export
from alexnet.inference.data import dataset_for
from alexnet.preprocessing import MeanImage, Preprocessing
from alexnet.weights.imports import import_weights
from alexnet.weights.load import load_into

SETTINGS = {
    "data.name": "synthetic", "data.synthetic_images": 60, "data.resize": 12,
    "train.batch_size": 16, "train.epochs": 1, "train.test_views": 10,
}  # fmt: skip


@pytest.fixture(scope="module", params=["pixel", "pixel-at-crop"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = SETTINGS | {"data.normalize": request.param, "augment.flip": 0.5}
    return alexnet.train("digits", out=tmp_path_factory.mktemp("mean") / "run", settings=settings)


def test_the_run_is_opened_with_it(run: Run) -> None:
    model = alexnet.load(run)
    mean = model.preprocessing.mean_image
    assert mean is not None
    pixels = mean.pixels
    if model.preprocessing.mean_by_place:
        assert pixels.shape == (12, 12, 1)
        pixels = pixels[2:10, 2:10]
    assert pixels.shape == (*model.preprocessing.size, 1)
    assert run.card.preprocessing.mean_image == mean.sha256
    assert (run.path / "card.mean.safetensors").is_file()
    assert score(alexnet.evaluate(model, dataset_for(model, split="validation")).figures) == score(
        run.card.figures.final
    )
    assert run.card.figures.test is not None
    assert run.card.figures.test.views == 10
    image = np.full((12, 12, 1), 200, np.uint8)
    inputs = torch.from_numpy(200 - pixels).permute(2, 0, 1)[None]
    expected = model.module(inputs).softmax(1).max().item()
    assert alexnet.predict(model, [image], top=1)[0].predictions[0].score == pytest.approx(expected, rel=1e-4)


def test_each_pixel_has_its_own_mean() -> None:
    pixels = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    augmenter = Augmenter(Preprocessing((2, 4), scale=1.0, mean_image=MeanImage(pixels)), flip=1)
    image = torch.randint(0, 256, (1, 2, 4, 3), dtype=torch.uint8)
    np.testing.assert_array_equal(augmenter.evaluate(image)[0].permute(1, 2, 0), image[0].numpy() - pixels)
    mirrored = augmenter.train(image, torch.Generator().manual_seed(0))[0].permute(1, 2, 0)
    np.testing.assert_array_equal(mirrored, image[0].numpy()[:, ::-1] - pixels)


def test_at_its_own_place_the_mean_moves_and_turns_with_the_image() -> None:
    """Caffe's mean_file, by hand: 10, 20, 40 less 1, 2, 4 are 9, 18, 36, of which two in a row are cut out."""
    mean = np.array([1, 2, 4], np.float32).reshape(1, 3, 1)
    preprocessing = Preprocessing((1, 2), colors="L", scale=1.0, mean_image=MeanImage(mean))
    augmenter = Augmenter(preprocessing, flip=0.5)
    images = torch.tensor([10, 20, 40], dtype=torch.uint8).view(1, 1, 3, 1).expand(64, -1, -1, -1)
    seen = {tuple(each) for each in augmenter.train(images, torch.Generator().manual_seed(0)).flatten(1).tolist()}
    assert seen == {(9, 18), (18, 9), (18, 36), (36, 18)}
    assert augmenter.evaluate(images[:1]).flatten().tolist() == [9, 18]
    assert augmenter.view(images[:1], 0, 1, mirrored=True).flatten().tolist() == [36, 18]
    with pytest.raises(InputError, match="images are stored at 1×2, their mean image at 1×3"):
        augmenter.evaluate(images[:, :, :2])


def test_large_images_meet_their_own_place_too() -> None:
    """From 64 × 64 on windows are copied; and what is resized takes its mean along."""
    random = np.random.default_rng(0)
    mean = random.uniform(0, 255, (70, 72, 3)).astype(np.float32)
    images = torch.from_numpy(random.integers(0, 256, (6, 70, 72, 3), dtype=np.uint8))
    own = Preprocessing((64, 66), colors="BGR", scale=1.0, mean_image=MeanImage(mean))
    plain = dataclasses.replace(own, mean_image=None)
    means = torch.from_numpy(np.ascontiguousarray(mean[..., ::-1])).round().to(torch.uint8).expand(6, -1, -1, -1)
    for resized in ((), (0.3, 1.0)):
        crop, of_mean = (
            Augmenter(plain, flip=0.5, resized_crop=resized).train(each, torch.Generator().manual_seed(3))
            for each in (images, means)
        )
        found = Augmenter(own, flip=0.5, resized_crop=resized).train(images, torch.Generator().manual_seed(3))
        torch.testing.assert_close(found, crop - of_mean, rtol=0, atol=0.51)


def test_without_it_or_with_another_nothing_is_opened(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    file = copy / "card.mean.safetensors"
    own = store.load_tensors(file)["mean"]
    wrong = {
        "is not the one that the card names": {"mean": own + 1},
        "holds no mean image": {"other": own},
        "of finite float32 numbers": {"mean": own * torch.nan},
        "the network takes": {"mean": own[:-1]},
    }
    for said, content in wrong.items():
        store.save(file, content)
        with pytest.raises(InputError, match=said if "takes" not in said else "not the one"):
            alexnet.load(copy)
    file.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="not a readable safetensors file"):
        alexnet.load(copy)
    file.unlink()
    with pytest.raises(InputError, match=r"names a mean image; card\.mean\.safetensors must lie beside it"):
        alexnet.load(copy)


def test_it_goes_where_the_weights_go(run: Run, tmp_path: Path) -> None:
    model = alexnet.load(run)
    export(model, "safetensors", tmp_path / "out.safetensors")
    (tmp_path / "out.safetensors").rename(tmp_path / "other.safetensors")
    (tmp_path / "out.json").rename(tmp_path / "other.json")
    with pytest.raises(InputError, match=r"out\.mean\.safetensors' exists; add --force"):
        export(model, "safetensors", tmp_path / "out.safetensors")
    export(model, "safetensors", tmp_path / "out.safetensors", force=True)
    assert alexnet.load(tmp_path / "out.safetensors").preprocessing == model.preprocessing
    import_weights(tmp_path / "out.safetensors", tmp_path / "again.safetensors")
    assert alexnet.load(tmp_path / "again.safetensors").preprocessing == model.preprocessing
    network = alexnet.create(model.card.name, classes=len(model.classes))
    assert load_into(network, run.path).preprocessing == model.preprocessing
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    exported = export(model, "onnx", tmp_path / "out.onnx")  # compared with the network on images
    assert exported.agreement is not None
    export(model, "card", tmp_path / "card.md")
    assert "card.mean.safetensors" in (tmp_path / "card.md").read_text()


def test_it_survives_json_only_with_the_image() -> None:
    image = MeanImage(np.ones((4, 4, 3), np.float32))
    own = Preprocessing((4, 4), mean_image=image)
    content = json.loads(json.dumps(own.to_json()))
    assert Preprocessing.from_json(content, image) == own
    assert hash(own) == hash(dataclasses.replace(own))
    assert own != Preprocessing((4, 4), mean_image=MeanImage(np.zeros((4, 4, 3), np.float32)))
    with pytest.raises(InputError, match="not the one that the card names"):
        Preprocessing.from_json(content)
    with pytest.raises(InputError, match=r"the mean image is \(4, 4, 3\), the network takes \(5, 4, 3\)"):
        Preprocessing((5, 4), mean_image=image)
    for wrong in (np.ones((4, 4), np.float32), np.ones((4, 4, 3)), np.full((4, 4, 3), np.inf, np.float32)):
        with pytest.raises(InputError, match="finite float32"):
            MeanImage(wrong)
