"""Several labels an image through every verb: train, resume, evaluate, predict, report, compare and export work, the
others say in one line that they do not."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.inference.data import dataset_for
from alexnet.inference.label_evaluation import evaluate_labels
from alexnet.inference.label_measures import measure_labels
from alexnet.inference.model import load_model
from alexnet.insight import compare
from alexnet.insight.evaluated_labels import describe as of_evaluation
from alexnet.insight.report.content import describe
from alexnet.insight.report.write import report
from alexnet.pages.chinese import CHINESE
from alexnet.pages.text import Words

SMALL = ("--set", "model.name=alexnet-digits", "--set", "data.resize=8", "--set", "train.least_steps=0",
         "--set", "train.precision=fp32", "--set", "augment.pca_color=0.0")  # fmt: skip


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Sentences of documents that have no Chinese, as they are met."""
    found: list[str] = []
    plain = Words.__call__

    def checked(self: Words, text: str, /, **values: object) -> str:
        found.extend([] if text in CHINESE else [text])
        return plain(self, text, **values)

    monkeypatch.setattr(Words, "__call__", checked)
    return found


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
@pytest.mark.parametrize("kind", ["folds", "seeds"])
def test_folds_and_seeds(tagged: Any, tmp_path: Path, command: Callable, kind: str) -> None:
    out, times = tmp_path / "runs", {"folds": 3, "seeds": 2}[kind]
    asked = ("train", "--data", tagged.images, "--labels", tagged.table, *SMALL, "--epochs", 2, "--out", out)
    ended = command(*asked, f"--{kind}", times)
    assert ended.code == 0, ended.err
    for line in ("validation, last epoch, mAP  ", "validation, best epoch, mAP  ", "test, mAP  "):
        assert any(said.startswith(line) and f"n = {times}" in said for said in ended.out.splitlines()), line
    summary = json.loads((out / "summary.json").read_text())
    runs = [Run(path.parent) for path in sorted(out.glob("*/card.json"))]
    assert len(runs) == times == summary["test_map"]["n"]
    assert summary["test_map"]["mean"] == pytest.approx(np.mean([run.card.figures.test.map for run in runs]))  # pyright: ignore
    assert summary["last_map"]["mean"] == pytest.approx(np.mean([run.metrics[-1]["val_map"] for run in runs]))
    validated = [name for run in runs for name in run.split.validation]  # pyright: ignore[reportOptionalMemberAccess]
    if kind == "folds":  # each of the 120 training images once, every label in every fold
        assert len(validated) == len(set(validated)) == 120
        assert all(run.card.thresholds.count == 40 for run in runs)  # pyright: ignore[reportOptionalMemberAccess]
    else:
        assert runs[0].card.thresholds != runs[1].card.thresholds
    page = (out / "compare.html").read_text(encoding="utf-8")
    assert "mAP" in page


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
                     "class", "AP", "threshold", "below", "measured: the 30 "):  # fmt: skip
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


def test_evaluate_writes_a_page(tagged: Any, tmp_path: Path, command: Callable) -> None:
    place = tmp_path / "page.html"
    said = command("evaluate", tagged.run.path, "--page", place).out
    assert said.endswith(f"wrote {place}\n")
    page = place.read_text(encoding="utf-8")
    found = json.loads(command("evaluate", tagged.run.path, "--json").out)
    wrong = round(30 * (1 - found["exact"]))
    assert page.count("data:image") == wrong + 1, "each mistake, and the reliability diagram"
    for expected in (f"{found['map']:.2%}", f"{found['micro_f1']:.4f}", f"{found['exact']:.2%}", f"{found['ece']:.2%}",
                     "highest F1 on 18 validation images", "Calibration", "<td>below", "→"):  # fmt: skip
        assert expected in page, expected
    for absent in ("top-1", "confusions", ">nan"):
        assert absent not in page.lower(), absent


def test_the_pages_words_have_their_chinese(tagged: Any, missing: list[str]) -> None:
    model = load_model(tagged.run, several=True)
    dataset = dataset_for(model, tagged.images, "test", labels=tagged.table)
    seen = evaluate_labels(model, dataset)
    page = of_evaluation(measure_labels(seen, model.classes, model.card.thresholds, 1.5), dataset, "x", Words("zh"))
    assert page.language == "zh"
    perfect = replace(seen, probabilities=seen.targets.astype(np.float32))
    of_evaluation(measure_labels(perfect, model.classes, None), dataset, "x", Words("zh"))
    assert missing == []


def test_calibration_is_fitted_on_validation_kept_and_applied(tagged: Any, tmp_path: Path, command: Callable) -> None:
    copied = tmp_path / "run"
    shutil.copytree(tagged.run.path, copied)
    said = command("evaluate", copied, "--calibrate").out
    assert "fitted on 18 validation images and kept in the card" in said
    before = json.loads(command("evaluate", copied, "--json").out)
    after = json.loads(command("evaluate", copied, "--json", "--calibrated").out)
    kept = Run(copied).card.calibration
    assert kept is not None
    assert "temperature" not in before
    assert after["temperature"] == kept.temperature
    for name in ("map", "micro_f1", "macro_f1", "exact"):
        assert after[name] == pytest.approx(before[name], abs=1e-9), name  # the same order, the same labels given
    assert after["loss"] != before["loss"]
    logit = {each["label"]: np.log(each["threshold"] / (1 - each["threshold"])) for each in before["per_class"]}
    for each in after["per_class"]:
        moved = 1 / (1 + np.exp(-logit[each["label"]] / kept.temperature))
        assert each["threshold"] == pytest.approx(moved)
    assert f"(temperature {kept.temperature:.3f} applied)" in command("evaluate", copied, "--calibrated").out
    model = load_model(copied, several=True)
    validation = evaluate_labels(model, dataset_for(model, split="validation"), keep=True)
    scaled = [functional.binary_cross_entropy_with_logits(
        torch.from_numpy(validation.logits) / t, torch.from_numpy(validation.targets).float()
    ).item() for t in (1.0, kept.temperature * 0.9, kept.temperature, kept.temperature * 1.1)]  # fmt: skip
    assert min(scaled) == scaled[2]
    assert kept.ece_before == pytest.approx(measure_labels(validation, model.classes, None).reliability.ece)


def test_calibration_reads_the_table_that_is_given(tagged: Any, tmp_path: Path, command: Callable) -> None:
    copied, moved, table = tmp_path / "run", tmp_path / "moved", tmp_path / "other.csv"
    shutil.copytree(tagged.run.path, copied)
    shutil.copytree(tagged.images, moved)
    head, *lines = tagged.table.read_text().splitlines()
    table.write_text("\n".join([head, *lines[:20], *(x.replace("train", "validation") for x in lines[20:])]) + "\n")
    said = command("evaluate", copied, "--calibrate", "--data", moved, "--labels", table, "--split", "test").out
    record = tagged.run.split
    assert record is not None
    left = [name for name in record.validation if int(name.removesuffix(".png")) >= 20]
    assert f"fitted on {len(left)} validation images" in said  # those that trained are left out


def test_two_processes_measure_what_one_does(tagged: Any, command: Callable) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "alexnet", "evaluate", str(tagged.run.path), "--json", "--processes", "2"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found, own = json.loads(done.stdout), json.loads(command("evaluate", tagged.run.path, "--json").out)
    assert found["count"] == own["count"] == 30
    for name in ("map", "micro_f1", "exact", "loss", "ece"):
        assert found[name] == pytest.approx(own[name], rel=1e-5), name


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


def test_what_leaves_answers_the_same(tagged: Any, tmp_path: Path, command: Callable) -> None:
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


def test_int8_is_measured_by_map_and_refused_where_it_loses_too_much(
    tagged: Any, tmp_path: Path, command: Callable, refused: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    out = tmp_path / "i.onnx"
    asked = ("export", tagged.run.path, "--format", "int8", "--max-loss", 0.1, "--out")
    told = json.loads(command(*asked, out, "--json").out)["int8"]
    own = json.loads(command("evaluate", tagged.run.path, "--json").out)
    assert told["float_map"] == pytest.approx(own["map"], abs=1e-5)
    assert told["lost"] == told["float_map"] - told["int8_map"]
    given = ("evaluate", out, "--data", tagged.images, "--labels", tagged.table, "--split", "test", "--json")
    found = json.loads(command(*given).out)
    assert (found["precision"], found["map"]) == ("int8", pytest.approx(told["int8_map"], abs=1e-6))
    table = tmp_path / "images" / "labels.csv"
    shutil.copytree(tagged.images, table.parent)
    shutil.copy(tagged.table, table)
    said = command(*asked, tmp_path / "j.onnx", "--data", table).out
    assert "mAP " in said
    assert "15 others" in said  # every other of the 30 test images calibrates
    assert "give their table as --labels, or as --data" in refused(*asked, tmp_path / "k.onnx", "--data", table.parent)

    def spoiled(exact: bytes, calibration: np.ndarray) -> bytes:
        graph = onnx.load_model_from_string(quantize(exact, calibration))
        for each in graph.graph.initializer:
            if each.data_type == onnx.TensorProto.INT8:
                each.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(each) * 0, each.name))
        return graph.SerializeToString()

    onnx, int8 = pytest.importorskip("onnx"), pytest.importorskip("alexnet.export.int8")
    quantize = int8.quantize
    monkeypatch.setattr(int8, "quantize", spoiled)
    assert "points of mAP" in refused("export", tagged.run.path, "--format", "int8", "--out", tmp_path / "l.onnx")
    assert not (tmp_path / "l.onnx").exists()


def test_weights_without_their_card_say_that_they_have_no_thresholds(
    tagged: Any, tmp_path: Path, command: Callable
) -> None:
    shutil.copy(tagged.run.path / "best.safetensors", tmp_path / "alone.safetensors")
    said = command("predict", tmp_path / "alone.safetensors", tagged.images / "120.png")
    assert "from 0.5: its card has no thresholds" in said.err


def test_report_and_comparison(tagged: Any, tmp_path: Path, command: Callable, missing: list[str]) -> None:
    copied, other = tmp_path / "copied", tmp_path / "other"
    shutil.copytree(tagged.run.path, copied)
    shutil.copytree(tagged.run.path, other)
    page = report(copied)[0].read_text(encoding="utf-8")
    for expected in ("test mAP", "micro F1", "threshold", "Loss and mAP by epoch", "any number of 3 labels"):
        assert expected in page, expected
    for absent in ("top-5", "Confusion matrix", "balanced accuracy", "Calibration"):
        assert absent not in page, absent
    describe(copied, Words("zh"))
    assert missing == []
    rows = json.loads(command("compare", copied, other, "--json").out)
    assert {row["test_map"] for row in rows} == {tagged.run.card.figures.test.map}
    said = command("compare", copied, other).out
    assert "is not tested" in said


def test_runs_of_both_kinds_are_not_compared(tagged: Any, trained: Run) -> None:
    with pytest.raises(InputError, match=r"names several labels an image and .* one class"):
        compare.compare([tagged.run.path, trained.path])


def test_a_probe_of_images_without_classes_says_what_it_takes(tagged: Any, tmp_path: Path, refused: Callable) -> None:
    """It announced a cross-validation, and then asked for two classes."""
    (tmp_path / "images").mkdir()
    for path in sorted(tagged.images.iterdir())[:20]:
        shutil.copy(path, tmp_path / "images")
    assert refused("probe", tagged.run.path, "--data", tmp_path / "images") == (
        "alexnet: these images come without classes: give a folder with two class folders or more, or a table\n"
    )
    lines = [",".join([*line.split(",")[:1], *line.split(",")[2:]]) for line in tagged.table.read_text().splitlines()]
    (tmp_path / "images" / "labels.csv").write_text("\n".join(lines[:21]))  # no split
    told = refused("probe", tagged.run.path, "--data", tmp_path / "images" / "labels.csv")
    assert told.startswith("alexnet: these images have several labels each, and a probe reads one class an image")


@pytest.mark.parametrize(
    "asked",
    [
        ("doctor", "RUN", "--data", "IMAGES"),
        ("probe", "RUN", "--data", "TABLE"),
        ("bench", "RUN", "--latency"),
        ("check", "--data", "IMAGES", "--weights", "RUN"),
        ("train", "digits", "--set", "model.teacher=RUN", "--out", "OUT"),
        ("evaluate", "RUN", "--reject", "0.5"),
        ("predict", "RUN", "IMAGE", "--reject", "0.5"),
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
    assert "several labels an image" in line or "several labels each" in line
    assert not (tmp_path / "out").exists()
