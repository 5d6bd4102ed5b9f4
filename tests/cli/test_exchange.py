import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from alexnet.artifacts import card as cards
from alexnet.artifacts import store
from alexnet.artifacts.run import Run
from alexnet.data.dataset import Dataset
from alexnet.data.readers.digits import read_digits
from alexnet.files import write_json
from alexnet.inference.model import load_model
from alexnet.insight.doctor import examine
from alexnet.models import catalog
from alexnet.weights import public

Command = Callable[..., Any]


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """The small network under another's names."""
    state = catalog.create("alexnet-digits").state_dict()
    torch.save({f"net.{name}": value for name, value in state.items()}, tmp_path / "theirs.pth")
    return tmp_path / "theirs.pth"


def test_import_says_what_became_what(command: Command, theirs: Path, tmp_path: Path):
    ended = command("import", theirs, "--out", tmp_path / "ours.safetensors")
    assert ended.code == 0
    assert "alexnet-digits, 263,306 parameters, from own" in ended.out
    assert "fc8      ← net.fc8" in ended.out
    assert "license: unknown" in ended.out
    assert "preprocessing: that of alexnet-digits, as the file says none; outputs are named 0 to 9" in ended.out
    names = tmp_path / "names.txt"
    names.write_text("\n".join("abcdefghij"), encoding="utf-8")
    ended = command("import", theirs, "--out", tmp_path / "ours.safetensors", "--classes", names, "--json", "--force")
    assert json.loads(ended.out)["classes"] == list("abcdefghij")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.h5", "--out", "x.safetensors"], "no weights at"),
        (["theirs.pth", "--out", "x.safetensors", "--model", "caffenet"], "is no caffenet"),
        (["theirs.pth", "--out", "x.safetensors", "--classes", "none.txt"], "class name per line"),
    ],
)
def test_what_cannot_be_imported_is_one_line(
    arguments: list[str], said: str, refused: Callable[..., str], theirs: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(theirs.parent)
    assert said in refused("import", *arguments)
    assert not Path("x.safetensors").exists()


def test_data_lists_and_fetches_public_weights(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert "bvlc-alexnet" in command("data", "weights").out
    assert "choose one of: weights, mnist, fashion-mnist" in command("data", "images").err
    monkeypatch.setattr(public, "fetch", lambda url, path, **_: path)
    ended = command("data", "weights", "torchvision", "--out", tmp_path)
    assert str(tmp_path / "alexnet-owt-7be5be79.pth") in ended.out
    assert "--model alexnet-owt" in ended.out


def test_data_lists_and_fetches_public_image_sets(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = command("data").out
    assert all(name in listed for name in ("mnist", "fashion-mnist", "cifar10", "cifar100", "caltech256"))
    monkeypatch.setattr("alexnet.data.public_sets.fetch", lambda url, path, **_: path)
    assert command("data", "cifar10", "--out", tmp_path).out == f"{tmp_path}\n"
    assert "downloads all files" in command("data", "cifar10", "train").err


def test_a_file_in_the_way_of_a_folder_is_told(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "there is a file where a folder is needed" in refused("data", "cifar10", "--out", tmp_path / "file")


@pytest.fixture
def mistaken(trained: Run, tmp_path: Path) -> Path:
    """The trained digits with a card that says other preprocessing than they were trained with."""
    store.save(tmp_path / "net.safetensors", store.load_tensors(trained.path / "best.safetensors"))
    card = trained.card
    wrong = card.preprocessing.to_json() | {"scale": 1.0, "mean": [0.0], "std": [1.0]}
    write_json(tmp_path / "net.json", card.changed(preprocessing=wrong, sha256={}).to_json())
    return tmp_path / "net.safetensors"


@pytest.fixture
def easy(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Digits in place of a folder of images."""
    dataset = read_digits().subset(np.arange(0, 600, 3))
    monkeypatch.setattr("alexnet.insight.doctor.dataset_for", lambda *_, **__: dataset)
    return dataset


def test_doctor_finds_what_the_weights_want(command: Command, mistaken: Path, easy: Dataset):
    ended = command("doctor", mistaken, "--data", mistaken.parent, "--images", 100, "--json")
    found = json.loads(ended.out)
    best = found["trials"][0]
    assert best["range"].startswith("0 to 1")
    assert best["top1"] > found["own"]["top1"] + 0.1
    assert found["images"] == 100
    text = command("doctor", mistaken, "--data", mistaken.parent, "--images", 100).out
    assert f"best match: L, {best['range']}" in text


def test_doctor_leaves_a_right_card_alone_and_the_model_as_it_was(trained: Run, easy: Dataset):
    opened = load_model(trained)
    before = cards.lrn_constants(opened.module)
    diagnosis = examine(opened, trained.path, 100)
    assert diagnosis.best.loss <= diagnosis.own.loss
    assert (diagnosis.own.top1 or 0) > 0.9
    assert cards.lrn_constants(opened.module) == before
    assert opened.card == trained.card
