"""Weights and card are one: killed or out of room anywhere, a reader finds both old or both new; others are refused."""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import alexnet
from alexnet.artifacts import card as cards
from alexnet.artifacts import pairing, store
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.export.formats import export
from alexnet.files import read_json, sha256, write_json, write_together
from alexnet.inference.opening import open_model
from alexnet.models import catalog
from alexnet.preprocessing import MeanImage, Preprocessing
from alexnet.weights.imports import import_weights
from alexnet.weights.load import load_into

OLD, NEW = tuple("abcdefghij"), tuple("ABCDEFGHIJ")


class Killed(BaseException):
    """As SIGKILL: nothing after it happens."""


def theirs(path: Path, seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    state = {f"net.{name}": value for name, value in catalog.create("alexnet-digits").state_dict().items()}
    torch.save(state, path)
    return state


def seen(path: Path) -> tuple[tuple[str, ...], float]:
    """Class names and a number of the weights, as every reader has them."""
    model = alexnet.load(path)
    network = catalog.create("alexnet-digits")
    loaded = load_into(network, path)
    assert loaded.classes == model.classes
    first = model.module.state_dict()["conv1.weight"].flatten()[0].item()
    assert network.state_dict()["conv1.weight"].flatten()[0].item() == first
    return model.classes, first


@pytest.mark.parametrize(
    ("call", "how"),
    [("replace", "killed before"), ("replace", "killed after"), ("replace", "full disk"), ("fsync", "full disk")],
)
def test_an_import_that_ends_anywhere_leaves_old_or_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, how: str
) -> None:
    out, real = tmp_path / "net.safetensors", getattr(os, call)
    old, new = (theirs(tmp_path / f"{name}.pth", seed) for seed, name in enumerate(("old", "new")))
    first = [state["net.conv1.weight"].flatten()[0].item() for state in (old, new)]
    both = [(OLD, first[0]), (NEW, first[1])]
    found = []
    for place in range(6):
        for each in (*tmp_path.glob("net*"), *tmp_path.glob(".net*")):
            each.unlink()
        import_weights(tmp_path / "old.pth", out, classes=OLD)
        calls = iter(range(100))

        def fails(*given: object, at: int = place, calls: Iterator[int] = calls) -> None:
            if next(calls) != at:
                return real(*given)
            if how == "killed after":
                real(*given)
            raise OSError(errno.ENOSPC, "No space left on device") if how == "full disk" else Killed

        with monkeypatch.context() as patch:
            patch.setattr(os, call, fails)
            if how != "full disk":
                patch.setattr(os, "unlink", lambda *_: None)  # the dead tidy nothing
            try:
                import_weights(tmp_path / "new.pth", out, classes=NEW)
            except (Killed, OSError):
                assert next(calls) <= 4
                found.append(seen(out))
                assert found[-1] in both
                continue
        break
    assert seen(out) == both[1]
    assert len(found) >= 2
    assert found[0] == both[0]
    if (call, how) == ("replace", "killed after"):
        assert found[-1] == both[1]


def test_mean_images_are_replaced_with_their_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, real = tmp_path / "net.safetensors", os.replace
    network = catalog.create("alexnet-digits")

    def write(level: float) -> None:
        mean = MeanImage(np.full((8, 8, 1), level, np.float32))
        own = Preprocessing((8, 8), colors="L", scale=1.0, mean_image=mean)
        card = cards.make(network, OLD if level == 1 else NEW, own)
        state = {name: value * 0 + level for name, value in network.state_dict().items()}
        write_together(pairing.pair(weights, card, state, mean)[0])

    def seen() -> list[float]:
        model = alexnet.load(weights)
        mean = model.preprocessing.mean_image
        assert mean is not None
        return [
            mean.pixels.max().item(),
            model.module.state_dict()["fc8.bias"][0].item(),
            1 if model.classes == OLD else 2,
        ]

    for place in range(3):
        write(1)
        calls = iter(range(9))

        def killed(*given: str, at: int = place, calls: Iterator[int] = calls) -> None:
            real(*given)
            if next(calls) == at:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", killed)
            with pytest.raises(Killed):
                write(2)
        assert seen() == ([2, 2, 2] if place == 2 else [1, 1, 1])


def test_swapped_weights_are_refused(trained: Run, tmp_path: Path, refused: Callable[..., str]) -> None:
    theirs(tmp_path / "one.pth", 1)
    theirs(tmp_path / "two.pth", 2)
    for name, classes in (("one", OLD), ("two", NEW)):
        import_weights(tmp_path / f"{name}.pth", tmp_path / f"{name}.safetensors", classes=classes)
    shutil.copy(tmp_path / "two.safetensors", tmp_path / "one.safetensors")
    said = r"one\.safetensors' is not the file that one\.json describes \(its SHA-256 differs\)"
    for reader in (
        lambda: alexnet.load(tmp_path / "one.safetensors"),
        lambda: open_model(tmp_path / "one.safetensors"),
        lambda: load_into(catalog.create("alexnet-digits"), tmp_path / "one.safetensors"),
        lambda: import_weights(tmp_path / "one.safetensors", tmp_path / "three.safetensors"),
    ):
        with pytest.raises(InputError, match=said):
            reader()
    run = tmp_path / "run"
    shutil.copytree(trained.path, run)
    store.save(run / "best.safetensors", store.load_tensors(run / "best.safetensors"))  # the same, without its card
    assert "best.safetensors' is not the file that card.json describes" in refused("evaluate", run)


def test_a_card_that_names_no_file_must_be_alike(tmp_path: Path) -> None:
    """As earlier versions wrote it; class names that a user has changed in a card that names the file are kept."""
    path = tmp_path / "net.safetensors"
    theirs(tmp_path / "net.pth", 1)
    import_weights(tmp_path / "net.pth", path, classes=OLD)
    content = read_json(tmp_path / "net.json")
    write_json(tmp_path / "net.json", content | {"classes": list(NEW)})
    assert alexnet.load(path).classes == NEW
    write_json(tmp_path / "net.json", content | {"sha256": {}, "replaces": []})
    assert alexnet.load(path).classes == OLD
    write_json(tmp_path / "net.json", content | {"sha256": {}, "replaces": [], "classes": list(NEW)})
    with pytest.raises(InputError, match="is not the file"):
        alexnet.load(path)
    store.save(path, store.load_tensors(path))  # neither names the other: taken as they are
    assert alexnet.load(path).classes == NEW


def test_weights_hold_their_card(trained: Run, tmp_path: Path) -> None:
    """One file is enough, and two equal runs write the same bytes: nothing in it depends on time or machine."""
    shutil.copy(trained.path / "best.safetensors", tmp_path / "alone.safetensors")
    model = alexnet.load(tmp_path / "alone.safetensors")
    assert model.classes == trained.card.classes
    assert model.preprocessing == alexnet.load(trained).preprocessing
    assert type(model.card) is cards.Card
    assert sha256(trained.path / "best.safetensors") == trained.card.sha256["best"]
    assert sha256(trained.path / "last.safetensors") == trained.card.sha256["last"]
    held = json.loads(store.load_file(trained.path / "best.safetensors")[1][pairing.KEY])
    assert not {"figures", "environment", "data", "sha256", "replaces"} & held.keys()
    store.save(tmp_path / "alone.safetensors", store.load_tensors(tmp_path / "alone.safetensors"))
    with pytest.raises(InputError, match="has no card: neither in it nor beside it"):
        alexnet.load(tmp_path / "alone.safetensors")


@pytest.mark.parametrize(
    "said", ["{", "[]", '{"name": 1}', "[" * 20_000, '{"name": "x", "classes": 1, "preprocessing": 2}']
)
def test_a_card_in_a_strangers_weights_is_checked(tmp_path: Path, said: str) -> None:
    import safetensors.torch

    state = catalog.create("alexnet-digits").state_dict()
    (tmp_path / "net.safetensors").write_bytes(safetensors.torch.save(state, {pairing.KEY: said}))
    for read in (alexnet.load, lambda path: load_into(catalog.create("alexnet-digits"), path)):
        with pytest.raises(InputError, match=r"the card in .*net\.safetensors' "):
            read(tmp_path / "net.safetensors")


@pytest.mark.parametrize("place", range(4))
def test_a_run_that_is_killed_while_it_keeps_an_epoch_is_whole(
    bare: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """Of the second epoch: card, best and last are renamed one by one."""
    settings = {"data.name": "synthetic", "data.synthetic_images": 40, "data.resize": 8, "train.epochs": 2}
    whole = alexnet.train("digits", out=tmp_path / "whole", settings=settings)
    real, calls, digests = os.replace, iter(range(99)), set[str]()

    def killed(source: str, target: Path) -> None:
        real(source, target)
        if Path(target).name in ("card.json", "best.safetensors", "last.safetensors") and next(calls) == 2 + place:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(Killed):
            alexnet.train("digits", out=tmp_path / "run", settings=settings)
    model = alexnet.load(tmp_path / "run")
    assert model.classes == whole.card.classes
    digests.add(model.weights["sha256"])
    run = alexnet.train(None, out=tmp_path / "run", resume_run=True)
    assert run.card.sha256 == whole.card.sha256
    assert not run.card.replaces
    assert alexnet.load(run).weights["sha256"] == whole.card.sha256["best"]


def test_what_is_replaced_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, name in enumerate(("one", "two")):
        theirs(tmp_path / f"{name}.pth", seed)
    path = tmp_path / "net.safetensors"
    import_weights(tmp_path / "one.pth", path, classes=OLD)
    real, swaps = store.load_file, [1]

    def load_file(wanted: Path) -> object:
        found = real(wanted)
        if swaps:
            swaps.pop()
            import_weights(tmp_path / "two.pth", path, classes=NEW)
        return found

    monkeypatch.setattr(store, "load_file", load_file)
    assert alexnet.load(path).classes == NEW


def test_exports_are_pairs(trained: Run, tmp_path: Path) -> None:
    model = alexnet.load(trained)
    export(model, "safetensors", tmp_path / "net.safetensors")
    export(model, "hub", tmp_path / "hub")
    for path, file in ((tmp_path / "net.safetensors", "net.safetensors"), (tmp_path / "hub", "model.safetensors")):
        again = alexnet.load(path)
        assert again.card.sha256 == {"weights": again.weights["sha256"]}
        assert again.weights["file"] == file
    assert sha256(trained.path / "best.safetensors") == again.weights["sha256"]  # the same weights are the same bytes
    theirs(tmp_path / "other.pth", 1)
    import_weights(tmp_path / "other.pth", tmp_path / "hub" / "model.safetensors")
    (tmp_path / "hub" / "model.json").unlink()
    with pytest.raises(InputError, match="is not the file"):
        alexnet.load(tmp_path / "hub")
