"""Weights and card come back equal, and two that do not fit each other are refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import alexnet
from alexnet.artifacts import card as cards
from alexnet.artifacts import store
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.files import read_json, write_json
from alexnet.models import catalog


@pytest.fixture
def copied(trained: Run, tmp_path: Path) -> Path:
    """A run's weights and card that a test may spoil."""
    for name in ("best.safetensors", "card.json"):
        shutil.copy(trained.path / name, tmp_path / name)
    return tmp_path


def test_tensors_come_back_equal(tmp_path: Path) -> None:
    state = {"a": torch.randn(3, 4).t(), "b": torch.tensor(7), "c": torch.randn(2, 3, 4, 4)}
    state["c"] = state["c"].to(memory_format=torch.channels_last)
    store.save(tmp_path / "w.safetensors", state)
    loaded = store.load_tensors(tmp_path / "w.safetensors")
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_a_run_opens_by_itself_by_its_folder_and_by_its_file(trained: Run, copied: Path) -> None:
    (copied / "best.safetensors").rename(copied / "mine.safetensors")
    (copied / "card.json").rename(copied / "mine.json")
    ways = (trained, trained.path, str(trained.path), trained.path / "best.safetensors", copied / "mine.safetensors")
    opened = [alexnet.load(way) for way in ways]
    state = store.load_tensors(trained.path / "best.safetensors")
    for model in opened:
        assert model.classes == tuple("0123456789")
        assert model.preprocessing == opened[0].preprocessing
        assert not model.module.training
        assert all(torch.equal(value, state[name]) for name, value in model.module.state_dict().items())


def test_the_last_weights_serve_until_there_are_best_ones(trained: Run, copied: Path) -> None:
    shutil.copy(trained.path / "last.safetensors", copied)
    (copied / "best.safetensors").unlink()
    last = store.load_tensors(trained.path / "last.safetensors")["conv1.weight"]
    assert torch.equal(alexnet.load(copied).module.state_dict()["conv1.weight"], last)


def test_tensors_that_do_not_fit_are_named(copied: Path) -> None:
    path = copied / "best.safetensors"
    write_json(copied / "card.json", read_json(copied / "card.json") | {"sha256": {}})  # else it would say so first
    state = store.load_tensors(path)
    wrong = dict(state) | {"conv9.weight": torch.zeros(1), "conv1.bias": torch.zeros(3)}
    del wrong["conv2.bias"]
    store.save(path, wrong)
    with pytest.raises(InputError) as error:
        alexnet.load(copied)
    for said in (
        "conv2.bias is missing",
        "conv9.weight is not in this network",
        "conv1.bias is (3,), the network wants",
    ):
        assert said in str(error.value)
    store.save(path, {"x": torch.zeros(1)})
    with pytest.raises(InputError, match=r"and [0-9]+ more"):
        alexnet.load(copied)


def test_a_missing_card_or_file_is_told(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run folder or model file"):
        alexnet.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no weights at '.*nothing\.safetensors'"):
        alexnet.load(tmp_path / "nothing.safetensors")
    (copied / "card.json").unlink()
    with pytest.raises(InputError, match="is not a run"):
        alexnet.load(copied)
    store.save(copied / "best.safetensors", store.load_tensors(copied / "best.safetensors"))
    with pytest.raises(InputError, match="has no card: neither in it nor beside it"):
        alexnet.load(copied / "best.safetensors")


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\xff" * 64, b"\x08\0\0\0\0\0\0\0[1,2,3] "])
def test_what_is_not_safetensors_is_refused(copied: Path, content: bytes) -> None:
    (copied / "best.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="not a readable safetensors file"):
        alexnet.load(copied)


def test_cut_short_weights_are_refused(copied: Path) -> None:
    path = copied / "best.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a readable safetensors file"):
        alexnet.load(copied)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "alexnet-digit"}, "did you mean alexnet-digits"),
        ({"name": ["alexnet-digits"]}, "not a card of this version"),
        ({"input": [1, 8]}, "not a card of this version"),
        ({"input": None}, "not a card of this version"),
        ({"classes": 10}, "not a card of this version: classes: "),
        ({"classes": ["a", "b"]}, "does not fit the network"),
        ({"preprocessing": {"sizes": [8, 8]}}, "not a card of this version"),
        ({"preprocessing": {"size": [8, 8], "fit": "x"}}, "preprocessing.fit: Input should be 'crop' or 'squash'"),
        ({"version": 1}, r"written by another version \(1\) of alexnet; this one reads cards of version 2"),
        ({"version": None}, "written by an earlier version of alexnet"),
    ],
)
def test_a_card_that_cannot_be_is_refused(copied: Path, change: dict[str, Any], said: str) -> None:
    write_json(copied / "card.json", read_json(copied / "card.json") | change)
    with pytest.raises(InputError, match=said):
        alexnet.load(copied)


@pytest.mark.parametrize("content", ["{", "[1, 2]", "3", json.dumps({"name": "alexnet-digits"})])
def test_what_is_no_card_is_refused(copied: Path, content: str) -> None:
    (copied / "card.json").write_text(content)
    with pytest.raises(InputError, match=r"is not JSON|is not a model's card"):
        alexnet.load(copied)


def test_other_lrn_constants_are_refused(tmp_path: Path) -> None:
    """The weights would load all the same, and be wrong."""
    module = catalog.create("alexnet-caltech-lrn", classes=2)
    constants = cards.lrn_constants(module)
    assert [row["layer"] for row in constants] == ["norm1", "norm2"]
    assert (constants[0]["size"], constants[0]["k"], constants[0]["beta"]) == (5, 2.0, 0.75)
    store.save(tmp_path / "m.safetensors", module.state_dict())
    card = cards.make(module, ("a", "b"), module.spec.preprocessing).to_json()
    write_json(tmp_path / "m.json", card)
    assert alexnet.load(tmp_path / "m.safetensors").classes == ("a", "b")
    card["lrn"] = [constants[0] | {"alpha": constants[0]["alpha"] / 5}, constants[1]]
    write_json(tmp_path / "m.json", card)
    with pytest.raises(InputError, match="other LRN constants"):
        alexnet.load(tmp_path / "m.safetensors")


def test_what_safetensors_says_of_a_damaged_file_is_printable(tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"\x7f32","shape":[1],"data_offsets":[0,4]}}'
    (tmp_path / "w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(InputError, match="is not a readable safetensors file") as caught:
        store.load_tensors(tmp_path / "w.safetensors")
    assert str(caught.value).isprintable()
