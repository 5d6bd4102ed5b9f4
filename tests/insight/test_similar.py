"""Nearest images: exact against brute force, the same from an index, and only for the model that it belongs to."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import alexnet
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.inference import opening
from alexnet.inference.features import features
from alexnet.inference.images import of_arrays, of_dataset
from alexnet.inference.opening import Opened, open_model
from alexnet.insight import similar as search
from alexnet.insight.similar import Index, Nearest, build, similar


@pytest.fixture(scope="module")
def ready(trained: Run) -> Opened:
    return open_model(trained.path)


@pytest.fixture(scope="module")
def digits():
    return alexnet.dataset("digits").subset(np.arange(120))


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_the_search_is_exact(distance: str) -> None:
    """Also among rows that float32's matrix product cannot tell apart, added in blocks of any size."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((300, 64)).astype(np.float32) + 30
    rows[100:140] = rows[7] + 1e-4 * random.standard_normal((40, 64)).astype(np.float32)
    queries = np.stack([rows[7], rows[200] + 0.5])
    found = []
    for sizes in ([300], [1, 50, 120, 129], [10] * 30):
        nearest, start = Nearest(queries, 12, distance), 0
        for size in sizes:
            nearest.add(rows[start : start + size], range(start, start + size))
            start += size
        found.append(nearest.result())
    assert found[0] == found[1] == found[2]
    for query, each in zip(queries, found[0], strict=True):
        q, x = query.astype(np.float64), rows.astype(np.float64)
        if distance == "cosine":
            expected = 1 - x @ q / np.linalg.norm(x, axis=1) / np.linalg.norm(q)
        else:
            expected = np.linalg.norm(x - q, axis=1)
        np.testing.assert_allclose(
            [d for _, d in each], np.sort(expected)[:12], atol=2e-6 if distance == "cosine" else 0
        )
        if distance == "euclidean":
            assert [row for row, _ in each] == np.argsort(expected, kind="stable")[:12].tolist()


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e19, 1e300])
def test_features_without_a_distance_are_refused(distance: str, value: float) -> None:
    """Their rows would be among no neighbors, or among all."""
    rows = np.ones((5, 3))
    rows[3, 1] = value
    with pytest.raises(InputError, match=r"row 3: features that are not finite, or above 3e18"):
        Nearest(rows, 2, distance)
    with pytest.raises(InputError, match=r"row 3: "):
        Nearest(rows[:1], 2, distance).add(rows, range(5))
    large = Nearest(np.full((1, 3), 1e18), 1, distance)
    large.add(np.array([[-1e18] * 3, [1e18] * 3]), [0, 1])
    assert large.result() == [[(1, 0.0)]]


def test_images_are_found_streamed_and_from_an_index_alike(ready: Opened, digits, tmp_path: Path) -> None:
    images = of_dataset(digits)
    query = of_arrays([digits[5][0], 255 - digits[9][0]])
    found, failed = similar(ready, query, images, 4)
    values = features(ready.model, digits, ["fc7"])["fc7"].astype(np.float64)
    expected = np.argsort(np.linalg.norm(values - values[5], axis=1))
    assert [each.row for each in found[0]] == expected[1:5].tolist()  # the query itself is left out
    assert (len(found[1]), failed) == (4, [])
    assert found[0][0].label == digits.classes[digits.labels[expected[1]]]
    assert build(ready, images, tmp_path / "i.npy") == ()
    index = Index.load(tmp_path / "i.npy", ready)
    assert isinstance(index.features.layers["fc7"], np.memmap)
    again = index.similar(query, 4)
    assert [[each.row for each in row] for row in again] == [[each.row for each in row] for row in found]
    assert again[0][0].distance == pytest.approx(found[0][0].distance, rel=1e-4)
    # Plain arrays, as Python passes them, have contents too: the query itself is left out.
    assert index.similar([digits[5][0], 255 - digits[9][0]], 4) == again


def test_an_index_holds_what_was_done_to_its_rows(ready: Opened, digits, tmp_path: Path) -> None:
    from alexnet.inference.extract import extract
    from alexnet.inference.features import want
    from alexnet.inference.rows import Transform

    wanted = want(ready.model, ["conv5", "fc7"], pool="mean")
    extract(ready, of_dataset(digits), wanted, tmp_path / "t.npz", transform=Transform(center=True, pca=8, l2=True))
    index = Index.load(tmp_path / "t.npz", ready, "conv5")
    described, _ = index.describe(of_arrays([digits[5][0]]))
    np.testing.assert_allclose(described[0], index.features.layers["conv5"][5], atol=1e-5)
    assert index.search(described, 1)[0][0].row == 5


def test_an_index_of_something_else_is_refused(ready: Opened, digits, tmp_path: Path) -> None:
    build(ready, of_dataset(digits), tmp_path / "i.npy")
    other = Opened(ready.model, {"file": "x", "sha256": "0" * 64})
    with pytest.raises(InputError, match="made with other weights"):
        Index.load(tmp_path / "i.npy", other)
    record = json.loads((tmp_path / "i.npy.json").read_text())
    record["provenance"]["lrn"] = []
    (tmp_path / "l.npy").write_bytes((tmp_path / "i.npy").read_bytes())
    (tmp_path / "l.npy.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="other LRN constants"):
        Index.load(tmp_path / "l.npy", ready)
    with pytest.raises(InputError, match="no layer 'fc6'"):
        Index.load(tmp_path / "i.npy", ready, "fc6")
    np.save(tmp_path / "bare.npy", np.zeros((3, 4), np.float32))
    with pytest.raises(InputError, match="does not say where"):
        Index.load(tmp_path / "bare.npy", ready)
    values = np.load(tmp_path / "i.npy")
    values[3, 3] += 1
    np.save(tmp_path / "i.npy", values)
    with pytest.raises(InputError, match="SHA-256 of fc7 does not fit"):
        Index.load(tmp_path / "i.npy", ready)


def test_an_index_of_other_images_is_refused(
    trained: Run, digits, tmp_path: Path, command: Callable[..., Any], refused: Callable[..., str]
) -> None:
    """Whatever is given with --data: it answered from the old images, silently."""
    images, flat = tmp_path / "images", tmp_path / "flat"
    for number in range(12):
        for place in (images / digits.classes[number % 2] / f"{number}.png", flat / f"{number}.png"):
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(digits[number][0][:, :, 0]).save(place)
    lines = [f"{number}.png,{digits.classes[number % 2]},{'train' if number < 8 else 'test'}" for number in range(12)]
    (tmp_path / "t.csv").write_text("image,label,split\n" + "\n".join(lines))
    wrong = [lines[0].replace(",0,", ",1,"), *lines[1:]]
    (tmp_path / "wrong.csv").write_text("image,label,split\n" + "\n".join(wrong))
    query, index = flat / "3.png", ("--index", tmp_path / "i.npz", "--count", 3, "--layer", "fc6", "--json")
    asked = ("similar", trained.path, query, *index, "--out", tmp_path / "s.png")
    table = ("--data", flat, "--labels", tmp_path / "t.csv")
    first = command(*asked, *table)
    again = command("similar", trained.path, query, *index, *table, "--out", tmp_path / "again.png")
    assert (first.code, again.code) == (0, 0)
    assert json.loads(again.out)["images"] == json.loads(first.out)["images"]
    assert command("similar", trained.path, query, *index, "--data", flat, "--out", tmp_path / "f.png").code == 0
    asked = (*asked[:-1], tmp_path / "other.png")
    assert refused(*asked, *table, "--split", "test").endswith(
        "was made of other images: it has 12 images, these are 4; leave out --data, name another file, or --force\n"
    )
    assert "--split, --labels and --label-separator are of --data" in refused(*asked, "--split", "test")
    assert "' is not among these; leave out --data" in refused(*asked, "--data", images)
    told = refused(*asked, "--data", flat, "--labels", tmp_path / "wrong.csv")
    assert "'0.png' is of class '0' in it, of '1' in these" in told
    Image.fromarray(255 - digits[7][0][:, :, 0]).save(flat / "7.png")
    assert "'7.png' has changed since" in refused(*asked, *table)
    assert not (tmp_path / "other.png").exists()
    forced = command(*asked, *table, "--split", "test", "--force")
    assert {each["name"] for each in json.loads(forced.out)["images"][0]["neighbors"]} <= {
        f"{n}.png" for n in range(8, 12)
    }
    assert command(*asked, *table, "--split", "test", "--force").code == 0
    (images / "0" / "broken.png").write_bytes(b"broken")
    # An image that could not be read has no row; once it can be, the images are others.
    index = ("--index", tmp_path / "b.npz", "--data", images, "--out", tmp_path / "b.png", "--count", 3, "--force")
    assert [command("similar", trained.path, query, *index).code for _ in range(2)] == [3, 0]
    (images / "0" / "broken.png").write_bytes((flat / "3.png").read_bytes())
    assert "'0/broken.png' has changed since" in refused("similar", trained.path, query, *index[:4])


def test_faiss_finds_nearly_the_same(ready: Opened, digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, query = of_dataset(digits), of_arrays([digits[5][0]])
    build(ready, images, tmp_path / "i.npy")
    index = Index.load(tmp_path / "i.npy", ready)
    monkeypatch.setattr(search, "MOST_EXACT", 100)
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(InputError, match=r"pip install 'alexnet\[index\]'"):
        index.similar(query)
    exact = index.similar(query, 5, how="exact")
    monkeypatch.undo()
    pytest.importorskip("faiss", reason="needs: pip install 'alexnet[index]'")
    for distance in search.DISTANCES:
        exact = index.similar(query, 5, distance, "exact")
        assert index.similar(query, 5, distance, "faiss") == exact  # three cells, all of which are searched


def test_the_verb_writes_a_sheet_and_an_index(trained: Run, digits, tmp_path: Path, command: Callable) -> None:
    for number in range(12):
        place = tmp_path / "images" / digits.classes[digits.labels[number]] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits[number][0][:, :, 0]).save(place)
    query, out = tmp_path / "images" / digits.classes[digits.labels[10]] / "10.png", tmp_path / "s.png"
    (tmp_path / "images" / "0" / "broken.png").write_bytes(b"broken")
    data = ("--data", tmp_path / "images")
    ended = command("similar", trained.path, query, *data, "--count", 3, "--out", out, "--json")
    assert ended.code == 3
    assert "broken.png: not an image" in ended.err
    said = json.loads(ended.out)
    near = said["images"][0]["neighbors"]
    assert len(near) == 3
    assert all("10.png" not in each["name"] for each in near)
    with Image.open(out) as drawn:
        assert drawn.width > 400
    index = ("--index", tmp_path / "i.npy", "--count", 3)
    first = command("similar", trained.path, query, *data, *index, "--out", out, "--force")
    assert (first.code, "skipped" in first.err) == (3, True)
    again = command("similar", trained.path, query, *index)
    assert again.code == 0
    assert again.out.endswith("no picture: it needs --data, the images of the index\n")
    assert again.out.splitlines()[:4] == first.out.splitlines()[:4]


def test_wrong_requests_are_one_line(trained: Run, tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "give --data" in refused("similar", trained.path, "x.png")
    assert "no such file" in refused("similar", trained.path, tmp_path / "x.png", "--data", "digits")
    assert "unknown layer 'fc9'" in refused("similar", trained.path, "x.png", "--data", "digits", "--layer", "fc9")
    assert "unknown distance" in refused("similar", trained.path, "x.png", "--data", "digits", "--distance", "l1")


def test_untrained_layers_are_said(ready: Opened) -> None:
    partial = Opened(ready.model, {}, None, ("fc7", "fc8"))
    assert opening.untrained(partial, ["conv5"]) is None
    assert "reach fc7: these features mean nothing" in (opening.untrained(partial, ["conv5", "fc7"]) or "")
