import errno
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from alexnet.artifacts import card as cards
from alexnet.artifacts import store
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.files import sha256
from alexnet.inference.model import load_model
from alexnet.models import catalog
from alexnet.models.network import Network
from alexnet.weights import foreign as foreign_module
from alexnet.weights.imports import import_weights


def test_a_card_stands_beside_the_weights(digits: Network, tmp_path: Path):
    names = {f"net.{name}": value for name, value in digits.state_dict().items()}
    torch.save(names, tmp_path / "theirs.pth")
    classes = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    imported = import_weights(tmp_path / "theirs.pth", tmp_path / "ours.safetensors", classes=classes)
    card = cards.read(tmp_path / "ours.json")
    assert card == imported.card
    assert card.imported == imported.origin
    spec = catalog.get("alexnet-digits")
    assert card.preprocessing.colors == "L"
    assert [norm.alpha for norm in card.lrn] == [1e-4, 1e-4]
    assert card.source == spec.source
    assert card.license == "unknown"
    assert imported.origin.sha256 == sha256(tmp_path / "theirs.pth")
    assert imported.origin.layers["fc8"] == "net.fc8"
    assert load_model(tmp_path / "ours.safetensors").classes == classes


def test_our_own_run_keeps_its_card(trained: Run, tmp_path: Path):
    imported = import_weights(trained.path, tmp_path / "copy.safetensors")
    digest = {"weights": sha256(tmp_path / "copy.safetensors")}
    assert imported.card == trained.card.changed(imported=imported.origin.to_json(), sha256=digest)


def test_a_partial_file_is_written_as_it_is_and_says_so(digits: Network, tmp_path: Path):
    partial = {f"x.{name}": value for name, value in digits.state_dict().items() if not name.startswith("fc")}
    torch.save(partial, tmp_path / "part.pth")
    imported = import_weights(tmp_path / "part.pth", tmp_path / "part.safetensors")
    assert imported.card.name == "alexnet-digits"
    assert imported.missing[0] == "fc6.weight"
    with pytest.raises(InputError, match=r"fc6\.weight is missing"):
        load_model(imported.path)


def test_nothing_is_written_when_it_fails(digits: Network, tmp_path: Path, nothing_written: Callable[[], bool]):
    torch.save(digits.state_dict(), tmp_path / "net.pth")
    for out, model, classes, said in (
        ("out.safetensors", "alexnet-owt", None, "is no alexnet-owt"),
        ("out.safetensors", "alexnet-digit", None, "did you mean alexnet-digits"),
        ("out.safetensors", None, ("a", "b"), "2 class names for 10 outputs"),
        ("out.h5", None, None, "X.safetensors"),
        ("out.safetensors", None, ("crane", "x", "crane", *"abcdefg"), "'crane' names the outputs 0, 2"),
        ("out.safetensors", None, ("caf\u00e9", "cafe\u0301", *"abcdefgh"), "names the outputs 0, 1"),
        ("no/out.safetensors", None, None, "no folder"),
    ):
        with pytest.raises(InputError, match=said):
            import_weights(tmp_path / "net.pth", tmp_path / out, model, classes)
    assert nothing_written()


def test_a_file_that_changes_after_it_was_checked_changes_nothing(
    digits: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What is hashed, checked and loaded is one reading of the file."""
    path = tmp_path / "net.pth"
    torch.save(digits.state_dict(), path)
    digest = sha256(path)
    read = foreign_module.read

    def read_then_change(wanted: Path | str) -> foreign_module.Source:
        source = read(wanted)
        path.write_bytes(b"something else entirely")
        return source

    monkeypatch.setattr("alexnet.weights.recognize.read", read_then_change)
    imported = import_weights(path, tmp_path / "ours.safetensors")
    assert imported.origin.sha256 == digest
    loaded = store.load_tensors(imported.path)
    assert all(torch.equal(value, loaded[name]) for name, value in digits.state_dict().items())


def test_the_file_that_is_read_is_never_written(digits: Network, tmp_path: Path):
    store.save(tmp_path / "net.safetensors", digits.state_dict())
    with pytest.raises(InputError, match="the file that is read"):
        import_weights(tmp_path / "net.safetensors", tmp_path / "net.safetensors")


def test_a_full_disk_changes_neither_the_weights_nor_their_card(
    digits: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    torch.save(digits.state_dict(), tmp_path / "net.pth")
    out = tmp_path / "ours.safetensors"
    import_weights(tmp_path / "net.pth", out)
    torch.save({name: value + 1 for name, value in digits.state_dict().items()}, tmp_path / "net.pth")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    left = [1]  # the weights still find room on the disk, their card does not

    def fsync(handle: int) -> None:
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        left.pop()

    monkeypatch.setattr("os.fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        import_weights(tmp_path / "net.pth", out, classes=tuple("abcdefghij"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
