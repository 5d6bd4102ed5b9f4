import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from alexnet.artifacts import card as cards
from alexnet.artifacts.run import Run
from alexnet.data.dataset import ArrayDataset
from alexnet.data.transforms.augment import Augmenter
from alexnet.inference.features import features
from alexnet.inference.images import of_arrays
from alexnet.inference.model import Model
from alexnet.insight import rsa
from alexnet.insight.doctor import LRN_FORMS, RANGES, examine
from alexnet.insight.moved import moved
from alexnet.models import catalog
from alexnet.models.layers import LocalResponseNorm
from alexnet.preprocessing import Preprocessing

CAFFE = Preprocessing((32, 32), colors="BGR", scale=1.0, mean=(104.0, 117.0, 123.0))


def opened(preprocessing: Preprocessing) -> Model:
    """A random network whose answers are sure of themselves."""
    torch.manual_seed(0)
    network = catalog.create("figure1-relu", init="he").eval()
    card = cards.make(network, tuple("0123456789"), preprocessing)
    network.add_module("sure", _Scaled())
    return Model(network, tuple("0123456789"), preprocessing, card, Path("net.safetensors"))


class _Scaled(torch.nn.Module):
    """Centers the scores over the images, so that they are not all of one class, and sharpens them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 10 * (x - x.mean(0)) / x.std()


def test_colors_and_range_are_found(monkeypatch: pytest.MonkeyPatch):
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    model = opened(CAFFE)
    with torch.no_grad():
        scores = model.module(Augmenter(CAFFE).evaluate(torch.from_numpy(images)))
    names = [str(i) for i in range(len(images))]
    dataset = ArrayDataset(images, scores.argmax(1).numpy(), model.classes, names)
    monkeypatch.setattr("alexnet.insight.doctor.dataset_for", lambda *_, **__: dataset)
    wrong = replace(model, preprocessing=Preprocessing((32, 32), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
    diagnosis = examine(wrong, Path("anywhere"), most=60)
    assert diagnosis.best.preprocessing.colors == "BGR"
    assert diagnosis.best.range == "0 to 255 less ImageNet's mean"
    assert diagnosis.best.preprocessing.mean == CAFFE.mean
    assert diagnosis.best.top1 == 1.0
    assert diagnosis.own.score < 0.9
    assert all(trial.lrn == "the card's own" for trial in diagnosis.trials)  # it has none


def test_the_forms_are_those_of_the_catalog():
    published = {"alexnet-bvlc", "alexnet-2012-as-run", "alexnet-2012", "alexnet-tf-as-printed"}
    constants = set()
    for name in published:
        with torch.device("meta"):
            network = catalog.create(name)
        norm = next(part for part in network.modules() if isinstance(part, LocalResponseNorm))
        constants.add((norm.alpha, norm.k, norm.divide))
    assert set(LRN_FORMS.values()) == constants
    spec = catalog.get("alexnet-bvlc").preprocessing
    assert RANGES["0 to 255 less ImageNet's mean"][1] == tuple(reversed(spec.mean))


def test_features_move_between_preprocessings(make: Callable[..., Model]) -> None:
    """The network's own is the first row; what equals it does not move, and the others do as computed by hand."""
    model = make("alexnet-cifar100", classes=4)
    images = of_arrays([np.random.default_rng(n).integers(0, 256, (48, 64, 3), np.uint8) for n in range(6)])
    found = moved(model, images, "fc6")
    assert (found.choices, found.images) == (("own", "thingsvision", "brainscore", "caffe"), 6)
    np.testing.assert_allclose(np.diag(found.cosine), 1)
    np.testing.assert_allclose(np.diag(found.rsa), 1)
    own, theirs = (
        features(model, images, ["fc6"], preprocess=each)["fc6"].astype(np.float64) for each in ("own", "brainscore")
    )
    cosines = (own * theirs).sum(1) / np.linalg.norm(own, axis=1) / np.linalg.norm(theirs, axis=1)
    assert found.cosine[0, 2] == pytest.approx(cosines.mean())
    assert found.lowest[0, 2] == pytest.approx(cosines.min())
    assert found.rsa[0, 2] == pytest.approx(rsa.compare(rsa.rdm(own), rsa.rdm(theirs)))


def test_the_verb_shows_how_features_move(
    trained: Run, tmp_path: Path, command: Callable, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "takes gray ones" in refused("doctor", trained.path, "--data", "digits", "--features")
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    ended = command("doctor", "alexnet-cifar100", "--data", tmp_path, "--features", "--layer", "conv5", "--json")
    said = json.loads(ended.out)
    assert (ended.code, said["images"], said["preprocessings"][3]) == (0, 4, "caffe")
    (tmp_path / "broken.png").write_bytes(b"broken")
    ended = command("doctor", "alexnet-cifar100", "--data", tmp_path, "--features", "--layer", "conv5")
    assert (ended.code, "brainscore" in ended.out, "skipped" in ended.err) == (3, True, True)
