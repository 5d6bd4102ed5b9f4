"""`alexnet predict` on folders, patterns and lists, with files among them that are no images."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

import alexnet
from alexnet.artifacts.run import Run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    digits = alexnet.dataset("digits")
    (tmp_path / "q").mkdir()
    for index in range(6):
        Image.fromarray(digits[index][0][:, :, 0]).save(tmp_path / "q" / f"{index}.png")
    (tmp_path / "q" / "3.png").write_text("junk")
    (tmp_path / "q" / "notes.txt").write_text("junk")
    return tmp_path / "q"


def test_one_bad_file_does_not_end_the_batch(command: Callable, trained: Run, folder: Path):
    said = command("predict", trained.path, folder, "--json")
    assert said.code == 3
    rows = {Path(row["path"]).name: row for row in json.loads(said.out)}
    assert sorted(rows) == [f"{index}.png" for index in range(6)]
    assert [name for name, row in rows.items() if "error" in row] == ["3.png"]
    assert rows["3.png"].keys() == {"path", "error"}
    assert "1 of 6 images could not be read" in said.err
    assert "images/s" in said.err
    assert "1 other file is no image and was skipped" in said.err


def test_bf16_on_a_processor_that_emulates_it_is_told(
    command: Callable, trained: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert "slower than fp32" in command("predict", trained.path, folder / "0.png", "--precision", "bf16").err
    assert "slower than fp32" not in command("predict", trained.path, folder / "0.png", "--precision", "auto").err


def test_a_class_called_unknown_is_not_mixed_with_rejected_images(
    command: Callable, trained: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("alexnet.inference.predict.UNKNOWN", "3")  # a class of the digits
    said = command("predict", trained.path, folder, "--reject", 0.5)
    assert (said.code, said.out) == (2, "")
    assert "which is a class of this model" in said.err


def test_copies_are_told_and_never_made_among_what_is_read(
    command: Callable, trained: Run, folder: Path, tmp_path: Path
):
    said = command("predict", trained.path, folder, "--copy-to", folder / "sorted")
    assert (said.code, said.out) == (2, "")
    assert "among the images that are read" in said.err
    assert not (folder / "sorted").exists()
    for _ in range(2):
        said = command("predict", trained.path, folder, "--copy-to", tmp_path / "sorted")
    assert "5 copies were there already" in said.err
    assert len([each for each in (tmp_path / "sorted").rglob("*") if each.is_file()]) == 5


def test_a_table_continues_where_it_stopped(command: Callable, trained: Run, folder: Path, tmp_path: Path):
    whole, again = tmp_path / "whole.csv", tmp_path / "again.csv"
    assert command("predict", trained.path, folder, "--top", 2, "--out", whole).code == 3
    lines = whole.read_text().splitlines()
    assert lines[0] == "path,label,score,label_2,score_2,error"
    assert len(lines) == 7
    few = [folder / "0.png", folder / "1.png"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alexnet.inference.answers.Answers.finish", lambda self: self._flush())  # as a kill leaves it
        command("predict", trained.path, *few, "--top", 2, "--out", again)
    said = command("predict", trained.path, folder, "--top", 2, "--out", again)
    assert "2 images were answered before" in said.err
    # Scores differ by rounding in batches of another size.
    assert [line.split(",")[:2] for line in again.read_text().splitlines()] == [line.split(",")[:2] for line in lines]


def test_images_are_sorted_into_folders_and_doubtful_ones_are_unknown(
    command: Callable, trained: Run, folder: Path, tmp_path: Path
):
    assert command("predict", trained.path, folder, "--copy-to", tmp_path / "sorted").code == 3
    copies = sorted(path.relative_to(tmp_path / "sorted") for path in (tmp_path / "sorted").rglob("*.png"))
    assert len(copies) == 5
    assert {path.parent.name for path in copies} <= set("0123456789")
    rows = json.loads(command("predict", trained.path, folder / "0.png", "--reject", 1, "--top", 1, "--json").out)
    assert [each["label"] for each in rows[0]["predictions"]] == ["unknown", "0"]


def test_paths_come_from_stdin(command: Callable, trained: Run, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{folder / '0.png'}\n{folder / '1.png'}\n"))
    assert len(json.loads(command("predict", trained.path, "-", "--json").out)) == 2


def test_bad_options_are_one_line(refused: Callable, trained: Run, folder: Path, tmp_path: Path):
    assert "ends in .csv" in refused("predict", trained.path, folder, "--out", tmp_path / "x.xlsx")
    assert "from 0 to 1" in refused("predict", trained.path, folder, "--reject", 2)
    assert "3.png: not an image" in refused("predict", trained.path, folder / "3.png")
