"""Several labels an image through the verbs that look at images and models: what-if, doctor, features, similar, map;
and `predict --copy-to`, `evaluate --corruptions`."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import alexnet
from alexnet.inference.model import load_model


@pytest.fixture
def table(tagged: Any, tmp_path: Path) -> Path:
    """A table that lies beside its images."""
    place = tmp_path / "images"
    shutil.copytree(tagged.images, place)
    return Path(shutil.copy(tagged.table, place / "labels.csv"))


def true_labels(table: Path) -> dict[str, str]:
    """Image → its labels, a | between them."""
    rows = csv.DictReader(table.read_text().splitlines())
    return {row["file"]: "|".join(n for n in ("left", "right", "below") if row[n] == "1") for row in rows}


def test_features_keep_every_images_labels(tagged: Any, table: Path, tmp_path: Path, command: Callable) -> None:
    truth = true_labels(table)
    ended = command("features", tagged.run.path, "--data", table, "--out", tmp_path / "f.npz", "--layers", "fc7")
    assert ended.code == 0, ended.err
    with np.load(tmp_path / "f.npz") as found:
        said = {str(name): str(found["classes"][k]) for name, k in zip(found["names"], found["labels"], strict=True)}
    assert said == {name: labels or "(no label)" for name, labels in truth.items()}  # of all splits
    command("features", tagged.run.path, "--data", table, "--out", tmp_path / "g.csv", "--split", "test")
    rows = list(csv.DictReader((tmp_path / "g.csv").read_text().splitlines()))
    assert {row["name"]: row["label"] for row in rows} == {name: said[name] for name in truth if name >= "120"}


def test_similar_and_map_name_the_labels(tagged: Any, table: Path, tmp_path: Path, command: Callable) -> None:
    truth = true_labels(table)
    query = table.parent / "120.png"
    asked = ("similar", tagged.run.path, query, "--data", table, "--out", tmp_path / "s.png", "--json")
    near = json.loads(command(*asked).out)["images"][0]["neighbors"]
    assert len(near) == 6
    assert all(each["label"] == (truth[each["name"]] or "(no label)") for each in near)
    asked = ("map", tagged.run.path, "--data", table, "--out", tmp_path / "m.png", "--images", 40, "--json")
    points = json.loads(command(*asked).out)["images"]
    assert len(points) == 40
    assert all(each["label"] == (truth[each["path"]] or "(no label)") for each in points)


def test_the_table_may_lie_elsewhere_and_have_a_separator(
    tagged: Any, table: Path, tmp_path: Path, command: Callable, refused: Callable
) -> None:
    truth = {name: labels for name, labels in true_labels(table).items() if labels}
    joined = tmp_path / "joined.csv"
    joined.write_text("file,labels\n" + "".join(f"{name},{labels}\n" for name, labels in truth.items()))
    given = ("--data", tagged.images, "--labels", joined)
    out = ("--out", tmp_path / "f.csv")
    assert "--label-separator '|' reads them so" in refused("features", tagged.run.path, *given, *out)
    given += ("--label-separator", "|")
    assert command("features", tagged.run.path, *given, *out).code == 0
    rows = list(csv.DictReader((tmp_path / "f.csv").read_text().splitlines()))
    order = ("below", "left", "right")  # alphabetical, as of any label column
    assert {row["name"]: set(row["label"].split("|")) for row in rows} == {
        n: set(x.split("|")) for n, x in truth.items()
    }
    assert all(row["label"] == "|".join(each for each in order if each in row["label"].split("|")) for row in rows)
    asked = ("similar", tagged.run.path, tagged.images / "120.png", *given, "--out", tmp_path / "s.png", "--json")
    assert all(each["label"] for each in json.loads(command(*asked).out)["images"][0]["neighbors"])
    asked = ("map", tagged.run.path, *given, "--out", tmp_path / "m.png", "--images", 20, "--json")
    assert all(each["label"] for each in json.loads(command(*asked).out)["images"])
    image = tagged.images / "120.png"
    assert "not for image files" in refused("features", tagged.run.path, "--data", image, "--labels", joined, *out)
    assert "not for digits" in refused("features", tagged.run.path, "--data", "digits", "--labels", joined, *out)
    index = tmp_path / "i.npy"
    asked = ("similar", tagged.run.path, image, "--index", index, "--out", tmp_path / "s.png", "--force")
    assert command(*asked, "--data", tagged.images).code == 0
    assert "are of --data" in refused(*asked, "--labels", joined)


def test_label_sets_of_classes_whose_names_hold_the_sign() -> None:
    targets = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]], np.uint8)
    own, names = alexnet.data.dataset.label_sets(targets, ("a", "b", "a|b"))
    assert [names[k] for k in own] == ['["a", "b"]', '["a|b"]', "[]"]


def test_what_if_gives_labels_by_their_thresholds(tagged: Any, tmp_path: Path, command: Callable) -> None:
    image = tagged.images / "121.png"
    (own,) = alexnet.predict(load_model(tagged.run, several=True), [image], top=3)
    asked = ("what-if", tagged.run.path, image, "--change", "scale=1", "--out", tmp_path / "w.png", "--force")
    found = json.loads(command(*asked, "--json").out)
    assert found["before"]["labels"] == list(own.labels or ())
    scores = {each["label"]: each["score"] for each in found["before"]["predictions"]}
    assert scores == pytest.approx({each.label: each.score for each in own.predictions}, abs=1e-5)
    assert sum(scores.values()) != pytest.approx(1.0, abs=1e-3)  # as softmax would have it
    shown = ", ".join(own.labels or ()) or "(no label)"
    assert f"the unchanged answer is {shown}\n" in command(*asked).out
    assert (tmp_path / "w.png").stat().st_size > 1000


def test_doctor_measures_map(tagged: Any, table: Path, command: Callable, refused: Callable) -> None:
    own = json.loads(command("evaluate", tagged.run.path, "--json").out)
    found = json.loads(command("doctor", tagged.run.path, "--data", table, "--json").out)
    assert found["images"] == 30
    assert found["own"]["top1"] is None
    assert found["own"]["map"] == pytest.approx(own["map"], abs=1e-6)
    assert found["own"]["loss"] == pytest.approx(own["loss"], rel=1e-4)
    said = command("doctor", tagged.run.path, "--data", tagged.images, "--labels", tagged.table, "--images", 9).out
    assert "combinations on 9 images" in said
    assert "mAP" in said
    assert "top-1" not in said
    line = refused("doctor", tagged.run.path, "--data", table.parent, "--features", "--labels", table)
    assert "leave out --labels" in line


def test_corruptions_by_map(tagged: Any, trained: Any, command: Callable, refused: Callable) -> None:
    own = json.loads(command("evaluate", tagged.run.path, "--json").out)
    asked = ("evaluate", tagged.run.path, "--corruptions", "--baseline", tagged.run.path)
    found = json.loads(command(*asked, "--json").out)["robustness"]
    assert found["score"] == "map"
    assert found["clean_error"] == pytest.approx(1 - own["map"], abs=1e-6)
    assert found["mce"] == pytest.approx(1)
    assert np.mean(list(found["errors"].values())) == pytest.approx(found["mean_error"])
    assert found["mean_error"] > found["clean_error"]
    assert "mean 1 − mAP under corruption" in command(*asked, "--corruption-images", 20).out
    assert "their errors do not compare" in refused(*asked[:-1], trained.path)


def test_copy_to_the_folder_of_each_label(tagged: Any, tmp_path: Path, command: Callable) -> None:
    images = [tagged.images / f"{number:03}.png" for number in range(120, 140)]
    said = json.loads(command("predict", tagged.run.path, *images, "--copy-to", tmp_path / "sorted", "--json").out)
    wanted = {(label, Path(each["path"]).name) for each in said for label in each["labels"] or ["(no label)"]}
    found = {(path.parent.name, path.name) for path in (tmp_path / "sorted").glob("*/*")}
    assert found == wanted
    assert any(len(each["labels"]) > 1 for each in said)
