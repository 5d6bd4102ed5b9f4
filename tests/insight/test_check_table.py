"""`alexnet check` of images whose labels stand in a table: one label an image, or several."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from alexnet.data.readers.source import Labels
from alexnet.insight.check.check import Checked, check
from alexnet.insight.check.page import describe


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """40 images like no other, numbered."""
    place, draws = tmp_path / "images", np.random.default_rng(3)
    place.mkdir()
    for number in range(40):
        coarse = Image.fromarray(draws.integers(0, 256, (7, 7, 3), dtype=np.uint8))
        coarse.resize((96, 80), Image.Resampling.BICUBIC).save(place / f"{number:02}.png")
    return place


def rows() -> list[list[str]]:
    """File, split, and whether it is a square and a disc."""
    return [[f"{n:02}.png", "test" if n >= 30 else "train", str(n % 2), str(int(n % 3 == 0))] for n in range(40)]


def written(path: Path, lines: list[list[str]], head: str = "file,split,square,disc") -> Path:
    path.write_text("\n".join([head, *map(",".join, lines)]) + "\n")
    return path


def items(checked: Checked, kind: str) -> list[tuple[set[str], str]]:
    return [
        ({checked.listed.names[row] for row in item.images}, item.text)
        for fault in checked.faults
        if fault.kind == kind
        for item in fault.items
    ]


def test_clean_labels_are_counted(images: Path, tmp_path: Path, command: Callable) -> None:
    table = written(tmp_path / "t.csv", rows())
    ended = command("check", "--data", images, "--labels", table, "--json")
    assert ended.code == 0, ended.err
    said = json.loads(ended.out)
    assert said["faults"] == []
    assert said["splits"] == {"train": {"square": 15, "disc": 10}, "test": {"square": 5, "disc": 4}}
    assert any("2 columns are the labels: square, disc" in note for note in said["notes"])
    shown = command("check", "--data", images, "--labels", table).out
    assert "40 images with any of 2 labels each, read as table" in shown
    lines = [line.split() for line in shown.splitlines()]
    assert ["square", "15", "5"] in lines
    assert ["(no", "label)", "10", "3"] in lines


def test_other_labels_of_the_same_image(images: Path, tmp_path: Path) -> None:
    lines = rows()
    (images / "40.png").write_bytes((images / "03.png").read_bytes())  # square and disc
    (images / "41.png").write_bytes((images / "04.png").read_bytes())  # none
    lines += [["40.png", "train", "0", "1"], ["41.png", "train", "0", "0"]]
    checked = check(images, table=Labels(written(tmp_path / "t.csv", lines)))
    assert items(checked, "contradictory labels") == [({"03.png", "40.png"}, "equal, in disc and square|disc")]
    assert items(checked, "duplicates") == [({"04.png", "41.png"}, "2 in train")]
    assert set(checked.quarantine) == {"03.png", "40.png", "41.png"}
    assert checked.serious
    page = describe(checked)
    assert "square|disc" in str(page.all_sections)


def test_labels_that_are_rare_or_everywhere(images: Path, tmp_path: Path) -> None:
    lines = [
        [*row[:2], str(int(n in (1, 2, 31))), str(int(n not in (5, 9, 33))), str(n % 2)] for n, row in enumerate(rows())
    ]
    checked = check(images, table=Labels(written(tmp_path / "t.csv", lines, "file,split,rare,usual,even")))
    assert [text for _, text in items(checked, "imbalance of a label")] == [
        "rare: 2 of 30 training images",
        "usual: 28 of 30 training images",
    ]
    assert not checked.serious
    assert not items(checked, "imbalance")


def test_a_label_that_no_test_image_has_and_one_that_stands_once(images: Path, tmp_path: Path) -> None:
    lines = [[*row[:2], row[2], str(int(n == 7)), row[3]] for n, row in enumerate(rows())]
    checked = check(images, table=Labels(written(tmp_path / "t.csv", lines, "file,split,square,once,disc")))
    assert items(checked, "class missing in a split") == [(set(), "once: none in test")]
    assert items(checked, "one image only") == [({"07.png"}, "once")]


def test_a_separator_and_the_tables_groups(images: Path, tmp_path: Path, command: Callable) -> None:
    joined = [
        [
            file,
            split,
            "|".join(n for n, own in (("square", a), ("disc", b)) if own == "1"),
            f"patient{int(file[:2]) // 6}",
        ]
        for file, split, a, b in rows()
        if "1" in (a, b)
    ]
    table = written(tmp_path / "t.csv", joined, "file,split,labels,patient")
    ended = command("check", "--data", images, "--labels", table, "--label-separator", "|", "--json")
    assert ended.code == 0, ended.err
    joined[-1][3] = "patient0"  # whose other images train
    table = written(tmp_path / "t.csv", joined, "file,split,labels,patient")
    ended = command("check", "--data", images, "--labels", table, "--label-separator", "|", "--json")
    assert ended.code == 3
    said = {fault["kind"]: fault for fault in json.loads(ended.out)["faults"]}
    (group,) = said["groups across splits"]["items"]
    assert group["text"].startswith("patient0: ")
    assert joined[-1][0] in group["images"]


def test_one_label_an_image(images: Path, tmp_path: Path) -> None:
    lines = [[row[0], row[1], "odd" if row[2] == "1" else "even"] for row in rows()]
    (images / "40.png").write_bytes((images / "03.png").read_bytes())
    lines.append(["40.png", "train", "even"])
    checked = check(images, table=Labels(written(tmp_path / "t.csv", lines, "file,split,label")))
    assert items(checked, "contradictory labels") == [({"03.png", "40.png"}, "equal, in even and odd")]


def test_what_is_refused(tagged: Any, trained: Any, images: Path, tmp_path: Path, refused: Callable) -> None:
    asked = ("check", "--data", tagged.images, "--labels", tagged.table)
    assert "several labels an image: leave out --weights" in refused(*asked, "--weights", trained.path)
    assert "for a folder of images, not for cifar10" in refused(*asked, "--name", "cifar10")
    assert "data.label_separator is for a table of labels" in refused(
        "check", "--data", images, "--label-separator", "|"
    )
    assert "no table" in refused("check", "--data", images, "--labels", tmp_path / "none.csv")
