"""ImageNet in every form it is handed out in, and what is wrong with a copy said in one line."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from makers import jpeg, png, tar, tar_gz
from scipy.io import savemat

from alexnet.data.loading.stored import StoredDataset
from alexnet.data.pick import dataset
from alexnet.data.readers import devkit
from alexnet.data.readers.imagenet import list_imagenet
from alexnet.data.sources import open_splits, recognize
from alexnet.errors import InputError

WORDS = {"n01440764": "tench, Tinca tinca", "n02012849": "crane", "n03126707": "crane"}
NUMBERS = {"n03126707": 1, "n01440764": 2, "n02012849": 3}  # as in the real kit, not the order of the synsets
TRUTH = [2, 1, 3, 1, 2]
LEVEL = {"n01440764": 20, "n02012849": 120, "n03126707": 220}
"""The gray of every image of a synset, so that an image tells its label."""


def flat(level: int, mode: str | None = None) -> bytes:
    return jpeg(np.full((10, 14, 3), level, np.uint8), mode)


def meta(numbers: dict[str, int]) -> bytes:
    """A meta.mat with these classes and one synset above them."""
    fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    rows = [(number, wnid, WORDS[wnid], "", 0) for wnid, number in numbers.items()]
    table = np.array([*rows, (1001, "n00001740", "entity", "", 3)], fields)
    content = io.BytesIO()
    savemat(content, {"synsets": table[:, None]}, do_compression=True)
    return content.getvalue()


def kit(numbers: dict[str, int] = NUMBERS, truth: list[int] = TRUTH) -> dict[str, bytes]:
    text = "".join(f"{number}\n" for number in truth).encode()
    return {
        f"ILSVRC2012_devkit_t12/data/{devkit.META}": meta(numbers),
        f"ILSVRC2012_devkit_t12/data/{devkit.TRUTH}": text,
    }


TRAINING = {
    f"{synset}/{synset}_{index}.JPEG": flat(level, "CMYK" if index == 1 else None)
    for synset, level in LEVEL.items()
    for index in range(4)
} | {"n02012849/n02012849_2933.JPEG": png(np.full((10, 14, 3), LEVEL["n02012849"], np.uint8))}
BY_NUMBER = {number: synset for synset, number in NUMBERS.items()}
VALIDATION = {
    f"ILSVRC2012_val_{index:08}.JPEG": flat(LEVEL[BY_NUMBER[number]]) for index, number in enumerate(TRUTH, 1)
}


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


@pytest.fixture
def imagenet(tmp_path: Path) -> Callable[..., Path]:
    """The set as it is handed out ('tars'), with the training tars unpacked once ('synset tars'), or unpacked."""

    def make(form: str, with_kit: dict[str, bytes] | None = None) -> Path:
        root = tmp_path / "imagenet"
        root.mkdir(exist_ok=True)
        own = {one: {name: c for name, c in TRAINING.items() if name.startswith(one)} for one in LEVEL}
        tars = {
            f"{one}.tar": tar(tmp_path / "x.tar", {n.split("/")[1]: c for n, c in files.items()}).read_bytes()
            for one, files in own.items()
        }
        if form == "tars":
            tar(root / "ILSVRC2012_img_train.tar", tars)
            tar(root / "ILSVRC2012_img_val.tar", dict(reversed(VALIDATION.items())))
            tar_gz(root / devkit.ARCHIVE, kit() if with_kit is None else with_kit)
            return root
        write(root / "train", tars if form == "synset tars" else TRAINING)
        if form == "by synset":
            pairs = zip(VALIDATION.items(), TRUTH, strict=True)
            write(root / "val", {f"{BY_NUMBER[number]}/{name}": content for (name, content), number in pairs})
        else:
            write(root / "val", VALIDATION)
        write(root, kit() if with_kit is None else with_kit)
        return root

    return make


@pytest.mark.parametrize("form", ["tars", "synset tars", "unpacked", "by synset"])
def test_every_form_gives_the_same_images_and_labels(imagenet: Callable[..., Path], form: str) -> None:
    root = imagenet(form)
    assert recognize(root) == "imagenet"
    splits = open_splits("auto", root, size=(8, 8), validation=None)
    train, validation = splits.train, splits.test  # published figures are of these: they choose nothing
    assert splits.validation is None
    assert isinstance(train, StoredDataset)  # however small: nothing is decoded before it is needed
    assert validation is not None
    assert train.classes == ("tench, Tinca tinca", "crane (n02012849)", "crane (n03126707)")
    assert (len(train), len(validation)) == (13, 5)
    assert "train/n02012849/n02012849_2933.JPEG" in train.names  # a PNG that is called JPEG
    levels = np.array(list(LEVEL.values()))
    for split in (train, validation):
        seen = split.batch(np.arange(len(split)))
        assert np.abs(seen.astype(int) - levels[split.labels][:, None, None, None]).max() <= 4  # CMYK as well
    order = {Path(name).name: int(label) for name, label in zip(validation.names, validation.labels, strict=True)}
    assert [order[name] for name in VALIDATION] == [0, 2, 1, 2, 0]  # not the kit's numbers − 1


def test_validation_images_alone_are_all_the_images(imagenet: Callable[..., Path]) -> None:
    tars, folder = imagenet("tars") / "ILSVRC2012_img_val.tar", imagenet("unpacked") / "val"
    for place in (tars, folder):
        assert recognize(place) == "imagenet"
        alone = dataset("imagenet", data=place, size=(8, 8))
        assert len(alone) == 5
        assert np.bincount(alone.labels).tolist() == [2, 1, 2]


def test_class_names_come_from_a_list_where_there_is_no_kit(imagenet: Callable[..., Path]) -> None:
    root = imagenet("by synset", {})
    assert list_imagenet(root).classes == tuple(LEVEL)
    (root / "synset_words.txt").write_text("".join(f"{synset} {words}\n" for synset, words in WORDS.items()))
    assert list_imagenet(root).classes[:2] == ("tench, Tinca tinca", "crane (n02012849)")
    assert list_imagenet(root, first_classes=2).splits["test"].labels.max() == 1


@pytest.mark.parametrize(
    ("form", "files", "said"),
    [
        ("tars", kit(truth=TRUTH[:-1]), "has 4 labels for 5 images"),
        ("unpacked", kit(truth=[*TRUTH, 1]), "has 6 labels for 5 images"),
        ("tars", kit(truth=[2, 1, 3, 1, 1001]), "line 5: '1001' is none of the 3 class numbers"),
        ("tars", kit(truth=[2, 1, 3, 1, 0]), "line 5: '0' is none"),
        ("unpacked", {}, "need their labels: put ILSVRC2012_devkit_t12.tar.gz beside them"),
        ("tars", {"x/data/meta.mat": b"x"}, "lacks ILSVRC2012_validation_ground_truth.txt"),
        (
            "tars",
            {**kit(), "ILSVRC2012_devkit_t12/data/meta.mat": b"not a MATLAB file"},
            "meta.mat in .* cannot be read",
        ),
        (
            "tars",
            {**kit(), "ILSVRC2012_devkit_t12/data/meta.mat": meta(NUMBERS)[:300]},
            "meta.mat in .* cannot be read",
        ),
        ("tars", kit({"n01440764": 1, "n02012849": 1}), "names a number or a synset twice"),
    ],
)
def test_a_kit_that_does_not_fit_is_told(
    imagenet: Callable[..., Path], form: str, files: dict[str, bytes], said: str
) -> None:
    root = imagenet(form, files)
    with pytest.raises(InputError, match=said) as caught:
        list_imagenet(root)
    assert "\n" not in str(caught.value)


def test_a_small_file_that_unpacks_to_much_is_not_unpacked() -> None:
    content = io.BytesIO()
    savemat(content, {"synsets": np.zeros(devkit.MAX_UNPACKED // 8 + 100)}, do_compression=True)
    assert len(content.getvalue()) < 2**20
    with pytest.raises(InputError, match="unpacks to too much"):
        devkit._read(Path("kit"), content.getvalue(), b"1")


def test_damage_in_an_archive_is_told_and_a_damaged_image_ends_the_run_that_meets_it(
    imagenet: Callable[..., Path],
) -> None:
    root = imagenet("tars")
    path = root / "ILSVRC2012_img_train.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"ILSVRC2012_img_train\.tar: (n\d+\.tar: )?(cut short|damaged)"):
        list_imagenet(root)
    image = TRAINING["n01440764/n01440764_0.JPEG"]
    path.write_bytes(whole.replace(image, image[::-1], 1))
    train = open_splits("imagenet", root, size=(8, 8)).train
    assert train.batch(np.arange(4, 8)).shape == (4, 8, 8, 3)
    with pytest.raises(InputError, match=r"^train/n01440764/n01440764_0\.JPEG: not an image"):
        train.batch(np.arange(len(train)))


def test_folders_that_are_no_synsets_and_classes_that_training_never_saw(imagenet: Callable[..., Path]) -> None:
    root = imagenet("by synset", {})
    write(root, {"val/n09999999/x.JPEG": flat(0)})
    with pytest.raises(InputError, match="class n09999999, which training never saw"):
        list_imagenet(root)
    write(root, {"train/cats/x.JPEG": flat(0)})
    with pytest.raises(InputError, match="'cats' is no synset such as n01440764"):
        list_imagenet(root)
    with pytest.raises(InputError, match=r"no ImageNet training images in .*; expected ILSVRC2012_img_train"):
        list_imagenet(root / "val")


def test_classes_that_are_not_the_networks_are_told(imagenet: Callable[..., Path]) -> None:
    train = open_splits("imagenet", imagenet("tars"), size=(8, 8)).train
    assert train.relabeled([*reversed(train.classes), "more"]).labels[0] == 2
    with pytest.raises(
        InputError, match=r"classes that the network never saw: crane \(n02012849\), .*; it knows: tench"
    ):
        train.relabeled(["tench, Tinca tinca", "crane"])
