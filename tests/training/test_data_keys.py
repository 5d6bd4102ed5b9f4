"""Each key of `data` reaches the images that train: what the recipe says is what the step gets."""

import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from alexnet.artifacts.run import Run
from alexnet.recipes import recipe as recipes
from alexnet.training.loop import Trainer
from alexnet.training.reporter import Reporter
from alexnet.training.setup import Setup, prepare


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Caltech-256's layout: three classes of eight images of 16 × 24 pixels, and a table of other labels for them."""
    draws, root = np.random.default_rng(0), tmp_path / "256_ObjectCategories"
    rows = ["file,label"]
    for number, name in enumerate(("ak47", "american-flag", "backpack"), 1):
        folder = root / f"{number:03}.{name}"
        folder.mkdir(parents=True)
        for index in range(1, 9):
            file = folder / f"{number:03}_{index:04}.jpg"
            Image.fromarray(draws.integers(0, 256, (16, 24), np.uint8)).save(file, "JPEG", quality=100)
            rows.append(f"{file.relative_to(root)},{'odd' if index % 2 else 'even'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


def prepared(root: Path, name: str = "caltech256", **data: Any) -> Setup:
    changes = {"data.name": name, "data.resize": 10, "data.validation": 0.25, "train.batch_size": 4}
    return prepare(recipes.load("digits", changes | {f"data.{key}": value for key, value in data.items()}), root, "cpu")


def pixels(setup: Setup) -> np.ndarray:
    return setup.train.dataset.batch(np.arange(len(setup.train.dataset)))


def test_how_images_are_resized(images: Path) -> None:
    plain = prepared(images)
    squashed, aliased = prepared(images, fit="squash"), prepared(images, antialias=False)
    assert plain.train.dataset.names == squashed.train.dataset.names == aliased.train.dataset.names
    assert pixels(plain).shape == pixels(aliased).shape == (18, 10, 10, 1)
    for other in (squashed, aliased):
        assert np.abs(pixels(other).astype(int) - pixels(plain)).max() > 20
    assert (squashed.preprocessing.fit, aliased.preprocessing.antialias) == ("squash", False)
    # Plain bilinear, 16 × 24 squashed to 8 × 8: the mean of two rows in the middle one of three columns.
    own = prepared(images, fit="squash", antialias=False, resize=8)
    array = np.asarray(Image.open(images / own.train.dataset.names[0]), float)
    assert np.abs(pixels(own)[0, :, :, 0] - (array[::2, 1::3] + array[1::2, 1::3]) / 2).max() <= 1


def test_which_images_train(images: Path) -> None:
    assert prepared(images, first_classes=2).train.dataset.classes == ("001.ak47", "002.american-flag")
    first = prepared(images, first_images=10)
    assert len(first.train.dataset) + len(first.validation.dataset) == 10
    assert np.bincount(np.r_[first.train.dataset.labels, first.validation.dataset.labels]).tolist() == [8, 2]
    some = prepared(images, per_class=4)
    assert (len(some.train.dataset) + len(some.validation.dataset), len(some.test or ())) == (12, 12)
    half = prepared(images, train_images=16, validation="test")
    assert (len(half.train.dataset), len(half.test or ())) == (16, 8)


def test_where_labels_come_from(images: Path) -> None:
    table = prepared(images, "table", labels=str(images.parent / "labels.csv"))
    assert table.train.dataset.classes == ("even", "odd")
    for name, label in zip(table.train.dataset.names, table.train.dataset.labels, strict=True):
        assert int(Path(name).stem[-1]) % 2 == label


def test_how_several_labels_an_image_are_written(images: Path) -> None:
    files = sorted(str(each.relative_to(images)) for each in images.rglob("*.jpg"))
    joined, columns = images.parent / "joined.csv", images.parent / "columns.csv"
    said = [["odd" if i % 2 else "even", *(["third"] if i % 3 == 0 else [])] for i in range(len(files))]
    rows = zip(files, said, strict=True)
    joined.write_text("file,label\n" + "".join(f"{file},{';'.join(labels)}\n" for file, labels in rows))
    names = ("third", "odd", "even")
    table = "".join(
        f"{file},{','.join(str(int(name in labels)) for name in names)},7\n"
        for file, labels in zip(files, said, strict=True)
    )
    columns.write_text(f"file,{','.join(names)},note\n{table}")
    for found, classes in (
        (prepared(images, "table", labels=str(joined), label_separator=";"), ("even", "odd", "third")),
        (prepared(images, "table", labels=str(columns), label_columns=list(names)), names),
    ):
        dataset = found.train.dataset
        assert dataset.classes == classes
        for file, row in zip(dataset.names, dataset.targets, strict=True):
            assert {classes[i] for i in np.flatnonzero(row)} == set(said[files.index(file)])


def test_how_a_folder_is_read(tmp_path: Path, images: Path) -> None:
    for split in ("train", "test"):
        shutil.copytree(images, tmp_path / "both" / split)
    assert len(prepared(tmp_path / "both", "folder").train.dataset.classes) == 3
    assert prepared(tmp_path / "both", "folder", layout="classes").train.dataset.classes == ("test", "train")


def test_samples_of_more_than_8_bits_are_spread_over_the_range_of_the_recipe(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for index in range(4):
            deep = np.full((16, 16), 1000, np.uint16)
            deep[0, index] = 4000
            Image.fromarray(deep).save(tmp_path / name / f"{index}.png")
    found, given = prepared(tmp_path, "folder"), prepared(tmp_path, "folder", samples=[0.0, 2000.0])
    assert np.median(pixels(found)) == pytest.approx(1000 / 4095 * 255, abs=1)
    assert np.median(pixels(given)) == pytest.approx(1000 / 2000 * 255, abs=1)
    assert given.preprocessing.samples == (0.0, 2000.0)


def test_rows_and_columns_of_idx_files(tmp_path: Path) -> None:
    content = np.random.default_rng(0).integers(0, 256, (8, 8, 8), np.uint8).tobytes()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x0803, 8, 8, 8) + content)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x0801, 8) + bytes([0, 1] * 4))
    upright, turned = (prepared(tmp_path, "idx", transpose=transpose, resize=None) for transpose in (False, True))
    assert upright.train.dataset.names == turned.train.dataset.names
    assert np.array_equal(pixels(upright).transpose(0, 2, 1, 3), pixels(turned))


@pytest.mark.parametrize("shuffle", ["auto", "epoch", "once", "none", "buffer-3"])
def test_the_order_of_the_images(shuffle: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(prepared(images, shuffle=shuffle), Run(tmp_path / "run"), Reporter())
    seen: list[list[int]] = []
    monkeypatch.setattr(trainer.setup.train, "batches", lambda order, *_: (seen.append(order.tolist()), iter(()))[1])
    for _ in range(2):
        trainer.train_epoch(lambda: False)
        trainer.log.rows.append({"val_accuracy": 0.0, "val_loss": 0.0})
        trainer.learner.done += trainer.setup.steps
    first, second = seen
    straight = list(range(len(first)))
    assert sorted(first) == sorted(second) == straight
    assert (first == second) == (shuffle in ("once", "none"))
    assert (first == straight) == (shuffle == "none")
    early = max(place - position for position, place in enumerate(first))  # how far an image comes before its turn
    assert early <= 2 if shuffle == "buffer-3" else early > 2 or shuffle == "none"
