import json
from typing import Any

import numpy as np
import pytest

from alexnet.artifacts.card import RunCard
from alexnet.artifacts.figures import Figures, score
from alexnet.export import model_card as cards
from alexnet.inference.evaluate import Evaluation
from alexnet.inference.model import Model


def head(text: str) -> dict[str, Any]:
    """The YAML between the dashes: each value is JSON, which is YAML."""
    _, between, _ = text.split("---\n", 2)
    return {key: json.loads(value) for key, value in (line.split(": ", 1) for line in between.splitlines())}


def test_from_a_run(opened: Model):
    text, content = cards.build(opened, None, "README.json")
    found = head(text)
    assert (found["license"], found["library_name"]) == ("unknown", "alexnet")
    assert isinstance(opened.card, RunCard)
    assert "whoever trained them decides on their license" in text
    assert f"these weights are those of {opened.card.figures.chosen}" in text
    measured = content["measured"]
    assert measured["split"] == "validation"
    assert measured["top1"] == pytest.approx(score(opened.card.figures.final))
    (model,) = found["model-index"]
    (result,) = model["results"]
    assert result["metrics"][0] == {"type": "accuracy", "name": "top-1 (fp32)", "value": round(measured["top1"], 6)}
    for title in ("Use", "Data", "Training", "Figures", "Per class", "Limits", "License and source"):
        assert f"\n## {title}\n" in text
    assert 'name = "digits"' in text
    assert "torch" in text
    assert opened.card.data.fingerprint in text
    assert content["card"]["data"]["path"] is None
    assert sum(row["images"] for row in content["per_class"]) == measured["count"] == 359


def test_per_class():
    confusion = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    figures = Figures(top1=7 / 8, top5=1.0, loss=0.1, count=8)
    nothing = np.empty(0)
    rows = cards.Measured("test", Evaluation(figures, nothing, nothing, nothing, confusion)).per_class(("a", "b", "c"))
    assert rows == [
        {"name": "a", "precision": 1.0, "recall": 0.75, "images": 4},
        {"name": "b", "precision": 0.8, "recall": 1.0, "images": 4},
        {"name": "c", "precision": None, "recall": None, "images": 0},
    ]


def test_without_images_the_recorded_figures_stand(opened: Model, make):
    text, content = cards.build(make("alexnet-two-class"), None, "x.json")
    assert content["measured"] is None
    assert content["per_class"] == []
    assert "Not measured" in text
    assert "unknown" in text
    assert "About the architecture: the report's results are the TensorFlow network's" in text


def test_many_classes_show_the_worst(monkeypatch):
    monkeypatch.setattr(cards, "_ROWS", 2)
    rows = [{"name": n, "precision": 1.0, "recall": r, "images": 1} for n, r in (("a|b", 0.5), ("b", None), ("c", 0.1))]
    text = cards._classes(rows, "x.json")
    assert text.index("| c |") < text.index("| a\\|b |")
    assert "x.json has all 3" in text


def test_public_leaves_the_model_as_it_is(opened: Model):
    assert isinstance(opened.card, RunCard)
    card = opened.card.changed(data=opened.card.data.to_json() | {"path": "/home/me"})
    assert (card.public().data.path, card.data.path) == (None, "/home/me")


def test_a_recipe_names_weights_without_their_folder(tmp_path):
    (tmp_path / "recipe.toml").write_text('[model]\nweights = "/home/me/w.npy"\nname = "a/b"\n')
    assert cards._recipe(tmp_path) == '[model]\nweights = "w.npy"\nname = "a/b"\n'
    assert cards._recipe(tmp_path / "none") is None
