"""The card is one typed value: what it refuses, and what it says of weights that are not ours."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import alexnet
from alexnet.artifacts import card as cards
from alexnet.artifacts import store
from alexnet.artifacts.card import RunCard
from alexnet.artifacts.figures import Figures, interval, spread
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.export import model_card
from alexnet.files import write_json, write_text
from alexnet.inference.model import load_model
from alexnet.models import catalog
from alexnet.weights import public
from alexnet.weights.imports import import_weights

SCHEMA = Path(__file__).parents[2] / "docs" / "card.schema.json"


def test_the_schema_in_docs_is_the_cards_own() -> None:
    """Written by `python -m alexnet.artifacts.card docs/card.schema.json`."""
    assert SCHEMA.read_text(encoding="utf-8") == cards.schema()


def test_a_card_comes_back_equal(trained: Run, tmp_path: Path) -> None:
    odd = trained.card.changed(classes=[*trained.card.classes[:9], "caf\udce9"])  # a folder's name that is not UTF-8
    for card in (trained.card, odd):
        write_json(tmp_path / "card.json", card.to_json())
        assert cards.read(tmp_path / "card.json") == card


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 3),
        ("classes", []),
        ("classes", "0123456789"),
        ("classes.3", 3),
        ("classes.3", "x" * 1001),
        ("input", [1, 8]),
        ("input", [5, 8, 8]),
        ("input", [1, 8, 40_000]),
        ("input", [1, 8, True]),
        ("input", [1, 8, "8"]),
        ("preprocessing.size", [40_000, 40_000]),
        ("preprocessing.mean", [1e400]),
        ("preprocessing.resize", 0),
        ("lrn", {}),
        ("lrn.0.alpha", "1e-4"),
        ("parameters", -1),
        ("parameters", "@"),
        ("seed", 0.5),
        ("data", None),
        ("data.train", True),
        ("data.train", 2**60),
        ("data.path", 7),
        ("data.fingerprint", "ab"),
        ("data.protocol", {"count": 30_000_000}),
        ("data.protocol", {"per_class": "8"}),
        ("figures.selection", "test"),
        ("figures.in_training.top1", 1.5),
        ("figures.validation.count", "359"),
        ("figures.test", []),
        ("environment.threads", None),
        ("environment", {}),
        ("sha256.worst", "0" * 64),
        ("augment.fill", "red"),
        ("augment.shift", 3.0),
        ("published", [{"name": "x"}]),
        ("surplus", 1),
    ],
)
def test_a_wrong_type_anywhere_is_one_line_that_names_it(trained: Run, tmp_path: Path, field: str, value: Any) -> None:
    content = json.loads((trained.path / "card.json").read_text())
    *tables, last = field.split(".")
    place: Any = content
    for table in tables:
        place = place[int(table) if table.isdigit() else table]
    place[int(last) if last.isdigit() else last] = value
    text = json.dumps(content).replace('"@"', "1" + "0" * 5000).replace("Infinity", "1e400")
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(InputError) as refused:
        cards.read(tmp_path / "card.json")
    said = str(refused.value)
    assert "\n" not in said
    assert str(tmp_path / "card.json") in said
    assert last.strip("0123456789") in said or "JSON" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"name": NaN}', "is not JSON: NaN is no number"),
        ('\ufeff{"name": 1}', "is not a model's card"),
        ("null", "is not a model's card"),
    ],
)
def test_other_json_is_refused(tmp_path: Path, content: str, said: str) -> None:
    write_text(tmp_path / "card.json", content)
    with pytest.raises(InputError, match=said):
        cards.read(tmp_path / "card.json")


def test_a_large_or_missing_card_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no card at"):
        cards.read(tmp_path / "card.json")
    monkeypatch.setattr(cards, "MAX_BYTES", 10)
    (tmp_path / "card.json").write_text(" " * 11)
    with pytest.raises(InputError, match="larger than the 10 bytes"):
        cards.read(tmp_path / "card.json")


@pytest.mark.usefixtures("bare")
def test_a_run_carries_the_license_of_the_weights_it_started_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of torchvision's features, as fetched weights are named; then a run that starts from that run."""
    monkeypatch.setattr(public, "folder", lambda: tmp_path)
    settings = {
        "model.name": "alexnet-owt", "data.name": "synthetic", "data.synthetic_images": 24, "train.batch_size": 24,
        "train.epochs": 1,
    }  # fmt: skip
    features = {k: v for k, v in catalog.create("alexnet-owt").state_dict().items() if k.startswith("conv")}
    store.save(tmp_path / "torchvision-features.safetensors", features)
    first = {"model.weights": str(tmp_path / "torchvision-features.safetensors")}
    run = alexnet.train("digits", out=tmp_path / "first", settings=settings | first)
    second = {"model.weights": str(run.path), "model.freeze": ["conv1..fc7"]}
    again = alexnet.train("digits", out=tmp_path / "second", settings=settings | second)
    for card, file in ((run.card, "torchvision-features.safetensors"), (again.card, "best.safetensors")):
        assert card.license == "BSD-3-Clause"
        assert card.pretrained is not None
        assert (card.pretrained.file, card.pretrained.license) == (file, "BSD-3-Clause")
        assert "github.com/pytorch/vision" in card.pretrained.source
    text, _ = model_card.build(alexnet.load(again), None, "x.json")
    assert text.startswith('---\nlicense: "bsd-3-clause"\n')
    assert "License of the weights: BSD-3-Clause." in text
    assert "Training started from pretrained weights: best.safetensors (https://github.com/pytorch/vision" in text
    imported = import_weights(again.path, tmp_path / "copy.safetensors")
    assert (imported.card.license, imported.origin.license) == ("BSD-3-Clause", "BSD-3-Clause")


def test_weights_of_which_nobody_says_a_license_are_unknown(trained: Run, tmp_path: Path) -> None:
    assert (trained.card.license, trained.card.origin) == ("unknown", None)
    torch.save(catalog.create("alexnet-digits").state_dict(), tmp_path / "net.pth")
    card = import_weights(tmp_path / "net.pth", tmp_path / "net.safetensors").card
    assert card.origin is not None
    assert (card.license, card.origin.license) == ("unknown", "unknown")


def test_a_class_name_that_no_card_can_hold_is_told() -> None:
    network = catalog.create("alexnet-digits")
    with pytest.raises(InputError, match=r"cannot be written: classes\.1: String should have at most 1000"):
        cards.make(network, ("a", "x" * 2000, *"cdefghij"), network.spec.preprocessing)


def test_a_loss_that_is_not_finite_is_null() -> None:
    figures = Figures(top1=0.5, top5=1.0, loss=math.nan, count=2)
    assert figures.to_json()["loss"] is None
    assert math.isnan(Figures.parse(figures.to_json(), "x").loss)


def test_the_interval_of_an_accuracy() -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263 by Wilson's method without correction."""
    assert interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert interval(0 / 20, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert interval(1.0, 29)[1] == 1.0
    assert interval(0.5, 0) == (0.0, 1.0)
    assert Figures(top1=0.5, top5=1.0, loss=1.0, count=4).interval == interval(0.5, 4)


def test_the_spread_of_accuracies() -> None:
    found = spread([0.9, 0.92, 0.94])
    half = 4.302653 * 0.02 / 3**0.5  # Student's t for 2 degrees of freedom
    assert (found.n, found.low, found.high) == (3, pytest.approx(0.92 - half, abs=1e-6), pytest.approx(0.92 + half))


def test_only_a_run_has_figures(trained: Run) -> None:
    assert isinstance(load_model(trained).card, RunCard)
