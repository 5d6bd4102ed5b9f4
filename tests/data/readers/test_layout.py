"""How folders of images are read: what is a split, a class, an image, what is left out, and that all of it is said."""

import io
import struct
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from makers import jpeg, png
from PIL import Image

from alexnet.data.loading.stored import Listing
from alexnet.data.readers.folder import list_folder, role
from alexnet.data.sources import open_splits
from alexnet.errors import InputError

Maker = Callable[..., Path]


def counts(listing: Listing) -> dict[str, int]:
    return {name: len(split.names) for name, split in listing.splits.items()}


def noted(listing: Listing, *parts: str) -> bool:
    return any(all(part in note for part in parts) for note in listing.notes)


def save(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "split", "before"),
    [
        *((name, "train", "") for name in ("train", "Training", "TRAIN", "training_set", "trainset", "train_images")),
        *((name, "train", "") for name in ("train2017", "train-data", "trainval", "training images", "train_1", "trn")),
        *((name, "validation", "") for name in ("val", "valid", "Validation", "val2017", "dev", "eval", "val_set")),
        *((name, "test", "") for name in ("test", "Testing", "test_set", "testset", "Test Images", "holdout")),
        ("seg_train", "train", "seg"),
        ("dogs-test", "test", "dogs"),
        ("images_val", "validation", "images"),
    ],
)
def test_names_that_mean_splits(name: str, split: str, before: str) -> None:
    assert role(name) == (split, before)


@pytest.mark.parametrize("name", ["trains", "steam train engine", "contest", "tester", "value", "devil", "cat", "7"])
def test_names_that_do_not(name: str) -> None:
    assert role(name) is None


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "Testing"),
        ("Training", "Test"),
        ("training_set", "test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train2017", "test2017"),
        ("trainset", "testset"),
        ("train_images", "test_images"),
    ],
)
def test_splits_by_many_names(folder: Maker, train: str, test: str) -> None:
    root = folder(f"{train}/cat", f"{train}/dog", f"{test}/cat", f"{test}/dog")
    listing = list_folder(root)
    assert (listing.classes, counts(listing)) == (("cat", "dog"), {"train": 6, "test": 6})
    assert noted(listing, "read as splits", f"{train.split('/')[0]} is train (6)", f"{test.split('/')[0]} is test (6)")
    assert not noted(listing, "in doubt")


def test_a_folder_that_alone_holds_everything_is_opened(folder: Maker) -> None:
    root = folder("chest/xray/train/a", "chest/xray/train/b", "chest/xray/val/a", "chest/__MACOSX/x")
    listing = list_folder(root)
    assert counts(listing) == {"train": 6, "validation": 3}
    assert noted(listing, "in chest/xray")
    assert listing.splits["train"].names[0] == "chest/xray/train/a/000.png"
    pets = list_folder(folder("PetImages/Cat", "PetImages/Dog", root=root.parent / "pets"))
    assert pets.classes == ("Cat", "Dog")
    assert noted(pets, "class folders read in PetImages")


def test_siblings_with_the_same_folders_are_in_doubt(folder: Maker) -> None:
    root = folder("TrainSplitA/x", "TrainSplitA/y", "Held out B/x", "Held out B/y")
    listing = list_folder(root)
    assert listing.classes == ("Held out B", "TrainSplitA")
    assert noted(listing, "in doubt", "Held out B, TrainSplitA", "x, y", "name them train, val and test", "data.layout")
    assert not noted(list_folder(root, layout="classes"), "in doubt")
    with pytest.raises(InputError, match=r"data\.layout is 'splits', and .* name them train, val and test"):
        list_folder(root, layout="splits")
    with pytest.raises(InputError, match=r"unknown data\.layout 'folders'"):
        list_folder(root, layout="folders")


def test_a_class_that_is_called_like_a_split_is_in_doubt_and_can_be_confirmed(folder: Maker) -> None:
    root = folder("bus", "train", "train/freight")
    listing = list_folder(root)
    assert listing.classes == ("bus", "train")
    assert noted(listing, "in doubt", "train is read as a class")
    trains = folder("bus", root=root.parent / "trains")
    folder("train", root=trains, count=9)
    folder("train/freight", "train/express", root=trains)  # most images of the class lie in its folder itself
    assert list_folder(trains).classes == ("bus", "train")
    both = folder("train/a", "train/b", "test/a", "test/b", root=root.parent / "both")
    assert list_folder(both, layout="classes").classes == ("test", "train")
    mixed = folder("red_train/a", "red_train/b", "blue_test/a", "blue_test/b", root=root.parent / "mixed")
    assert list_folder(mixed).classes == ("blue_test", "red_train")
    assert noted(list_folder(mixed), "in doubt")


def test_a_stray_image_is_named_and_left_out(folder: Maker) -> None:
    root = folder("train/a", "train/b", "train/c", "val/a", "figures")
    save(root / "train" / "preview.png", png(np.zeros((4, 4), np.uint8)))
    save(root / "cover.png", png(np.zeros((4, 4), np.uint8)))
    listing = list_folder(root)
    assert counts(listing) == {"train": 9, "validation": 3}
    assert ("train/preview.png", "an image beside the class folders") in listing.left_out
    assert ("cover.png", "an image beside the class folders") in listing.left_out
    assert ("figures", "not read as a split") in listing.left_out
    assert noted(listing, "left out, an image beside the class folders", "cover.png", "train/preview.png")
    flat = folder("a", "b", root=root.parent / "flat")
    save(flat / "loose.png", png(np.zeros((4, 4), np.uint8)))
    assert [name for name, _ in list_folder(flat).left_out] == ["loose.png"]


SYSTEM = ["@eaDir", "$RECYCLE.BIN", ".thumbnails", "__MACOSX", "lost+found", "System Volume Information", ".Trash-1000"]


@pytest.mark.parametrize("system", SYSTEM)
def test_folders_of_systems_are_no_classes_and_no_images(folder: Maker, system: str) -> None:
    root = folder("cat", "dog", f"cat/{system}/000.png", f"{system}/cat")
    listing = list_folder(root)
    assert (listing.classes, counts(listing)) == (("cat", "dog"), {"train": 6})
    assert {name for name, _ in listing.left_out} == {system, f"cat/{system}"}
    assert noted(listing, "left out, a folder of the system or of a tool", system)


def test_our_own_runs_are_no_classes(folder: Maker) -> None:
    root = folder("cat", "dog", "runs/folder/plots", "runs/folder-2/plots", "runs/folder-lr-range")
    for run in ("folder", "folder-2"):
        save(root / "runs" / run / "recipe.toml", b"")
        save(root / "runs" / run / "card.json", b"{}")
    for name in ("lr_range.json", "lr_range.png"):
        save(root / "runs" / "folder-lr-range" / name, b"{}")
    listing = list_folder(root)
    assert listing.classes == ("cat", "dog")
    assert noted(listing, "left out, a run or a pack of alexnet", "runs/folder, runs/folder-2")
    inside = folder("cat", "dog", "recipes", root=root.parent / "book")
    save(inside / "recipes" / "recipe.toml", b"")  # alone it is somebody's file
    assert list_folder(inside).classes == ("cat", "dog", "recipes")


def test_content_decides_what_is_an_image(folder: Maker) -> None:
    root = folder("cat", "dog", count=20)
    image = Image.fromarray(np.full((9, 9, 3), 80, np.uint8))
    for name, kind in (("scan.tif", "TIFF"), ("phone", "JPEG"), ("x.jpe", "JPEG"), ("y.jpg_large", "JPEG")):
        content = io.BytesIO()
        image.save(content, kind)
        save(root / "cat" / name, content.getvalue())
    save(root / "dog" / "notes.txt", b"text")
    save(root / "dog" / "Makefile", b"text")
    save(root / "dog" / "Thumbs.db", b"text")
    save(root / "dog" / ".seen.png", b"text")
    save(root / "cat" / "photo.heic", bytes(4) + b"ftypheic" + bytes(100))
    save(root / "cat" / "no extension either", b"8BPS" + bytes(100))
    splits = open_splits("folder", root, size=(8, 8), validation=None)
    assert len(splits.train) == 44
    assert ("cat/photo.heic", "a HEIC image, which is not read; convert it to PNG or JPEG") in splits.skipped
    assert (
        "cat/no extension either",
        "a Photoshop image, which is not read; convert it to PNG or JPEG",
    ) in splits.skipped
    assert ("dog/.seen.png", "a hidden file") in splits.skipped
    assert "not images: 2 files (.txt, no extension)" in splits.notes
    for index in range(3):
        save(root / "cat" / f"{index}.heic", bytes(4) + b"ftypheic" + bytes(100))
    with pytest.raises(InputError, match=r"5 of 49 images in .* cannot be read, too many to leave out"):
        open_splits("folder", root, size=(8, 8), validation=None)


def test_a_class_without_images_says_what_lies_in_it(folder: Maker) -> None:
    root = folder("cat")
    for index in range(3):
        save(root / "dog" / f"{index}.npy", b"\x93NUMPY")
    with pytest.raises(
        InputError, match=r"no image in class folder 'dog' of .*; 3 files there are no images \(\.npy\)"
    ):
        list_folder(root)


def test_a_validation_folder_that_cannot_be_used_is_an_error(folder: Maker) -> None:
    root = folder("train/cat", "train/dog", "val")
    with pytest.raises(InputError, match=r"val holds 3 images and no class folders.*sort them.*or move them away"):
        list_folder(root)
    tests = folder("train/cat", "train/dog", "test", root=root.parent / "tests")
    listing = list_folder(tests)
    assert counts(listing) == {"train": 6}
    assert noted(listing, "test images without class folders", "(3)")
    empty = folder("train/cat", "train/dog", root=root.parent / "empty")
    (empty / "val").mkdir()
    assert noted(list_folder(empty), "val holds no images")


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_split_of_which_nothing_can_be_read_is_an_error(folder: Maker, split: str) -> None:
    root = folder("train/cat", "train/dog", count=30)
    save(root / split / "cat" / "0.png", b"text")
    name = {"val": "validation"}.get(split, split)
    with pytest.raises(InputError, match=rf"0 of 1 {name} image in .* can be read; the first: {split}/cat/0.png"):
        open_splits("folder", root, size=(8, 8))


def test_folders_inside_a_class_belong_to_it_and_are_named(folder: Maker) -> None:
    root = folder("cat", "dog/husky", "dog/poodle", "owl/owl", "cat/.odd")
    listing = list_folder(root)
    assert (listing.classes, counts(listing)) == (("cat", "dog", "owl"), {"train": 12})
    assert noted(listing, "belong to the class", "dog/husky, dog/poodle, owl/owl")
    assert noted(listing, "left out, a hidden folder inside a class", "cat/.odd")


def test_masks_beside_images_are_left_out(folder: Maker) -> None:
    root = folder("benign", "malign/images", "malign/masks", count=4)
    for index in range(3):
        save(root / "benign" / f"00{index}_mask.png", png(np.zeros((4, 4), np.uint8)))
    save(root / "benign" / "000_mask_1.png", png(np.zeros((4, 4), np.uint8)))
    save(root / "benign" / "with_mask.png", png(np.zeros((4, 4), np.uint8)))  # of no image that is there
    listing = list_folder(root)
    assert counts(listing) == {"train": 4 + 1 + 4}
    assert noted(listing, "left out, a mask of an image beside it", "benign/000_mask.png", "malign/masks")
    faces = folder("mask", "no mask", "hat", root=root.parent / "faces")
    assert list_folder(faces).classes == ("hat", "mask", "no mask")
    doubt = folder("cat", "dog", "masks", root=root.parent / "doubt")
    assert noted(list_folder(doubt), "in doubt: masks is read as a class")
    for mask in (doubt / "masks").iterdir():
        save(mask, png(np.full((24, 24), 255, np.uint8)))
    listing = list_folder(doubt)
    assert listing.classes == ("cat", "dog")
    assert noted(listing, "left out, a mask of an image beside it: masks")


def test_masks_in_a_tree_of_their_own_are_left_out(folder: Maker) -> None:
    root = folder("images/cat", "images/dog", "masks/cat", "masks/dog", count=4)
    listing = list_folder(root)
    assert listing.classes == ("cat", "dog")
    assert counts(listing) == {"train": 8}
    assert noted(listing, "left out, a mask of an image beside it: masks")
    (root / "masks" / "cat" / "000.png").rename(root / "masks" / "cat" / "no image is called so.png")
    assert noted(list_folder(root), "in doubt: images, masks are read as classes")


def test_names_are_compared_in_one_unicode_form(folder: Maker) -> None:
    composed, split_up = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    root = folder(f"train/{composed}", "train/thé", f"val/{split_up}")
    listing = list_folder(root)
    assert listing.classes == (composed, "thé")
    assert counts(listing) == {"train": 6, "validation": 3}
    splits = open_splits("folder", root, size=(8, 8))
    assert splits.validation is not None  # opened by the name on the disk
    both = folder(composed, split_up, "x", root=root.parent / "both")
    assert list_folder(both).classes == (composed, "x")
    assert noted(list_folder(both), "two Unicode forms", "one class")
    assert counts(list_folder(both)) == {"train": 9}
    recorded = [unicodedata.normalize("NFD", "thé/000.png"), unicodedata.normalize("NFD", "café/001.png")]
    again = open_splits("folder", folder("café", "thé", root=root.parent / "c"), size=(8, 8), validation_names=recorded)
    assert again.validation is not None
    assert len(again.validation) == 2


def test_names_that_differ_in_case_or_spaces_are_named(folder: Maker) -> None:
    listing = list_folder(folder("Cat", "cat", "dog", "dog "))
    assert listing.classes == ("Cat", "cat", "dog", "dog ")
    assert noted(listing, "'Cat' and 'cat' are two classes")
    assert noted(listing, "'dog' and 'dog ' are two classes")
    root = folder("train/Cat", "train/dog", "val/cat", root=Path(listing.place).parent / "more")
    with pytest.raises(InputError, match=r"have class 'cat', which training never saw \(it knows 'Cat'\)"):
        list_folder(root)


def test_a_class_whose_name_begins_with_a_dot_is_one(folder: Maker) -> None:
    listing = list_folder(folder(".net", "java", ".git/objects"))
    assert listing.classes == (".net", "java")
    assert noted(listing, "hidden folder '.net' is read as a class")


def test_what_splits_share_is_said(folder: Maker) -> None:
    root = folder("train/a", "train/b", "val/a", "test/b")
    content = (root / "train" / "a" / "000.png").read_bytes()
    for place in ("train/b/copy.png", "val/a/copy.png", "test/b/copy.png"):
        save(root / place, content)
    notes = open_splits("folder", root, size=(8, 8)).content_notes
    assert "1 validation image is also a train image, such as val/a/copy.png" in notes
    assert "1 test image is also a train image, such as test/b/copy.png" in notes
    assert "1 test image is also a validation image, such as test/b/copy.png" in notes
    assert any("2 images are the same under two classes" in note or "1 image is" in note for note in notes)
    assert open_splits("digits").content_notes == []


def test_deep_images_share_one_range(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for bits, root in ((10, tmp_path / "ten"), (16, tmp_path / "sixteen")):
        for number, name in enumerate(("benign", "malign")):
            for index in range(6):
                array = random.uniform(0, 0.25, (12, 12))
                array[:, 6 * number :][:, :6] += 0.6
                save(root / name / f"{index}.png", png((array * (2**bits - 1)).astype(np.uint16)))
    ten, sixteen = (open_splits("folder", tmp_path / name, size=(12, 12), channels=1) for name in ("ten", "sixteen"))
    assert (ten.samples, sixteen.samples) == ((0, 1023), None)
    assert any("more than 8 bits a sample: 0 to 1,023 become 0 to 255" in note for note in ten.notes)
    assert ten.train.batch(np.arange(5)).max() > 200
    assert len(np.unique(ten.train.batch(np.arange(5)))) > 50
    fixed = open_splits("folder", tmp_path / "ten", size=(12, 12), channels=1, samples=(0, 4095))
    assert fixed.samples == (0, 4095)
    assert fixed.train.batch(np.arange(5)).max() < 64
    for wrong in ((5, 5), (5, 1), (1,), (0, float("nan"))):
        with pytest.raises(InputError, match=r"data\.samples takes \[lowest, highest\]"):
            open_splits("folder", tmp_path / "ten", size=(12, 12), samples=wrong)  # pyright: ignore


def test_deep_color_of_which_only_the_high_byte_is_read_is_said(tmp_path: Path) -> None:
    def sixteen(brightest: int) -> bytes:
        row = b"\0" + np.full((8, 3), brightest, ">u2").tobytes()
        header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(row * 8)), (b"IEND", b""))
        )

    for root, brightest in (("dim", 4095), ("bright", 60000)):
        for name in ("a", "b"):
            for index in range(3):
                save(tmp_path / root / name / f"{index}.png", sixteen(brightest - index))
    dim, bright = (open_splits("folder", tmp_path / name, size=(8, 8)) for name in ("dim", "bright"))
    assert any("6 color images have 16 bits a sample" in note and "at most 15 of 255" in note for note in dim.notes)
    assert not any("16 bits" in note for note in bright.notes)


def test_images_at_their_own_size(folder: Maker) -> None:
    root = folder("cat", "dog")
    save(root / "cat" / "000.png", jpeg(np.zeros((20, 30, 3), np.uint8)))
    train = open_splits("folder", root, validation=None).train
    assert train[0][0].shape == (20, 30, 3)
    assert train[-1][0].shape == (12, 16, 3)
    assert train[-1][1] == 1
    assert train.batch(np.array([3, 1])).shape == (2, 12, 16, 3)
    with pytest.raises(InputError, match=r"sizes of their own: pass size=\(height, width\)"):
        train.batch(np.array([0, 1]))
    assert train.subset(np.array([2, 0]))[1][0].shape == (20, 30, 3)
