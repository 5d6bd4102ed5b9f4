"""Packed images with the labels of a table: several an image, and groups."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import png

from alexnet.data.loading.stored import Form
from alexnet.data.pack import pack
from alexnet.data.readers.shards import read_shards
from alexnet.data.readers.source import Labels
from alexnet.data.readers.table import list_table
from alexnet.data.sources import list_images, open_splits
from alexnet.errors import InputError

FORM: Form = {"channels": 3, "size": (16, 16), "fit": "crop"}
LABELS = (("square",), ("disc", "square"), (), ("stripe",), ("disc",), ("square", "stripe"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """18 images beside a table whose classes are in no alphabetical order; each patient has three."""
    images = tmp_path / "images"
    images.mkdir()
    lines = ["file,split,patient,square,disc,stripe"]
    for number in range(18):
        (images / f"{number:02}.png").write_bytes(
            png(np.random.default_rng(number).integers(0, 256, (20, 20, 3), np.uint8))
        )
        own = LABELS[(number + number // 6) % 6]
        flags = [str(int(name in own)) for name in ("square", "disc", "stripe")]
        split = "test" if number >= 15 else "train"
        lines.append(",".join([f"{number:02}.png", split, f"p{number // 3}", *flags]))
    path = images / "labels.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def packed(table: Path, out: Path) -> dict[str, Any]:
    return pack(list_images("auto", table, several=True), FORM, out, images=4)


def test_every_image_keeps_its_labels(table: Path, tmp_path: Path) -> None:
    index = packed(table, tmp_path / "out")
    assert [shard["count"] for shard in index["splits"]["train"]] == [4, 4, 4, 3]
    own, read = list_table(table, table.parent), open_splits("auto", tmp_path / "out", validation=None)
    assert read.train.multilabel
    for split, dataset in (("train", read.train), ("test", read.test)):
        assert dataset is not None
        assert dataset.classes == ("square", "disc", "stripe") == own.classes
        assert list(dataset.names) == own.splits[split].names
        np.testing.assert_array_equal(dataset.targets, own.splits[split].labels)
        assert (dataset.targets.sum(1) > 1).any() or split == "test"


def test_any_reader_of_tar_files_finds_a_list_of_labels(table: Path, tmp_path: Path) -> None:
    index = packed(table, tmp_path / "out")
    found = []
    for shard in index["splits"]["train"]:
        with tarfile.open(tmp_path / "out" / shard["file"]) as tar:
            for image, labels in zip(*[iter(tar)] * 2, strict=True):
                assert image.name.removesuffix(".jpg") == labels.name.removesuffix(".json")
                file = tar.extractfile(labels)
                assert file is not None
                found.append(json.loads(file.read()))
    truth = list_table(table, table.parent).splits["train"].labels
    assert found == [np.flatnonzero(row).tolist() for row in truth]


def test_what_a_kill_leaves_is_finished_to_the_byte_and_other_labels_are_not_taken_for_it(
    table: Path, tmp_path: Path
) -> None:
    packed(table, tmp_path / "out")
    whole = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.name != ".lock"}
    for name in ("index.json", "train-000002.tar", "train-000002.json"):
        (tmp_path / "out" / name).unlink()
    packed(table, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.name != ".lock"} == whole
    table.write_text(table.read_text().replace("00.png,train,p0,1,0,0", "00.png,train,p0,1,0,1"))
    with pytest.raises(InputError, match="a pack of other images"):
        packed(table, tmp_path / "out")
    table.write_text(table.read_text().replace("00.png,train,p0,1,0,1", "00.png,train,p9,1,0,0"))
    with pytest.raises(InputError, match="a pack of other images"):
        packed(table, tmp_path / "out")


@pytest.mark.parametrize("several", [True, False])
def test_groups_stay_whole(table: Path, tmp_path: Path, several: bool) -> None:
    if not several:
        lines = table.read_text().splitlines()[1:]
        one = [",".join([*line.split(",")[:3], ("even", "odd")[n % 2]]) for n, line in enumerate(lines)]
        table.write_text("\n".join(["file,split,patient,label", *one]) + "\n")
    packed(table, tmp_path / "out")
    for seed in range(3):
        read = open_splits("auto", tmp_path / "out", validation=0.3, seed=seed)
        straight = open_splits("table", table, validation=0.3, seed=seed, size=(16, 16))
        assert read.validation is not None
        assert straight.validation is not None
        assert read.validation.names == straight.validation.names
        patients = [{int(name[:2]) // 3 for name in part.names} for part in (read.train, read.validation)]
        assert not patients[0] & patients[1]
        assert any("6 groups: validation takes whole groups" in note for note in read.notes)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("labels", [[0], [3], [], [1]], "classes that index.json does not name"),
        ("labels", [[0], [-1], [], [1]], "classes that index.json does not name"),
        ("labels", [[0], [1], []], "does not tell of 4 images"),
        ("labels", [0, 1, 2, 0], "is damaged"),
        ("labels", [[0], ["1x"], [], [1]], "is damaged"),
        ("groups", ["p0"], "does not tell of 4 images"),
    ],
)
def test_a_damaged_list_is_refused(table: Path, tmp_path: Path, key: str, value: Any, said: str) -> None:
    out = tmp_path / "out"
    index = packed(table, out)
    told = json.loads((out / "train-000000.json").read_text())
    (out / "train-000000.json").write_text(json.dumps(told | {key: value}))
    for shard in index["splits"]["train"]:
        del shard["list"]  # as of a pack that was made before these digests
    (out / "index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=said):
        read_shards(out)


def test_what_means_nothing_here_is_refused(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed(table, tmp_path / "out")
    monkeypatch.setattr("alexnet.data.readers.shards.MAX_TARGETS", 53)
    with pytest.raises(InputError, match="18 images with any of 3 labels, more than memory holds"):
        open_splits("auto", tmp_path / "out")
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"first_classes is for images of one class"):
        open_splits("auto", tmp_path / "out", first_classes=2)
    with pytest.raises(InputError, match="leave it out"):
        open_splits("auto", tmp_path / "out", labels=table)
    with pytest.raises(InputError, match="not for caltech256"):
        list_images("caltech256", table.parent, Labels(table))


@pytest.mark.usefixtures("bare")
def test_pack_train_and_evaluate(tagged: Any, tmp_path: Path, command: Callable, refused: Callable) -> None:
    out, small = tmp_path / "packed", ("--set", "model.name=alexnet-digits", "--set", "data.resize=8")
    small += ("--set", "train.least_steps=0", "--set", "train.precision=fp32", "--set", "augment.pca_color=0.0")
    ended = command("pack", "--data", tagged.images, "--labels", tagged.table, "--size", 16, "--out", out)
    assert ended.code == 0, ended.err
    assert "3 columns are the labels: left, right, below" in ended.out
    ended = command("train", "--data", out, "--out", tmp_path / "run", "--epochs", 2, *small)
    assert ended.code == 0, ended.err
    own = json.loads(command("evaluate", tmp_path / "run", "--json").out)
    assert own["count"] == 30
    assert [each["label"] for each in own["per_class"]] == ["left", "right", "below"]
    there = json.loads(command("evaluate", tagged.run.path, "--json").out)
    packed = json.loads(command("evaluate", tagged.run.path, "--data", out, "--json").out)
    assert [each["support"] for each in packed["per_class"]] == [each["support"] for each in there["per_class"]]
    assert packed["map"] == pytest.approx(there["map"], abs=0.1)  # JPEG copies
    assert "leave it out" in refused("evaluate", tagged.run.path, "--data", out, "--labels", tagged.table)
    assert "not for imagenet" in refused(
        "pack", "--data", tagged.images, "--labels", tagged.table, "--format", "imagenet", "--out", tmp_path / "no"
    )
    assert not (tmp_path / "no").exists()
