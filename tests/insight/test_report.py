import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from alexnet.artifacts import card as cards
from alexnet.device import environment
from alexnet.errors import InputError
from alexnet.insight import plots
from alexnet.insight.report.write import write_report
from alexnet.models import catalog

EVIL = "<script>alert('x')</script>&\"'"
NETWORK = catalog.create("alexnet-caltech-lrn", classes=2)
CARD = cards.make(
    NETWORK,
    ("ak47", EVIL),
    NETWORK.spec.preprocessing,
    recipe="caltech256-as-published",
    title=EVIL,
    source=f"A page {EVIL}",
    license="BSD-3-Clause",
    init="keras-glorot",
    parameters=14674221,
    flops=1,
    data={
        "name": "folder",
        "path": f"/data/{EVIL}",
        "fingerprint": "ab" * 32,
        "train": 4000,
        "validation": 1102,
        "test": 1102,
        "validation_is_test": False,
    },
    figures={
        "epochs": 2,
        "epoch": 2,
        "selection": "validation",
        "seconds": 3725.0,
        "in_training": {"top1": 0.25, "top5": 0.5, "loss": 6.5, "count": 1102, "precision": "bf16"},
        "validation": {"top1": 0.2712, "top5": 0.5, "loss": 6.5, "count": 1102},
        "test": {"top1": 0.2599, "top5": 0.51, "loss": 6.75, "count": 1102},
    },
    published=[
        {"name": "test accuracy", "value": 0.2613, "unit": "accuracy", "note": "30 epochs"},
        {"name": "train accuracy", "value": 0.939, "unit": "accuracy", "note": EVIL},
        {"name": "test loss", "value": 7.0082, "unit": "loss", "note": ""},
        {"name": "time of an epoch", "value": 117, "unit": "seconds", "note": "a laptop"},
    ],
    environment=environment(torch.device("cpu"), "bf16") | {"cpu": EVIL},
    seed=7,
    sha256={"best": "cd" * 32, "last": "ef" * 32},
).to_json()
ON_TEST = {"top1": 0.2599, "top5": 0.8019, "loss": 6.75, "count": 1102}
ROW = {
    "lr": 0.01,
    "train_loss": 0.5,
    "train_accuracy": 0.8125,
    "val_loss": 6.5,
    "val_accuracy": 0.25,
    "val_top5": 0.5,
    "images_per_second": 1234.5,
}


def lines(*rows: dict) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def run(tmp_path) -> Path:
    (tmp_path / "recipe.toml").write_text(f'name = "caltech256-as-published" # {EVIL}\n')
    return tmp_path


@pytest.fixture
def finished(run) -> Path:
    (run / "card.json").write_text(json.dumps(CARD))
    rows = [ROW | {"epoch": i, "seconds": 1862.5 * i} for i in (1, 2)]
    (run / "metrics.jsonl").write_text(lines(*rows))
    (run / "findings.jsonl").write_text(
        lines({"kind": "overfitting", "epoch": 2, "step": 64, "seen": EVIL, "cause": "few images", "fix": "augment"})
    )
    (run / "skipped.txt").write_text("".join(f"{EVIL}{i}.jpg\ttruncated\n" for i in range(60)))
    (run / "plots").mkdir()
    plots.curves(rows, run / "plots/curves.png")
    plots.confusion(np.eye(2, dtype=np.int64), ["a", "b"], run / "plots/confusion.png")
    plots.worst([], [], [], [], run / "plots/worst.png")
    plots.sample_grid(np.zeros((4, 8, 8, 1), np.uint8), list("abcd"), run / "plots/samples.png")
    return run


class Page(HTMLParser):
    """Checks that elements close in order; collects tags, attributes and text."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], "", []
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data + "\n"


def test_a_finished_run(finished):
    page = Page(write_report(finished))
    assert page.tags.count("img") == 5
    for expected in (
        "27.12%",
        "25.99%",
        "14,674,221",
        "1 h 02 min",
        "alexnet-caltech",
        f"sha256 {'ab' * 32}",
        f"sha256 {'cd' * 32}",
        "60 files could not be read or used",
        "… and 10 more",
        "size 5, alpha 0.0001, beta 0.75, k 2.0, divide ",
        "epoch 2 of 2, the best on the validation split",
        "2 epochs, measured in bf16",
        "1,102 images, fp32",
        "BSD-3-Clause",
    ):
        assert expected in page.text, expected


def test_published_figures_stand_beside_ours(finished):
    page = write_report(finished).read_text(encoding="utf-8")
    cells = [re.findall("<td>(.*?)</td>", row)[:4] for row in re.findall("<tr><td>.*?</tr>", page)]
    assert cells[:4] == [
        ["test accuracy", "26.13%", "25.99%", "test, 1,102 images, fp32"],
        ["train accuracy", "93.90%", "81.25%", "training, epoch 2, bf16"],
        ["test loss", "7.0082 loss", "6.7500", "test, 1,102 images, fp32"],
        ["time of an epoch", "117 seconds", "–", ""],
    ]


def test_a_published_experiment_that_validated_on_the_test_set_says_so(finished):
    assert "validated on the test set" not in Page(write_report(finished)).text
    card = CARD | {
        "data": CARD["data"] | {"validation_is_test": True},
        "figures": CARD["figures"] | {"selection": "last epoch", "validation": None, "test": ON_TEST},
        "published": [*CARD["published"], {"name": "top-5 accuracy", "value": 0.8179, "unit": "top-5", "note": ""}],
    }
    (finished / "card.json").write_text(json.dumps(card))
    text = Page(write_report(finished)).text
    assert "80.19%" in text
    assert "This published experiment validated on the test set, so the validation figures" in text
    assert "the best on the validation" not in text
    assert "epoch 2, the last; the test split validated and chose nothing" in text


def test_nothing_of_a_stranger_becomes_markup_and_nothing_is_loaded(finished):
    page = Page(write_report(finished))
    assert "script" not in page.tags
    assert page.text.count("<script>alert(") > 50, "shown as text"
    assert not [value for name, value in page.attributes if name in ("href", "onerror")]
    assert all(value.startswith("data:image/") for name, value in page.attributes if name == "src")
    assert "url(" not in (finished / "report.html").read_text(encoding="utf-8")


def test_a_run_that_has_only_begun(run):
    page = Page(write_report(run))
    assert "img" not in page.tags
    assert re.findall("<h2>(.*?)</h2>", (run / "report.html").read_text(encoding="utf-8")) == ["Recipe"]


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(InputError, match=r"is not a run: it has no recipe\.toml"):
        write_report(tmp_path)
