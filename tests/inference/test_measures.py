"""What `alexnet evaluate` reports beyond accuracy."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from alexnet.artifacts.figures import Calibration
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.files import lock
from alexnet.inference import calibrate, metrics
from alexnet.inference.data import dataset_for
from alexnet.inference.evaluate import evaluate
from alexnet.inference.measures import COLUMNS, check_format, measure, write_predictions
from alexnet.inference.model import Model, load_model
from alexnet.inference.predict import predict


@pytest.fixture
def copied(trained: Run, tmp_path: Path) -> Path:
    """The digits run, to be changed."""
    for name in ("best.safetensors", "card.json", "recipe.toml", "split.json"):
        (tmp_path / name).write_bytes((trained.path / name).read_bytes())
    return tmp_path


def test_kept_log_probabilities_are_those_that_the_figures_come_from(opened: Model) -> None:
    dataset = dataset_for(opened)
    plain, kept = evaluate(opened, dataset), evaluate(opened, dataset, keep=True)
    assert plain.log_probabilities is None
    said = kept.log_probabilities
    assert said is not None
    assert said.shape == (len(dataset), 10)
    assert (said.argmax(1) == kept.predictions).all()
    assert np.exp(said.max(1)) == pytest.approx(kept.probabilities)
    assert -said[np.arange(len(said)), dataset.labels] == pytest.approx(kept.losses)
    assert np.exp(said).sum(1) == pytest.approx(1, abs=1e-5)


def test_the_json_holds_what_the_functions_say(opened: Model) -> None:
    dataset = dataset_for(opened)
    evaluation = evaluate(opened, dataset)
    content = measure(evaluation, dataset.labels, opened.classes, reject=0.5).to_json()
    assert content["top1"] == evaluation.figures.top1
    assert content["precision"] == "fp32"
    assert content["balanced_accuracy"] == metrics.balanced_accuracy(evaluation.confusion)
    assert content["intervals"]["accuracy"][0] < content["top1"] < content["intervals"]["accuracy"][1]
    assert [row["support"] for row in content["per_class"]] == evaluation.confusion.sum(1).tolist()
    assert sum(row["count"] for row in content["confusions"]) <= (evaluation.predictions != dataset.labels).sum()
    assert content["reject"]["coverage"] == (evaluation.probabilities >= 0.5).mean()
    json.dumps(content, allow_nan=False)
    with pytest.raises(InputError, match="probability from 0 to 1"):
        measure(evaluation, dataset.labels, opened.classes, reject=7)


@pytest.mark.parametrize("extension", [".csv", ".jsonl", ".parquet"])
def test_every_image_is_written_once(opened: Model, tmp_path: Path, extension: str) -> None:
    out = tmp_path / f"predictions{extension}"
    parquet = pytest.importorskip("pyarrow.parquet") if extension == ".parquet" else None
    dataset = dataset_for(opened)
    evaluation = evaluate(opened, dataset)
    write_predictions(measure(evaluation, dataset.labels, opened.classes), dataset.names, out)
    if extension == ".csv":
        with open(out, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    elif extension == ".jsonl":
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    else:
        assert parquet
        rows = parquet.read_table(out).to_pylist()
    assert list(rows[0]) == list(COLUMNS)
    assert [row["name"] for row in rows] == list(dataset.names)
    assert [row["predicted"] for row in rows] == [opened.classes[i] for i in evaluation.predictions]
    assert [float(row["probability"]) for row in rows] == pytest.approx(evaluation.probabilities.tolist())


def test_other_formats_are_refused() -> None:
    with pytest.raises(InputError, match=r"\.csv, \.jsonl, \.parquet"):
        check_format(Path("predictions.xlsx"))


def test_a_temperature_changes_probabilities_and_no_class(copied: Path) -> None:
    model = load_model(copied)
    with pytest.raises(InputError, match="is not calibrated"):
        calibrate.calibrated(model)
    dataset = dataset_for(model, split="validation")
    before = evaluate(model, dataset, keep=True)
    found = calibrate.fitted(before, dataset.labels, "validation")
    calibrate.keep(model, found)
    again = load_model(copied)
    assert again.card.calibration == found
    assert evaluate(again, dataset).probabilities == pytest.approx(before.probabilities), "only when it is asked for"
    applied = calibrate.calibrated(again)
    after = evaluate(applied, dataset)
    assert (after.predictions == before.predictions).all()
    assert after.figures.loss <= before.figures.loss
    assert before.log_probabilities is not None
    expected = torch.from_numpy(before.log_probabilities / found.temperature).softmax(1).amax(1)
    assert after.probabilities == pytest.approx(expected.numpy(), abs=1e-5)
    one = predict(applied, [dataset[0][0]], top=1)[0].predictions[0]
    assert one.score == pytest.approx(float(after.probabilities[0]), abs=1e-5)


def test_a_run_that_is_trained_meanwhile_keeps_its_card(copied: Path, refused: Callable[..., str]) -> None:
    model = load_model(copied)
    found = Calibration(temperature=2.0, split="validation", count=1, ece_before=0.1, ece_after=0.1)
    before = (copied / "card.json").read_bytes()
    with lock(copied):  # as training holds it
        assert "is in use by process" in refused("evaluate", copied, "--calibrate")
        with pytest.raises(InputError, match="is in use by process"):
            calibrate.keep(model, found)
    (copied / "best.safetensors").write_bytes(b"of a later epoch")
    with pytest.raises(InputError, match="was replaced while it was calibrated"):
        calibrate.keep(model, found)
    assert (copied / "card.json").read_bytes() == before


def test_the_verb(copied: Path, command: Callable, refused: Callable, tmp_path: Path) -> None:
    assert "is not calibrated" in refused("evaluate", copied, "--calibrated")
    ended = command(
        "evaluate", copied, "--calibrate", "--calibrated", "--reject", 0.5, "--page", tmp_path / "page.html"
    )
    assert ended.code == 0
    for expected in ("kept in the card", "95 % interval", "balanced accuracy", "applied)", "rejecting below 0.5"):
        assert expected in ended.out
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("data:image") > 2
    content = json.loads(command("evaluate", copied, "--json", "--calibrated").out)
    assert content["temperature"] == load_model(copied).card.calibration.temperature  # pyright: ignore
    assert ".csv, .jsonl, .parquet" in refused("evaluate", copied, "--out", tmp_path / "x.txt")
