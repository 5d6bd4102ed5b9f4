"""Packed shards: what any reader of tar files sees, what a kill leaves, and images in whatever order is asked for."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import png
from PIL import Image

from alexnet.data import dataset as sets
from alexnet.data.dataset import ArrayDataset
from alexnet.data.loading.containers import READ
from alexnet.data.loading.decode import decode
from alexnet.data.loading.stored import Form, StoredDataset
from alexnet.data.pack import pack, shuffled
from alexnet.data.readers.folder import list_folder
from alexnet.data.readers.shards import read_shards
from alexnet.data.sources import open_splits, recognize
from alexnet.errors import InputError
from alexnet.files import lock

FORM: Form = {"channels": 3, "size": (16, 16), "fit": "crop"}
Maker = Callable[..., Path]


@pytest.fixture
def source(folder: Maker) -> Path:
    return folder("train/cat", "train/dog", "val/cat", "val/dog", count=5)


def packed(source: Path, out: Path, **more: Any) -> dict[str, Any]:
    return pack(list_folder(source), FORM, out, images=4, **more)


def content(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != ".lock"}


def test_any_reader_of_tar_files_reads_them(source: Path, tmp_path: Path) -> None:
    index = packed(source, tmp_path / "out")
    assert [shard["count"] for shard in index["splits"]["train"]] == [4, 4, 2]
    assert json.loads((tmp_path / "out" / "index.json").read_text()) == index
    originals = list_folder(source).splits["train"]
    samples: list[dict[str, bytes]] = []
    for shard in index["splits"]["train"]:
        path = tmp_path / "out" / shard["file"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == shard["sha256"]
        with tarfile.open(path) as tar:
            for member in tar:  # WebDataset's rule: neighbors with the same name up to the dot are one sample
                key, _, kind = member.name.partition(".")
                if not samples or samples[-1]["key"] != key.encode():
                    samples.append({"key": key.encode()})
                file = tar.extractfile(member)
                assert file is not None
                samples[-1][kind] = file.read()
    assert [int(one["cls"]) for one in samples] == originals.labels.tolist()
    for one, name in zip(samples, originals.names, strict=True):
        image = Image.open(io.BytesIO(one["jpg"]))
        assert (image.format, image.size, image.mode) == ("JPEG", (16, 16), "RGB")
        wanted = decode(source / name, 3, (16, 16)).astype(int)
        assert np.abs(np.asarray(image) - wanted).mean() < 40  # noise, which JPEG keeps worst of all


def test_what_was_packed_is_read_back_in_any_order(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed(source, tmp_path / "out")
    for place in (tmp_path / "out", tmp_path / "out" / "index.json"):
        assert recognize(place) == "shards"
    held = read_shards(tmp_path / "out").splits
    monkeypatch.setattr(sets, "MEMORY_LIMIT", 0)
    splits = open_splits("auto", tmp_path / "out", size=(12, 12), resize=16)
    by_name = open_splits("folder", tmp_path / "out", size=(12, 12), resize=16)
    assert (by_name.name, by_name.train.fingerprint) == ("shards", splits.train.fingerprint)
    train = splits.train
    assert isinstance(held["train"], ArrayDataset)
    assert isinstance(train, StoredDataset)
    assert splits.validation is not None
    assert (len(train), len(splits.validation), train.classes) == (10, 10, ("cat", "dog"))
    assert train.names[5] == "train/dog/000.png"
    assert train.fingerprint == held["train"].fingerprint
    order = np.array([9, 0, 3, 9])
    assert np.array_equal(train.batch(order), held["train"].images[order])
    assert np.array_equal(train.subset(order).batch(np.array([2])), train.batch(order[2:3]))
    assert read_shards(tmp_path / "out", channels=1, size=(8, 10)).splits["train"].batch(order).shape == (4, 8, 10, 1)
    only = read_shards(tmp_path / "out", first_classes=1).splits["validation"]
    assert (only.classes, len(only)) == (("cat",), 5)


def test_a_kill_loses_at_most_a_shard_and_changes_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed(source, tmp_path / "whole")
    out = tmp_path / "out"
    replace = os.replace

    def kill(name: str, path: Path) -> None:
        if Path(path).name == "train-000001.tar":
            raise KeyboardInterrupt
        replace(name, path)

    monkeypatch.setattr(os, "replace", kill)
    with pytest.raises(KeyboardInterrupt):
        packed(source, out)
    monkeypatch.setattr(os, "replace", replace)
    # The list comes before the shard: one that has none is none of ours.
    assert content(out).keys() == {"train-000000.tar", "train-000000.json", "train-000001.json"}
    (out / ".train-000001.tar.x.tmp").write_bytes(b"half")  # what SIGKILL leaves
    times = (out / "train-000000.tar").stat().st_mtime_ns
    packed(source, out)
    assert content(out) == content(tmp_path / "whole")
    assert (out / "train-000000.tar").stat().st_mtime_ns == times
    packed(source, out)
    assert content(out) == content(tmp_path / "whole")
    (out / "train-000000.tar").write_text("mine")
    with pytest.raises(InputError, match=r"train-000000\.tar was changed since it was packed; remove it"):
        packed(source, out)
    assert (out / "train-000000.tar").read_text() == "mine"


def test_unreadable_images_are_left_out_and_named(source: Path, tmp_path: Path) -> None:
    (source / "train" / "cat" / "001.png").write_text("text")
    index = packed(source, tmp_path / "out")
    assert index["left_out"] == [["train/cat/001.png", f"not an image ({READ})"]]
    train = read_shards(tmp_path / "out").splits["train"]
    assert (len(train), train.names[1]) == (9, "train/cat/002.png")
    for index in range(5):
        (source / "train" / "cat" / f"{index:03}.png").write_text("text")
    with pytest.raises(InputError, match=r"of 20 images in .* cannot be read, too many"):
        packed(source, tmp_path / "other")


def test_other_images_and_other_files_in_the_folder_are_refused(source: Path, tmp_path: Path) -> None:
    packed(source, tmp_path / "out")
    with pytest.raises(InputError, match="holds a pack of other images or of another size"):
        pack(list_folder(source), {**FORM, "size": (8, 8)}, tmp_path / "out", images=4)
    (source / "train" / "cat" / "000.png").write_bytes((source / "train" / "cat" / "000.png").read_bytes() + b"x")
    with pytest.raises(InputError, match="holds a pack of other images"):
        packed(source, tmp_path / "out")
    with pytest.raises(InputError, match=r"holds something else \(train\)"):
        packed(source, source)


def test_shards_that_were_changed_are_told(source: Path, tmp_path: Path) -> None:
    def said() -> str:
        with pytest.raises(InputError) as caught:
            read_shards(out)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    out = tmp_path / "out"
    packed(source, out)
    whole = content(out)
    told = json.loads(whole["train-000000.json"])
    changes = {
        "tells of images outside the shard": {"offsets": [2**40, 0, 0, 0]},
        "does not tell of 4 images": {"labels": [0]},
        "is damaged": {"digests": "???"},
        "tells of classes that": {"labels": [0, 0, 0, 2]},
    }
    for message, change in changes.items():
        changed = json.dumps(told | change).encode()
        (out / "train-000000.json").write_bytes(changed)
        (out / "index.json").write_bytes(whole["index.json"])
        assert "train-000000.json: it was changed since it was packed" in said()
        index = json.loads(whole["index.json"])
        index["splits"]["train"][0]["list"]["sha256"] = hashlib.sha256(changed).hexdigest()
        (out / "index.json").write_text(json.dumps(index))
        assert message in said()
    (out / "index.json").write_bytes(whole["index.json"])
    (out / "train-000000.json").write_bytes(whole["train-000000.json"])
    (out / "train-000001.tar").write_bytes(b"short")
    assert "train-000001.tar: it is missing or was changed" in said()
    (out / "index.json").write_text('{"kind": "alexnet-shards", "version": 99}')
    assert "another version" in said()
    (out / "index.json").write_text('{"kind": "alexnet-shards", "version": 1}')
    assert "is damaged (KeyError: 'classes')" in said()
    (out / "index.json").write_text("{")
    assert "no packed images" in said()


def test_gray_images_are_packed_gray(source: Path, tmp_path: Path) -> None:
    pack(list_folder(source), {"channels": 1, "size": (16, 16), "fit": "squash"}, tmp_path / "out")
    train = read_shards(tmp_path / "out").splits["train"]
    assert (train.channels, train[0][0].shape) == (1, (16, 16, 1))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("index.json", "precious"),
        ("index.json", "{}"),
        ("train-000000.json", "[]"),
        ("train-000000.tar", "a shard of somebody else's"),
        (".thesis.tmp", "chapter 1"),
    ],
)
def test_a_file_of_the_users_with_a_name_of_ours_is_not_overwritten(
    source: Path, tmp_path: Path, name: str, content: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text(content)
    with pytest.raises(InputError, match=f"holds something else \\({name}\\)"):
        packed(source, out)
    assert (out / name).read_text() == content


def test_two_packs_into_one_folder_do_not_meet(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    packed(source, out)
    whole = content(out)
    (out / "index.json").unlink()
    (out / "train-000001.tar").unlink()
    with lock(out), pytest.raises(InputError, match=f"'{out}' is in use by process {os.getpid()}"):
        packed(source, out)
    packed(source, out)
    assert content(out) == whole


def test_deep_samples_are_spread_over_the_range_of_all_images(tmp_path: Path) -> None:
    for name, value in (("dark", 100), ("light", 900)):
        for index in range(3):
            path = tmp_path / "deep" / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(np.full((20, 20), value, np.uint16)))
    index = pack(list_folder(tmp_path / "deep"), FORM, tmp_path / "out")
    assert tuple(index["samples"]) == (0, 1023)
    splits = open_splits(None, tmp_path / "out", size=(8, 8), validation=None)
    assert splits.samples == (0, 1023)
    images = splits.train.batch(np.arange(6))
    assert abs(int(images[0].mean()) - 25) < 3
    assert abs(int(images[5].mean()) - 224) < 3


def test_shuffled_training_images_put_every_class_into_each_shard(folder: Maker, tmp_path: Path) -> None:
    source = folder("train/cat", "train/dog", "val/cat", "val/dog", count=20)
    pack(list_folder(source), FORM, tmp_path / "listed", images=10)
    pack(shuffled(list_folder(source)), FORM, tmp_path / "shuffled", images=10)
    pack(shuffled(list_folder(source)), FORM, tmp_path / "again", images=10)
    assert content(tmp_path / "again") == content(tmp_path / "shuffled")

    def labels(place: str, split: str) -> list[set[int]]:
        index = json.loads((tmp_path / place / "index.json").read_text())
        files = [tmp_path / place / each["file"] for each in index["splits"][split]]
        return [set(json.loads(each.with_suffix(".json").read_text())["labels"]) for each in files]

    assert labels("listed", "train") == [{0}, {0}, {1}, {1}]
    assert labels("shuffled", "train") == [{0, 1}] * 4
    assert labels("shuffled", "validation") == labels("listed", "validation") == [{0}, {0}, {1}, {1}]
    read = [read_shards(tmp_path / place).splits["train"] for place in ("listed", "shuffled")]
    one, other = ({name: (split[i][0].tobytes(), split[i][1]) for i, name in enumerate(split.names)} for split in read)
    assert one == other
    assert len(one) == 40
