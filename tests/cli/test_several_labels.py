"""Several labels an image through every verb: train, resume, evaluate, predict, report, compare and export work, the
others say in one line that they do not."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.insight import compare
from alexnet.insight.report.content import describe
from alexnet.insight.report.write import report
from alexnet.pages.chinese import CHINESE
from alexnet.pages.text import Words

SMALL = ("--set", "model.name=alexnet-digits", "--set", "data.resize=8", "--set", "train.least_steps=0",
         "--set", "train.precision=fp32", "--set", "augment.pca_color=0.0")  # fmt: skip


@pytest.mark.usefixtures("bare")
def test_train_and_resume_are_one_run(tagged: Any, tmp_path: Path, command: Callable[..., Any]) -> None:
    asked = ("train", "--data", tagged.images, "--labels", tagged.table, *SMALL)
    assert command(*asked, "--out", tmp_path / "whole", "--epochs", 3).code == 0
    assert command(*asked, "--out", tmp_path / "parts", "--epochs", 3, "--stop-after", 1).code == 130
    assert command("train", "--resume", "--out", tmp_path / "parts").code == 0
    one, other = (Run(tmp_path / name) for name in ("whole", "parts"))
    assert (one.path / "best.safetensors").read_bytes() == (other.path / "best.safetensors").read_bytes()
    assert one.card.thresholds == other.card.thresholds
    assert [row["val_map"] for row in one.metrics] == [row["val_map"] for row in other.metrics]
    best = max(one.metrics, key=lambda row: (row["val_map"], -row["val_loss"]))
    assert one.card.figures.epoch == best["epoch"]


@pytest.mark.usefixtures("bare")
def test_a_separator_trains_and_measures(tagged: Any, tmp_path: Path, command: Callable, refused: Callable) -> None:
    rows = list(csv.DictReader(tagged.table.read_text().splitlines()))
    joined = ["|".join(name for name in ("left", "right", "below") if row[name] == "1") for row in rows]
    lines = [f"{row['file']},{row['split']},{own}" for row, own in zip(rows, joined, strict=True) if own]
    table = tmp_path / "joined.csv"
    table.write_text("file,split,labels\n" + "\n".join(lines) + "\n")
    asked = ("train", "--data", tagged.images, "--labels", table, "--out", tmp_path / "run", "--epochs", 1, *SMALL)
    assert "--label-separator '|' reads them so" in refused(*asked)
    assert command(*asked, "--label-separator", "|").code == 0
    own = json.loads(command("evaluate", tmp_path / "run", "--json").out)
    given = ("evaluate", tmp_path / "run", "--json", "--data", tagged.images, "--labels")
    assert json.loads(command(*given, table).out)["map"] == own["map"]  # with the separator of training
    semicolons = tmp_path / "semicolons.csv"
    semicolons.write_text(table.read_text().replace("|", ";"))
    assert json.loads(command(*given, semicolons, "--label-separator", ";").out)["map"] == own["map"]
    assert "class 'left;below', which training never saw" in refused(*given, semicolons)


def test_evaluate_prints_every_class_and_writes_every_image(tagged: Any, tmp_path: Path, command: Callable) -> None:
    said = command("evaluate", tagged.run.path, "--out", tmp_path / "p.jsonl").out
    for expected in ("mAP ", "micro F1 ", "95 % interval of mAP", "at thresholds chosen on 18 validation images",
                     "class", "AP", "threshold", "below"):  # fmt: skip
        assert expected in said, expected
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert len(rows) == 30
    truth = {row["file"]: [n for n in ("left", "right", "below") if row[n] == "1"]
             for row in csv.DictReader(tagged.table.read_text().splitlines())}  # fmt: skip
    thresholds = dict(zip(tagged.run.card.classes, tagged.run.card.thresholds.values, strict=True))
    for row in rows:
        assert json.loads(row["labels"]) == truth[row["name"]]
        given = [name for name in thresholds if row[f"probability {name}"] >= thresholds[name]]
        assert json.loads(row["predicted"]) == given
        assert row["correct"] == (given == truth[row["name"]])
    found = json.loads(command("evaluate", tagged.run.path, "--json").out)
    assert {each["label"]: each["threshold"] for each in found["per_class"]} == pytest.approx(thresholds)
    assert found["thresholds"] == {"split": "validation", "count": 18}


def test_predict_marks_and_writes_what_is_given(tagged: Any, tmp_path: Path, command: Callable) -> None:
    images = [tagged.images / f"{number:03}.png" for number in (120, 121, 122)]
    shown = command("predict", tagged.run.path, *images)
    assert "multi-label: a label is given (*) from its threshold, chosen on 18 validation images" in shown.err
    said = json.loads(command("predict", tagged.run.path, *images, "--json").out)
    assert shown.out.count("* ") == sum(len(each["labels"]) for each in said)
    command("predict", tagged.run.path, *images, "--out", tmp_path / "p.csv")
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    assert [row["labels"].split("|") if row["labels"] else [] for row in rows] == [each["labels"] for each in said]
    assert [row["label"] for row in rows] == [each["predictions"][0]["label"] for each in said]


def test_what_leaves_answers_the_same(tagged: Any, tmp_path: Path, command: Callable, refused: Callable) -> None:
    pytest.importorskip("onnxruntime")
    own = json.loads(command("evaluate", tagged.run.path, "--json").out)
    for form, name in (("onnx", "m.onnx"), ("torch", "m.pt2"), ("safetensors", "s.safetensors"), ("hub", "hub")):
        assert command("export", tagged.run.path, "--format", form, "--out", tmp_path / name).code == 0
        asked = ("evaluate", tmp_path / name, "--data", tagged.images, "--labels", tagged.table, "--json")
        found = json.loads(command(*asked, "--split", "test").out)
        assert found["map"] == pytest.approx(own["map"], abs=1e-6), form
        assert found["micro_f1"] == pytest.approx(own["micro_f1"]), form
        assert found["loss"] == pytest.approx(own["loss"], rel=1e-3), form
    import onnxruntime

    session = onnxruntime.InferenceSession((tmp_path / "m.onnx").read_bytes())
    assert [each.name for each in session.get_outputs()] == ["probabilities", "names"]  # where softmax stands else
    probabilities = np.asarray(session.run(["probabilities"], {"images": np.zeros((1, 8, 8, 1), np.uint8)})[0])
    assert probabilities.sum() != pytest.approx(1.0)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    config = json.loads((tmp_path / "hub" / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"
    readme = (tmp_path / "hub" / "README.md").read_text()
    assert '"mean_average_precision"' in readme
    assert "| class | AP | threshold | precision | recall | images |" in readme
    for form, name in (("int8", "i.onnx"), ("web", "w"), ("web-int8", "w8")):
        assert f"format {form} is for models that name one class" in refused(
            "export", tagged.run.path, "--format", form, "--out", tmp_path / name
        )


def test_weights_without_their_card_say_that_they_have_no_thresholds(
    tagged: Any, tmp_path: Path, command: Callable
) -> None:
    shutil.copy(tagged.run.path / "best.safetensors", tmp_path / "alone.safetensors")
    said = command("predict", tmp_path / "alone.safetensors", tagged.images / "120.png")
    assert "from 0.5: its card has no thresholds" in said.err


def test_report_and_comparison(tagged: Any, tmp_path: Path, command: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    copied, other = tmp_path / "copied", tmp_path / "other"
    shutil.copytree(tagged.run.path, copied)
    shutil.copytree(tagged.run.path, other)
    page = report(copied)[0].read_text(encoding="utf-8")
    for expected in ("test mAP", "micro F1", "threshold", "Loss and mAP by epoch", "any number of 3 labels"):
        assert expected in page, expected
    for absent in ("top-5", "Confusion matrix", "balanced accuracy", "Calibration"):
        assert absent not in page, absent
    missing: list[str] = []
    plain = Words.__call__

    def checked(self: Words, text: str, /, **values: object) -> str:
        missing.extend([] if text in CHINESE else [text])
        return plain(self, text, **values)

    monkeypatch.setattr(Words, "__call__", checked)
    describe(copied, Words("zh"))
    assert missing == []
    rows = json.loads(command("compare", copied, other, "--json").out)
    assert {row["test_map"] for row in rows} == {tagged.run.card.figures.test.map}
    said = command("compare", copied, other).out
    assert "is not tested" in said


def test_runs_of_both_kinds_are_not_compared(tagged: Any, trained: Run) -> None:
    with pytest.raises(InputError, match=r"names several labels an image and .* one class"):
        compare.compare([tagged.run.path, trained.path])


@pytest.mark.parametrize(
    "asked",
    [
        ("what-if", "RUN", "IMAGE"),
        ("serve", "RUN"),
        ("doctor", "RUN", "--data", "IMAGES"),
        ("bench", "RUN", "--latency"),
        ("check", "--data", "IMAGES", "--weights", "RUN"),
        ("check", "--data", "TABLE"),
        ("pack", "--data", "TABLE", "--out", "OUT"),
        ("train", "digits", "--set", "model.teacher=RUN", "--out", "OUT"),
        ("evaluate", "RUN", "--reject", "0.5"),
        ("evaluate", "RUN", "--calibrate"),
        ("evaluate", "RUN", "--calibrated"),
        ("evaluate", "RUN", "--corruptions"),
        ("evaluate", "RUN", "--page", "OUT"),
        ("predict", "RUN", "IMAGE", "--reject", "0.5"),
        ("predict", "RUN", "IMAGE", "--copy-to", "OUT"),
    ],
)
def test_who_takes_one_class_says_so(tagged: Any, tmp_path: Path, refused: Callable, asked: tuple[str, ...]) -> None:
    place = tmp_path / "images"
    shutil.copytree(tagged.images, place)
    shutil.copy(tagged.table, place / "labels.csv")
    said = {"RUN": tagged.run.path, "IMAGES": tagged.images, "IMAGE": tagged.images / "120.png",
            "TABLE": place / "labels.csv", "OUT": tmp_path / "out"}  # fmt: skip
    words = []
    for each in asked:
        key, sign, value = each.rpartition("=")
        words.append(f"{key}{sign}{said.get(value, value)}" if sign else said.get(each, each))
    line = refused(*words)
    assert "several labels an image" in line
    assert not (tmp_path / "out").exists()
