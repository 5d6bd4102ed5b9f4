"""`alexnet check`: a generated dataset with planted faults, of which every one is found, and none in the clean one."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet.data.sources import open_splits
from alexnet.errors import InputError
from alexnet.insight.check import duplicates, faults
from alexnet.insight.check.check import Checked, check, quarantine_text
from alexnet.insight.check.inspect import SMALL, Seen, described
from alexnet.insight.check.page import describe
from alexnet.pages import html

RANDOM = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def _huge_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """50 million pixels take seconds."""
    monkeypatch.setattr("alexnet.insight.check.inspect.HUGE", 40_000)


def picture(size: tuple[int, int] = (80, 96)) -> Image.Image:
    """A smooth random image in color, like no other."""
    coarse = RANDOM.integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size[1], size[0]), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clean")
    for split, count in (("train", 12), ("val", 4), ("test", 4)):
        for name in ("cat", "dog", "newt"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                picture().save(root / split / name / f"{name}{split}{number:02}.jpg", quality=90)
    (root / "README.txt").write_text("about the set")
    return root


@pytest.fixture
def root(clean: Path, tmp_path: Path) -> Path:
    """A copy of the clean set to damage."""
    for file in sorted(clean.rglob("*")):
        target = tmp_path / file.relative_to(clean)
        target.mkdir(parents=True) if file.is_dir() else target.write_bytes(file.read_bytes())
    return tmp_path


def found(root: Path, group_by: str | None = None) -> set[str]:
    return {fault.kind for fault in check(root, group_by=group_by).faults}


def names(checked: Checked, kind: str) -> set[str]:
    fault = next(fault for fault in checked.faults if fault.kind == kind)
    return {checked.listed.names[row] for item in fault.items for row in item.images}


def test_nothing_is_found_in_a_clean_set(clean: Path) -> None:
    checked = check(clean)
    assert checked.faults == []
    assert checked.quarantine == {}
    assert not checked.serious
    assert faults.counts_of(checked.listed).tolist() == [[12] * 3, [4] * 3, [4] * 3]


def damaged(root: Path) -> set[str]:
    path = root / "train/cat/cattrain00.jpg"
    path.write_bytes(path.read_bytes()[:600])
    return {"train/cat/cattrain00.jpg"}


def no_image(root: Path) -> set[str]:
    (root / "train/cat/cattrain01.jpg").write_bytes(b"<html>404 Not Found</html>")
    return {"train/cat/cattrain01.jpg"}


def empty(root: Path) -> set[str]:
    (root / "train/cat/cattrain02.jpg").write_bytes(b"")
    return {"train/cat/cattrain02.jpg"}


def saved(name: str, image: Callable[[], Image.Image], **how: object) -> Callable[[Path], set[str]]:
    def plant(root: Path) -> set[str]:
        image().save(root / name, **how)  # pyright: ignore[reportArgumentType]
        return {name}

    return plant


def wrong_extension(root: Path) -> set[str]:
    (root / "train/dog/png.jpg").write_bytes(b"")
    picture().save(root / "train/dog/png.jpg", "PNG")
    return {"train/dog/png.jpg"}


def deep() -> Image.Image:
    return Image.fromarray(RANDOM.integers(0, 65536, (64, 64)).astype(np.uint16))


def rotated(root: Path) -> set[str]:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().save(root / "train/dog/turned.jpg", exif=exif)
    return {"train/dog/turned.jpg"}


def transparent() -> Image.Image:
    image = picture().convert("RGBA")
    image.putalpha(120)
    return image


def animated(root: Path) -> set[str]:
    picture().save(root / "train/dog/moving.gif", save_all=True, append_images=[picture(), picture()])
    return {"train/dog/moving.gif"}


def copy_of(source: str, target: str) -> Callable[[Path], set[str]]:
    def plant(root: Path) -> set[str]:
        (root / target).write_bytes((root / source).read_bytes())
        return {source, target}

    return plant


def smaller_copy_of(source: str, target: str) -> Callable[[Path], set[str]]:
    def plant(root: Path) -> set[str]:
        with Image.open(root / source) as whole:
            image = whole.resize((70, 58)).point(lambda value: int(value * 0.9 + 5))
        image.save(root / target, quality=70)
        return {source, target}

    return plant


def another_class(name: str, split: str = "train", count: int = 6) -> Callable[[Path], set[str]]:
    def plant(root: Path) -> set[str]:
        (root / split / name).mkdir()
        for number in range(count):
            picture().save(root / split / name / f"{number}.jpg")
        return set()

    return plant


def crowd(root: Path) -> set[str]:
    for number in range(130):
        picture((24, 24)).save(root / f"train/dog/more{number}.png")
    return set()


def emptied(root: Path) -> set[str]:
    for file in (root / "val/newt").iterdir():
        file.unlink()
    (root / "val/newt").rmdir()
    return set()


def beside(root: Path) -> set[str]:
    picture().save(root / "train/stray.jpg")
    return {"train/stray.jpg"}


def in_class(root: Path) -> set[str]:
    (root / "train/cat/list.csv").write_text("a,b")
    return set()


PLANTED: dict[str, tuple[Callable[[Path], set[str]], bool]] = {
    "damaged": (damaged, True),
    "not an image": (no_image, True),
    "empty file": (empty, True),
    "wrong extension": (wrong_extension, False),
    "CMYK": (saved("train/cat/inks.jpg", lambda: picture().convert("CMYK")), False),
    "transparency": (saved("train/cat/clear.png", transparent), False),
    "more than 8 bits": (saved("train/cat/deep.png", deep), False),
    "rotated by EXIF": (rotated, False),
    "animated": (animated, False),
    "tiny": (saved("train/cat/tiny.png", lambda: picture((9, 12))), False),
    "huge": (saved("train/cat/huge.png", lambda: picture((220, 220))), False),
    "slender": (saved("train/cat/slender.png", lambda: picture((20, 200))), False),
    "one color": (saved("train/cat/blank.png", lambda: Image.new("RGB", (64, 64), (9, 99, 9))), False),
    "gray among color": (saved("train/cat/gray.png", lambda: picture().convert("L")), False),
    "contradictory labels": (copy_of("train/cat/cattrain03.jpg", "train/dog/same.jpg"), True),
    "duplicates across splits": (copy_of("train/cat/cattrain04.jpg", "test/cat/leak.jpg"), True),
    "near duplicates across splits": (smaller_copy_of("train/cat/cattrain05.jpg", "val/cat/near.jpg"), True),
    "duplicates": (copy_of("train/cat/cattrain06.jpg", "train/cat/again.jpg"), False),
    "near duplicates": (smaller_copy_of("train/cat/cattrain07.jpg", "train/cat/alike.jpg"), False),
    "class never trained": (another_class("axolotl", "test"), True),
    "class missing in a split": (emptied, True),
    "one image only": (another_class("olm", count=1), True),
    "empty class": (another_class("ghost", count=0), True),
    "imbalance": (crowd, False),
    "names that differ by case": (another_class("Cat"), True),
    "names that differ by spaces": (another_class("ne wt"), True),
    "names that differ by Unicode form": (another_class("ｎewt"), True),
    "image outside of any class": (beside, False),
    "file that is no image": (in_class, False),
}


def test_every_kind_is_planted_or_tested_apart() -> None:
    apart = {"groups across splits", "color among gray", "refused", "likely label error", "imbalance of a label"}
    assert set(faults.KINDS) - set(PLANTED) == apart
    assert len(PLANTED) >= 20


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_fault_is_found_where_it_is(root: Path, kind: str) -> None:
    plant, serious = PLANTED[kind]
    wanted = plant(root)
    checked = check(root)
    assert kind in {fault.kind for fault in checked.faults}
    if wanted:
        assert names(checked, kind) == wanted
    assert checked.serious >= serious
    page = html.render(describe(checked))
    assert kind in page
    json.dumps(checked.to_json())


def test_all_at_once(root: Path) -> None:
    for plant, _ in PLANTED.values():
        plant(root)
    assert set(PLANTED) <= found(root) | {"gray among color"}


def test_few_colored_images_among_gray_ones(root: Path) -> None:
    for file in root.rglob("*.jpg"):
        with Image.open(file) as image:
            gray = image.convert("L")
        gray.save(file)
    picture().save(root / "train/cat/color.jpg")
    checked = check(root)
    assert names(checked, "color among gray") == {"train/cat/color.jpg"}


def test_groups_stay_on_one_side(root: Path) -> None:
    for split, number in (("train", 1), ("train", 2), ("val", 2), ("val", 3)):
        picture().save(root / split / "cat" / f"patient{number}_{split}.jpg")
    checked = check(root, group_by=r"(patient\d+)")
    assert names(checked, "groups across splits") == {"train/cat/patient2_train.jpg", "val/cat/patient2_val.jpg"}
    assert "groups across splits" not in found(root, group_by=r"nobody\d+")
    with pytest.raises(InputError, match="not a regular expression"):
        check(root, group_by="(")


def test_what_training_refuses_is_said_and_the_rest_is_still_found(root: Path) -> None:
    another_class("axolotl", "test")(root)
    damaged(root)
    checked = check(root)
    refused = next((fault for fault in checked.faults if fault.kind == "refused"), None)
    assert refused is None or "axolotl" in refused.items[0].text
    assert names(checked, "damaged") == {"train/cat/cattrain00.jpg"}


def test_the_quarantine_takes_the_training_side_of_a_leak_and_all_of_a_contradiction(root: Path) -> None:
    copy_of("train/cat/cattrain04.jpg", "test/cat/leak.jpg")(root)
    copy_of("train/cat/cattrain03.jpg", "train/dog/same.jpg")(root)
    no_image(root)
    checked = check(root)
    assert list(checked.quarantine) == [
        "train/cat/cattrain01.jpg",
        "train/cat/cattrain03.jpg",
        "train/cat/cattrain04.jpg",
        "train/dog/same.jpg",
    ]
    lines = quarantine_text(checked).splitlines()
    assert lines[2] == "train/cat/cattrain04.jpg\tduplicates across splits: 1 in train, 1 in test"


def test_near_duplicates_differ_nowhere_by_much() -> None:
    """A thumbnail under another brightness and contrast is the same; with something small put into it, another."""
    one = np.random.default_rng(0).integers(60, 200, (1, 256)).astype(np.uint8)
    one[0, 100:103] = 80
    relit = (one * 0.8 + 10).round().astype(np.uint8)
    with_a_spot = one.copy()
    with_a_spot[0, 100:103] = 180
    assert np.abs(with_a_spot.astype(int) - one).mean() < 3
    assert duplicates._same(one, relit).tolist() == [True]
    assert duplicates._same(one, with_a_spot).tolist() == [False]


def test_array_files_are_checked_too() -> None:
    """Handwritten digits: no two are nearly equal, whatever they have in common."""
    images = open_splits("digits", validation=None).train.batch(np.arange(1000))
    small = [np.broadcast_to(np.kron(image, np.ones((8, 8, 1), np.uint8)), (SMALL, SMALL, 3)) for image in images]
    seen = described([(Seen(bytes([i % 256, i // 256])), each) for i, each in enumerate(small)])
    assert sum(map(len, duplicates.alike(seen))) < 0.05 * len(images)


def test_an_image_takes_less_than_a_kilobyte() -> None:
    """What the search for duplicates holds for each image, beside what was seen of it."""
    rng, count = np.random.default_rng(0), 4000
    tracemalloc.start()
    try:
        seen = [
            Seen(rng.bytes(32), (), (int(side), 500), "color", rng.bytes(16), rng.bytes(256))
            for side in rng.integers(300, 9000, count)
        ]
        held, _ = tracemalloc.get_traced_memory()
        groups = [duplicates.equal(seen), duplicates.alike(seen)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert groups == [[], []]
    assert held / count < 700
    assert peak / count < 1000


def test_the_verb(root: Path, command: Callable, refused: Callable, tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.mktemp("out")
    ended = command("check", "--data", root)
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "nothing was found")
    copy_of("train/cat/cattrain04.jpg", "test/cat/leak.jpg")(root)
    ended = command("check", "--data", root, "--out", out / "check.html", "--quarantine", out / "list.txt")
    assert ended.code == 3
    assert "SERIOUS duplicates across splits: 1." in ended.out
    assert "data:image/jpeg" in (out / "check.html").read_text()
    assert (out / "list.txt").read_text().startswith("train/cat/cattrain04.jpg\t")
    told = json.loads(command("check", "--data", root, "--json").out)
    assert told["serious"]
    assert told["faults"][0]["items"][0]["images"] == ["test/cat/leak.jpg", "train/cat/cattrain04.jpg"]
    assert "no file or folder" in refused("check", "--data", root / "nowhere")
    assert "no folder" in refused("check", "--data", root, "--out", out / "nowhere" / "check.html")
