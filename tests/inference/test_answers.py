import csv
import json
from pathlib import Path

import pytest

from alexnet.errors import InputError
from alexnet.inference.answers import Answers, copy_into, folder_name
from alexnet.inference.predict import Predicted, Prediction

QUESTION = {"model": "abc", "top": 2}
FOUND = [
    Predicted("a.png", [Prediction("tench, Tinca tinca", 0.75), Prediction('say "x"', 0.25)]),
    Predicted("b.png", [], "cut short or damaged"),
    Predicted("c\udcff.png", [Prediction("x", 1.0)]),
]


def filled(out: Path) -> Answers:
    answers = Answers(out, QUESTION)
    for each in FOUND:
        answers.add(each)
    answers.finish()
    return answers


def test_csv(tmp_path: Path):
    filled(tmp_path / "out.csv")
    rows = list(csv.reader((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["path", "label", "score", "label_2", "score_2", "error"]
    assert rows[1] == ["a.png", "tench, Tinca tinca", "0.75", 'say "x"', "0.25", ""]
    assert rows[2] == ["b.png", "", "", "", "", "cut short or damaged"]
    assert rows[3][:3] == ["c\\udcff.png", "x", "1.0"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_json_lines(tmp_path: Path):
    filled(tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows == [each.to_json() for each in FOUND]


def test_parquet(tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install 'alexnet[tables]'")
    filled(tmp_path / "out.parquet")
    rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert rows[0] == {
        "path": "a.png",
        "label": "tench, Tinca tinca",
        "score": 0.75,
        "label_2": 'say "x"',
        "score_2": 0.25,
        "error": None,
    }
    assert rows[1]["label"] is None
    assert rows[1]["error"] == "cut short or damaged"


def test_what_was_answered_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("alexnet.inference.answers.BATCH", 1)
    first = Answers(tmp_path / "out.csv", QUESTION)
    first.add(FOUND[0])
    with first.partial.open("ab") as file:
        file.write(b'{"path": "b.png", "pred')  # the kill came here
    again = Answers(tmp_path / "out.csv", QUESTION)
    assert again.done == {"a.png"}
    for each in FOUND[1:]:
        again.add(each)
    again.finish()
    assert len((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()) == 4


def test_another_question_begins_anew(tmp_path: Path):
    first = Answers(tmp_path / "out.csv", QUESTION)
    first.add(FOUND[0])
    first._flush()
    assert Answers(tmp_path / "out.csv", QUESTION | {"top": 1}).done == set()


def test_targets_that_cannot_be_are_one_line(tmp_path: Path):
    (tmp_path / "there.csv").write_text("")
    (tmp_path / "link.csv.partial").symlink_to(tmp_path / "there.csv")
    for name, said in (("x.txt", r"ends in \.csv"), ("there.csv", "add --force"), ("link.csv", "is a link")):
        with pytest.raises(InputError, match=said):
            Answers(tmp_path / name, QUESTION)
    Answers(tmp_path / "there.csv", QUESTION, force=True)


@pytest.mark.parametrize(
    ("label", "name"),
    [("cat", "cat"), ("../../etc", "_.._etc"), ("..", "_"), ("", "_"), ("a/b:c", "a_b_c"), ("x\x1b[2J", "x_[2J")],
)
def test_a_label_names_a_folder_and_nothing_else(label: str, name: str):
    assert folder_name(label) == name


def test_copies_keep_each_other(tmp_path: Path):
    for number in range(2):
        source = tmp_path / str(number) / "x.png"
        source.parent.mkdir()
        source.write_bytes(bytes([number]))
        copy_into(tmp_path / "sorted", Predicted(str(source), [Prediction("cat", 1.0)]))
    found = sorted((tmp_path / "sorted" / "cat").iterdir())
    assert [(path.name, path.read_bytes()) for path in found] == [("x-2.png", b"\1"), ("x.png", b"\0")]
