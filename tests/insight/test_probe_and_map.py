"""Probes read what is there and nothing where there is nothing; a map puts alike images side by side."""

import base64
import hashlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import alexnet
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.inference.features import want
from alexnet.inference.images import Images, of_arrays, of_dataset, of_files, open_parts
from alexnet.inference.model import Model
from alexnet.insight import embed
from alexnet.insight.collect import collect
from alexnet.insight.probe import _nearest, probe
from alexnet.pages import map as pages
from alexnet.pages.map import Point, Sheet


@pytest.fixture(scope="module")
def digits():
    return alexnet.dataset("digits").subset(np.arange(200))


def test_a_trained_layer_is_read_and_shuffled_labels_are_not(opened: Model, digits) -> None:
    images, held_out = of_dataset(digits.subset(np.arange(120))), of_dataset(digits.subset(np.arange(120, 200)))
    found = probe(opened, images, held_out, ["conv1", "fc7"])
    first, last = found.layers
    assert (found.trained_on, found.measured_on, found.folds) == (120, 80, 0)
    assert (first.width, last.width) == (32, 128)
    assert min(last.linear, last.knn) > 0.7
    assert last.linear_interval[0] < last.linear < last.linear_interval[1]
    labels = np.random.default_rng(0).permutation(images.labels)
    shuffled = Images(images.names, images.read, labels, images.classes)
    chance = probe(opened, shuffled, held_out, ["fc7"]).layers[0]
    assert max(chance.linear, chance.knn) < 0.35


def test_neighbors_and_probe_are_what_scikit_learn_finds(opened: Model, digits) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    images, held_out = of_dataset(digits.subset(np.arange(120))), of_dataset(digits.subset(np.arange(120, 200)))
    a, b = (collect(opened, each, want(opened, ["fc7"])).layers["fc7"] for each in (images, held_out))
    theirs = KNeighborsClassifier(1, metric="cosine").fit(a, images.labels).score(b, held_out.labels)
    assert probe(opened, images, held_out, ["fc7"], neighbors=1).layers[0].knn == pytest.approx(theirs)


def test_most_of_the_nearest_decide_and_of_equally_many_the_nearest() -> None:
    angles = np.radians([0.0, 10.0, 20.0, 30.0, 90.0])
    train, labels = np.stack([np.cos(angles), np.sin(angles)], 1), np.array([7, 4, 4, 7, 9])
    ask = np.array([[1.0, 0.01]])
    assert [int(_nearest(train, labels, ask, k)[0]) for k in (1, 2, 3, 4)] == [7, 7, 4, 7]


def test_without_a_test_split_each_image_is_measured_once(opened: Model, digits, tmp_path: Path) -> None:
    found = probe(opened, of_dataset(digits), None, ["fc7"])
    assert (found.folds, found.measured_on, found.trained_on) == (5, 200, 160)
    assert found.layers[0].linear > 0.8
    for row in range(20):
        place = tmp_path / "set" / ("train" if row < 12 else "val") / str(digits.labels[row]) / f"{row}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits[row][0][:, :, 0]).save(place)
    train, test = open_parts([tmp_path / "set"])
    assert test is not None
    assert (len(train), len(test)) == (12, 8)
    assert open_parts(["digits"])[1] is None
    Image.fromarray(digits[0][0][:, :, 0]).save(tmp_path / "one.png")
    assert open_parts([tmp_path / "one.png"])[1] is None


def test_what_cannot_be_probed_is_one_line(opened: Model, digits, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Images(("a", "b"), lambda row, how: (np.zeros((8, 8, 1), np.uint8), b""), np.zeros(2, np.int64), ("0",))
    with pytest.raises(InputError, match="two classes or more"):
        probe(opened, one)
    with pytest.raises(InputError, match="these images come without classes: give a folder"):
        probe(opened, of_arrays([digits[0][0]] * 4))
    with pytest.raises(InputError, match="400 neighbors are not among 160"):
        probe(opened, of_dataset(digits), neighbors=400)
    with pytest.raises(InputError, match="0 of 1 image can be read"):
        collect(opened, of_files(["nowhere.png"]), want(opened, ["fc7"]))
    monkeypatch.setattr("alexnet.insight.collect.MOST", 1000)
    with pytest.raises(InputError, match=r"held in memory \(7 images\)"):
        collect(opened, of_dataset(digits), want(opened, ["fc7"]))


@pytest.mark.parametrize("method", embed.METHODS)
def test_alike_images_lie_side_by_side(opened: Model, digits, method: str) -> None:
    if method == "umap":
        pytest.importorskip("umap", reason="needs: pip install umap-learn")
    found = embed.lay_out(opened, of_dataset(digits), "fc7", method, most=100)
    assert found.points.shape == (100, 2)
    assert (found.points.min(), found.points.max()) == (0, 1)
    distance = np.linalg.norm(found.points[:, None] - found.points[None], axis=2) + 9 * np.eye(100)
    labels = found.images.labels
    assert (labels[distance.argmin(1)] == labels).mean() > 0.6
    again = embed.lay_out(opened, of_dataset(digits), "fc7", method, most=100)
    np.testing.assert_array_equal(again.points, found.points)
    with pytest.raises(InputError, match="4 images or more"):
        embed.lay_out(opened, of_arrays([digits[0][0]] * 3))


def test_umap_or_the_line_that_names_it(opened: Model, digits, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "umap", None)
        with pytest.raises(InputError, match=r"pip install 'alexnet\[maps\]'"):
            embed.lay_out(opened, of_dataset(digits), method="umap")
    with pytest.raises(InputError, match="unknown method 'pca'"):
        embed.lay_out(opened, of_dataset(digits), method="pca")


def test_a_page_is_whole_and_hostile_names_stay_text() -> None:
    evil = "</script><script>alert(1)</script>\"'&"
    sheet = Sheet(evil, evil, [Point(0.5, 0.5, evil, evil, "#000000")], [(evil, "#000000")], b"\xff\xd8\xff", 48, 1)
    text = pages.render(sheet)
    assert "alert(1)</script>" not in text
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", text, re.DOTALL)
    assert [kind for kind, _ in scripts] == [' type="application/json" id="data"', ""]
    assert json.loads(scripts[0][1])["points"][0]["name"] == evil
    digest = base64.b64encode(hashlib.sha256(scripts[1][1].encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert policy[1].replace("&#39;", "'").endswith(f"script-src 'sha256-{digest}'")
    assert policy[1].startswith("default-src 'none'")
    assert "http" not in text.replace('http-equiv="Content-Security-Policy"', "")


def test_the_verbs(trained: Run, tmp_path: Path, command: Callable, refused: Callable[..., str]) -> None:
    out = tmp_path / "p.png"
    ended = command("probe", trained.path, "--data", "digits", "--layers", "fc6,fc7", "--images", 60, "--out", out)
    assert ended.code == 0
    assert re.search(r"fc7 +128 +\d\d\.\d\d%", ended.out)
    asked = ("map", trained.path, "--data", "digits", "--images", 40, "--out", out, "--force")
    said = json.loads(command(*asked, "--json").out)
    assert (len(said["images"]), said["page"]) == (40, str(tmp_path / "p.html"))
    assert (tmp_path / "p.html").read_text().count("data:image/jpeg") == 1
    with Image.open(out) as drawn:
        assert drawn.width > 800
    assert "--out is the PNG" in refused("map", trained.path, "--data", "digits", "--out", tmp_path / "m.html")
    assert "no file or folder" in refused("probe", trained.path, "--data", tmp_path / "nothing")
