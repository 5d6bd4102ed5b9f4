import json
from pathlib import Path

import pytest
import torch

from alexnet.artifacts import card as cards
from alexnet.artifacts.figures import Figures
from alexnet.device import environment
from alexnet.errors import InputError
from alexnet.insight.compare import HEAD, compare, line, write_comparison
from alexnet.models import catalog

DATA = {"name": "cifar10", "path": None, "fingerprint": "ab" * 32, "train": 800, "validation": 100, "test": 100}
PUBLISHED = [
    {"name": "test accuracy", "value": 0.9, "unit": "accuracy", "note": "<300 epochs>"},
    {"name": "training accuracy", "value": 0.99, "unit": "accuracy", "note": ""},
]
ENVIRONMENT = environment(torch.device("cpu"), "fp32")


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two runs: one that validated on the test split as its source did, one that has a test figure."""
    folders = []
    for name, on_test, test in (("one", True, None), ("two", False, Figures(top1=0.7, top5=0.9, loss=1.0, count=100))):
        folder = tmp_path / name
        folder.mkdir()
        figures = Figures(top1=0.65, top5=0.9, loss=1.0, count=100)
        network = catalog.create("alexnet-cifar10")
        card = cards.make(
            network,
            tuple("0123456789"),
            network.spec.preprocessing,
            recipe="cifar10",
            seed=0,
            data=DATA | {"validation_is_test": on_test},
            figures={
                "epochs": 2, "epoch": 2, "selection": "last epoch" if on_test else "validation", "seconds": 61.0,
                "in_training": figures, "validation": None if on_test else figures, "test": test or figures,
            },
            published=PUBLISHED,
            environment=ENVIRONMENT,
            sha256={},
        )  # fmt: skip
        (folder / "card.json").write_text(json.dumps(card.to_json()))
        rows = [
            {"epoch": e, "seconds": 30.0 * e, "train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0}
            | {"val_accuracy": 0.65, "val_top5": 0.9, "lr": 0.1, "images_per_second": 9.0}
            for e in (1, 2)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        folders.append(folder)
    return folders


def test_what_was_validated_on_the_test_split_is_a_test_figure(runs: list[Path]) -> None:
    one, two = compare(runs)
    assert (one["val_accuracy"], one["test_accuracy"]) == (None, 0.65)
    assert (two["val_accuracy"], two["test_accuracy"]) == (0.65, 0.7)


def test_the_published_figure_is_not_that_of_training(runs: list[Path]) -> None:
    assert compare(runs)[0]["published"] == 0.9
    assert dict(zip(HEAD, line(compare(runs)[1]), strict=True))["published"] == "90.00%"


def test_the_page_holds_both_curves(runs: list[Path], tmp_path: Path) -> None:
    write_comparison(runs, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2
    assert "1 min 01 s" in page
    assert "&lt;300 epochs&gt;" in page


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"card\.json"):
        compare([tmp_path])


def test_runs_of_one_name_are_refused(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="same name"):
        write_comparison([runs[0], runs[0]], tmp_path / "page.html")
