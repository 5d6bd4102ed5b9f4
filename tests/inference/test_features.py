"""Features: what a tap gives, in the images' order, whatever the batch; under the names that others use."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import alexnet
from alexnet.data.transforms.augment import Augmenter
from alexnet.errors import InputError
from alexnet.inference import images as sources
from alexnet.inference.features import features, network_of, run, want
from alexnet.inference.model import Model
from alexnet.inference.preprocess import CHOICES, mismatch, preprocessing_for
from alexnet.models import products
from alexnet.preprocessing import MeanImage, Preprocessing

Make = Callable[..., Model]


def arrays(count: int, side: int = 8, channels: int = 1) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, side, side, channels), np.uint8))


def test_features_are_the_taps(opened: Model) -> None:
    given = arrays(5)
    found = features(opened, given, ["conv5:pre", "conv5", "pool5", "fc7", "fc8"])
    batch = Augmenter(opened.preprocessing).evaluate(torch.from_numpy(np.stack(given)))
    with torch.no_grad():
        taps = network_of(opened).tap(batch, list(found))
    assert list(found) == ["conv5:pre", "conv5", "pool5", "fc7", "fc8"]
    for name, values in found.items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, taps[name].numpy(), rtol=1e-4, atol=2e-6)  # by other kernels
    assert (found["conv5"] == found["conv5:pre"].clip(0)).all()
    with torch.no_grad():
        np.testing.assert_allclose(found["fc8"], opened.module(batch).numpy(), rtol=1e-5, atol=1e-5)


def test_features_are_computed_by_the_quick_kernels(opened: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, right = [], products.linear
    monkeypatch.setattr(products, "linear", lambda x, weight, bias: seen.append(len(x)) or right(x, weight, bias))
    features(opened, arrays(5), ["fc7"])
    assert seen.count(5) == 2  # fc6 and fc7 of the batch


def test_the_batch_does_not_change_a_feature(opened: Model) -> None:
    given = arrays(23)
    whole = features(opened, given, ["conv3", "fc7"], batch_size=23)
    for size in (1, 2, 7):
        parts = features(opened, given, ["conv3", "fc7"], batch_size=size)
        for name, values in whole.items():
            length = np.linalg.norm(values.reshape(23, -1), axis=1)
            apart = np.linalg.norm((parts[name] - values).reshape(23, -1), axis=1)
            assert (apart <= 5e-6 * length).all(), (name, size)


def test_other_libraries_names_give_the_same_numbers(opened: Model) -> None:
    given = arrays(3)
    found = features(opened, given, ["features.10", "conv5:pre", "features.11", "conv5", "classifier.5", "dense_2"])
    assert (found["features.10"] == found["conv5:pre"]).all()
    assert (found["features.11"] == found["conv5"]).all()
    assert (found["classifier.5"] == found["dense_2"]).all()
    assert (found["features.10"] < 0).any()


def test_pooling_and_flattening(opened: Model) -> None:
    given = arrays(4)
    whole = features(opened, given, ["conv4"])["conv4"]
    np.testing.assert_array_equal(features(opened, given, ["conv4"], flatten=True)["conv4"], whole.reshape(4, -1))
    mean = features(opened, given, ["conv4"], pool="mean")["conv4"]
    np.testing.assert_allclose(mean, whole.mean((2, 3)), rtol=1e-5)
    np.testing.assert_array_equal(features(opened, given, ["conv4"], pool="max")["conv4"], whole.max((2, 3)))


def test_a_dataset_files_and_arrays_agree(opened: Model, tmp_path: Path) -> None:
    digits = alexnet.dataset("digits").subset(np.arange(6))
    paths = [tmp_path / f"{i}.png" for i in range(6)]
    for i, path in enumerate(paths):
        Image.fromarray(digits[i][0][:, :, 0]).save(path)
    expected = features(opened, digits, ["fc7"])["fc7"]
    for given in (paths, [digits[i][0] for i in range(6)], list(map(str, paths))):
        np.testing.assert_array_equal(features(opened, given, ["fc7"])["fc7"], expected)
    # Which rows a thread multiplies together decides how they round.
    np.testing.assert_allclose(features(opened, paths[::-1], ["fc7"])["fc7"], expected[::-1], rtol=1e-4, atol=1e-5)
    assert features(opened, [], ["fc7", "conv1"])["conv1"].shape == (0, 32, 8, 8)


def test_a_bare_network_gives_features_and_keeps_its_mode(make: Make) -> None:
    network = network_of(make("alexnet-digits"))
    network.train()
    first, second = (alexnet.features(network, arrays(3), ["fc7"])["fc7"] for _ in range(2))
    np.testing.assert_array_equal(first, second)  # no dropout
    assert network.training


def test_a_layer_at_bf16_is_near(opened: Model) -> None:
    given = arrays(4)
    exact, rough = (features(opened, given, ["fc7"], precision=p)["fc7"] for p in ("fp32", "bf16"))
    assert 1e-5 < np.abs(rough - exact).max() / np.abs(exact).max() < 0.1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": ["conv6"]}, "unknown layer 'conv6'; choose one of: conv1, .*fc8:pre .or torchvision's"),
        ({"layers": ["FC7"]}, r"unknown layer 'FC7'; did you mean fc7\? Choose one of: conv1, .*fc8:pre"),
        ({"layers": []}, "at least one layer"),
        ({"layers": ["fc7", "fc7"]}, "asked for twice"),
        ({"layers": "fc7"}, "layers takes a list of strings"),
        ({"pool": "sum"}, "unknown pooling 'sum'; choose one of: none, mean, max"),
        ({"preprocess": "keras"}, "unknown preprocessing"),
        ({"preprocess": "caffe"}, "^preprocessing 'caffe' is for color images; .* takes gray ones"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_what_is_refused(opened: Model, options: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        features(opened, arrays(2), **{"layers": ["fc7"], **options})


def test_images_that_are_none_are_refused(opened: Model, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"broken\.png: not an image"):
        features(opened, [tmp_path / "broken.png"], ["fc7"])
    with pytest.raises(InputError, match="not both"):
        features(opened, [tmp_path / "broken.png", arrays(1)[0]], ["fc7"])
    with pytest.raises(InputError, match="an image is uint8"):
        features(opened, [np.zeros((8, 8))], ["fc7"])
    with pytest.raises(InputError, match="into a list"):
        features(opened, "a.png", ["fc7"])  # pyright: ignore[reportArgumentType]


def test_a_broken_image_among_many_is_reported_and_left_out(opened: Model, tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for i, path in enumerate(paths):
        Image.fromarray(arrays(5)[i][:, :, 0]).save(path)
    paths[3].write_bytes(b"")
    chunks = list(run(opened, sources.of_files(paths), want(opened, ["fc7"]), 2))
    assert [row for chunk in chunks for row in chunk.good] == [0, 1, 2, 4]
    assert [row for chunk in chunks for row, _ in chunk.failed] == [3]
    assert sum(len(chunk.layers["fc7"]) for chunk in chunks) == 4
    alone = features(opened, [paths[4]], ["fc7"])["fc7"]
    np.testing.assert_allclose(chunks[-1].layers["fc7"], alone, rtol=1e-5, atol=1e-6)


# Preprocessing --------------------------------------------------------------------------------------------------------


def test_published_preprocessings(make: Make) -> None:
    caffe, owt = make("alexnet-bvlc", classes=2), make("alexnet-owt", classes=2)
    assert set(CHOICES) == {"own", "thingsvision", "brainscore", "caffe"}
    assert preprocessing_for(owt, "own") is owt.preprocessing
    assert preprocessing_for(owt, "thingsvision") == owt.preprocessing  # both are torchvision's
    squashed = preprocessing_for(owt, "brainscore")
    assert (squashed.fit, squashed.resize, squashed.size) == ("squash", None, (224, 224))
    assert preprocessing_for(caffe, "caffe") == caffe.preprocessing
    assert preprocessing_for(caffe, "thingsvision").size == (227, 227)
    assert preprocessing_for(caffe, "thingsvision").resize == 256
    theirs = preprocessing_for(owt, "caffe")
    assert (theirs.colors, theirs.scale, theirs.mean) == ("BGR", 1.0, (104.0, 117.0, 123.0))


def test_a_preprocessing_that_the_weights_do_not_know_is_reported(make: Make) -> None:
    owt, caffe = make("alexnet-owt", classes=2), make("alexnet-bvlc", classes=2)
    assert mismatch(owt, preprocessing_for(owt, "brainscore")) is None
    assert "BGR for RGB, a range of 255" in (mismatch(owt, preprocessing_for(owt, "caffe")) or "")
    assert "RGB for BGR" in (mismatch(caffe, preprocessing_for(caffe, "thingsvision")) or "")


def test_caffes_mean_image_stays_with_caffes_weights(make: Make) -> None:
    model = make("alexnet-bvlc", classes=2)
    mean = MeanImage(np.full((227, 227, 3), 100, np.float32))
    model.preprocessing = Preprocessing(
        (227, 227), resize=256, fit="squash", colors="BGR", scale=1.0, mean=(104.0, 117.0, 123.0), mean_image=mean
    )
    assert preprocessing_for(model, "caffe").mean_image is mean
    assert preprocessing_for(model, "brainscore").mean_image is None


# Where images lie -----------------------------------------------------------------------------------------------------


def test_folders_files_and_sets_are_images(tmp_path: Path) -> None:
    classed = tmp_path / "classed"
    for name in ("b/2.png", "a/1.png", "a/0.png"):
        (classed / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(classed / name)
    found = sources.open_images([classed])
    assert (found.names, found.labels.tolist(), found.classes) == (
        ("a/0.png", "a/1.png", "b/2.png"),
        [0, 0, 1],
        ("a", "b"),
    )
    flat = sources.open_images([classed / "a"])
    assert (flat.names, flat.labels.tolist()) == (("0.png", "1.png"), [-1, -1])
    files = sources.open_images([classed / "b/2.png", classed / "a/0.png"])
    assert files.names == (str(classed / "b/2.png"), str(classed / "a/0.png"))
    assert len(sources.open_images(["digits"])) == 1797
    for given, said in (
        ([tmp_path / "none"], "no file or folder"),
        ([classed, classed / "a/0.png"], "is a folder"),
        ([], "no image"),
    ):
        with pytest.raises(InputError, match=said):
            sources.open_images(given)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no class folders"):
        sources.open_images([tmp_path / "empty"])


def test_a_split_of_a_folder(tmp_path: Path) -> None:
    for name in ("train/a/0.png", "train/b/1.png", "test/a/2.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(tmp_path / name)
    assert sources.open_images([tmp_path], "test").names == ("test/a/2.png",)
    assert len(sources.open_images([tmp_path])) == 3
    with pytest.raises(InputError, match="no split 'validation'; it has: train, test"):
        sources.open_images([tmp_path], "validation")
