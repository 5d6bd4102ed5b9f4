import csv
import json
from pathlib import Path

import pytest

from alexnet.errors import InputError
from alexnet.inference.answers import Answers
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


def test_the_answers_to_another_question_are_not_thrown_away(tmp_path: Path):
    first = Answers(tmp_path / "out.csv", QUESTION)
    for key, said in (("top", r"other options \(top\)"), ("model", "another model")):
        assert Answers(tmp_path / "out.csv", QUESTION | {key: 1}).done == set()  # there was no answer yet
        first = Answers(tmp_path / "out.csv", QUESTION)
        first.add(FOUND[0])
        first._flush()
        with pytest.raises(InputError, match=said):
            Answers(tmp_path / "out.csv", QUESTION | {key: 1})
        assert Answers(tmp_path / "out.csv", QUESTION).done == {"a.png"}
        assert Answers(tmp_path / "out.csv", QUESTION | {key: 1}, force=True).done == set()


def test_a_partial_file_of_another_kind_is_left_alone(tmp_path: Path):
    partial = tmp_path / "out.csv.partial"
    for content in (b"path,label\n", b"notes", b'{"a": 1}\n'):
        partial.write_bytes(content)
        with pytest.raises(InputError, match="no interrupted prediction"):
            Answers(tmp_path / "out.csv", QUESTION)
        assert partial.read_bytes() == content
    partial.write_bytes(b'{"model": "ab')  # killed within the first line
    assert Answers(tmp_path / "out.csv", QUESTION).done == set()


def test_targets_that_cannot_be_are_one_line(tmp_path: Path):
    (tmp_path / "there.csv").write_text("")
    (tmp_path / "link.csv.partial").symlink_to(tmp_path / "there.csv")
    for name, said in (("x.txt", r"ends in \.csv"), ("there.csv", "add --force"), ("link.csv", "is a link")):
        with pytest.raises(InputError, match=said):
            Answers(tmp_path / name, QUESTION)
    Answers(tmp_path / "there.csv", QUESTION, force=True)
