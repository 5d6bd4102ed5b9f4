"""Labels from a table: every form, splits and groups, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tables import numbered, opened, write

from alexnet.data.folds import folded
from alexnet.data.sources import open_splits
from alexnet.errors import InputError

ROWS = [
    {"file": f"sub/{number:02}.png", "label": ("cat", "dog", "emu")[number % 3], "split": "train", "group": number // 4}
    for number in range(24)
]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return numbered(tmp_path / "images" / "sub").parent


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_form_gives_each_image_its_label_and_its_split(images: Path, tmp_path: Path, suffix: str) -> None:
    rows = [row | {"split": "test" if number >= 18 else "train"} for number, row in enumerate(ROWS)]
    table = write(tmp_path / f"labels{suffix}", [{k: row[k] for k in ("file", "label", "split")} for row in rows])
    splits = opened(images, table, validation=None)
    assert (splits.name, splits.train.classes, len(splits.train), len(splits.test)) == (
        "table", ("cat", "dog", "emu"), 18, 6,
    )  # fmt: skip
    for part in (splits.train, splits.test):
        for row, name in enumerate(part.names):
            image, label = part[row]
            number = int(name[4:6])
            assert part.classes[label] == rows[number]["label"]
            assert abs(int(image[0, 0, 0]) - 10 * number) <= 1
    assert splits.protocol["labels"] == str(table)
    beside = write(images / f"labels{suffix}", rows)  # the table itself, beside its images
    assert open_splits(None, beside, size=(8, 8), validation=None).train.names == splits.train.names


def test_columns_are_known_by_many_names_and_others_are_told(images: Path, tmp_path: Path) -> None:
    rows = [{"Image_Path": row["file"], "Class": row["label"], "subset": "Training", "age": 3} for row in ROWS]
    splits = opened(images, write(tmp_path / "t.csv", [*rows, rows[0]]), validation=None)
    assert len(splits.train) == 24
    told = " | ".join(splits.notes)
    assert "t.csv: Image_Path is the file, Class the label, subset the split; not used: age" in told
    assert "1 row of t.csv repeats another" in told
    few = opened(images, write(tmp_path / "few.csv", rows[:12]), validation=None)
    assert any("12 images in" in note and "left out" in note for note in few.notes)


def test_whole_paths_below_the_folder_are_its_files(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plain = opened(images, write(tmp_path / "t.csv", ROWS), validation=None)
    (tmp_path / "link").symlink_to(images)
    for root, prefix in ((images, images), (Path("images"), images), (tmp_path / "link", images.resolve())):
        rows = [row | {"file": f"{prefix}/{row['file']}"} for row in ROWS]
        assert opened(root, write(tmp_path / "whole.csv", rows), validation=None).train.names == plain.train.names
    rows = [*ROWS, ROWS[0] | {"file": f"{images}/sub/../../x.png"}]
    with pytest.raises(InputError, match="which is outside"):
        opened(images, write(tmp_path / "out.csv", rows), validation=None)


def test_validation_takes_whole_groups(images: Path, tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", ROWS)
    cuts = set()
    of = {row["file"]: row["group"] for row in ROWS}
    for seed in range(5):
        splits = opened(images, table, validation=0.2, seed=seed)
        assert splits.validation is not None
        train, held = ({of[name] for name in part.names} for part in (splits.train, splits.validation))
        assert held
        assert not train & held
        assert len(splits.train) + len(splits.validation) == 24
        assert set(splits.train.labels.tolist()) == {0, 1, 2}
        cuts.add(tuple(splits.validation.names))
    assert len(cuts) > 1  # the seed draws
    whole = opened(images, table, validation=None)
    parts = [folded(whole, fold, 3, 0).validation for fold in (1, 2, 3)]
    held = [{of[name] for name in part.names} for part in parts if part is not None]
    assert sorted(map(len, held)) == [2, 2, 2]
    assert set.union(*held) == set(range(6))
    with pytest.raises(InputError, match="both say groups"):
        folded(whole, 1, 3, 0, group_by="sub")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([*ROWS, {"file": "gone.png", "label": "cat", "split": "train", "group": 1}], "1 of 25 files that are not in"),
        ([*ROWS, {"file": "../x.png", "label": "cat", "split": "train", "group": 1}], "which is outside"),
        ([*ROWS, {"file": "/etc/passwd", "label": "cat", "split": "train", "group": 1}], "which is outside"),
        ([*ROWS, ROWS[0] | {"label": "emu"}], "two labels, 'cat' and 'emu'"),
        ([*ROWS, ROWS[0] | {"split": "test"}], "into two splits"),
        ([row | {"class": row["label"]} for row in ROWS], "two columns for the label: label, class; keep one"),
        ([{"file": row["file"], "what": 1} for row in ROWS], "no column for the label"),
        ([{"name": 1, "label": row["label"]} for row in ROWS], "no column for the file"),
        ([row | {"split": "often"} for row in ROWS], "row 1: the split is 'often'"),
        ([row | {"split": "test"} for row in ROWS], "no row of .* is of the split 'train'"),
        ([row | {"label": ""} for row in ROWS], "row 1: no label"),
        ([row | {"label": "cat"} for row in ROWS], "only one class"),
        ([*ROWS[1:], ROWS[0] | {"split": "test", "label": "yak"}], "class 'yak', which training never saw"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_right_is_refused_in_one_line(
    images: Path, tmp_path: Path, rows: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(InputError, match=said) as error:
        opened(images, write(tmp_path / "t.csv", rows))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.jsonl", b"[1]\n", "row 1: not an object"),
        ("t.jsonl", b"{", "row 1: not JSONL"),
        ("t.csv", b"file,label\na,b,c\n", "row 1: more values than columns"),
        ("t.csv", b"\xff\xfe\x00", "not UTF-8"),
        ("t.csv", b"file,label," + b",".join(b"%d" % i for i in range(50_000)) + b"\na" * 1000, "rows so short"),
        ("t.csv", b"file,label\n" + b"[" * 500 + b",a\n", "files that are not in"),
        ("t.csv", b"file,label,label\na,b,c\n", "two columns of one name, 'label'"),
        ("t.csv", b"", "has no rows"),
        ("t.parquet", b"PAR1nothing", "damaged or cut short"),
        ("t.xlsx", b"", "is no table of labels; choose a file that ends in .csv"),
    ],
)
def test_what_is_no_table_is_refused(images: Path, tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        opened(images, tmp_path / name)


@pytest.mark.usefixtures("bare")
def test_train_resume_and_evaluate_take_it(
    images: Path, tmp_path: Path, command: Callable[..., Any], refused: Callable[..., str]
) -> None:
    rows = [row | {"split": "test" if number >= 18 else "train", "group": number} for number, row in enumerate(ROWS)]
    table, out = write(tmp_path / "labels.csv", rows), tmp_path / "run"
    small = ("--set", "model.name=alexnet-digits", "--set", "data.resize=8", "--set", "train.least_steps=0")
    asked = ("train", "--data", images, "--labels", table, "--out", out, "--epochs", 1, *small)
    assert command(*asked).code == 0
    assert command("train", "--resume", "--out", out, "--epochs", 2).code == 0
    own = json.loads(command("evaluate", out, "--json").out)
    given = json.loads(command("evaluate", out, "--json", "--data", images, "--labels", table).out)
    assert own["count"] == given["count"] == 6
    assert own["top1"] == given["top1"]
    assert "no table" in refused("evaluate", out, "--data", images, "--labels", tmp_path / "no.csv")
    assert "--labels needs --data" in refused("evaluate", out, "--labels", table)
    # A run from elsewhere does not decide that a table is opened.
    split = json.loads((out / "split.json").read_text())
    (out / "split.json").write_text(json.dumps(split | {"seal": "0" * len(split["seal"])}))
    assert "not opened" in refused("evaluate", out)
