"""MODEL: a run, a weights file, or a network by name, with what its user must know of its weights."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from alexnet.artifacts import store
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.files import sha256, write_json
from alexnet.inference.model import load_model
from alexnet.inference.opening import candidates, open_model
from alexnet.inference.predict import predict
from alexnet.models import catalog
from alexnet.weights import public


@pytest.fixture
def weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def test_a_run_and_its_weights_file(trained: Run, tmp_path: Path) -> None:
    for name in ("best.safetensors", "card.json"):
        shutil.copy(trained.path / name, tmp_path / name)
    for given in (trained, trained.path, str(trained.path), tmp_path / "best.safetensors"):
        opened = open_model(given)
        assert opened.model.card.name == "alexnet-digits"
        assert opened.weights == {"file": "best.safetensors", "sha256": sha256(trained.path / "best.safetensors")}
        assert (opened.remark, opened.missing) == (None, ())


def test_a_network_without_weights_says_so_and_is_the_same_every_time(weights_folder: Path) -> None:
    state = torch.random.get_rng_state()
    first, second, other = (
        open_model("alexnet-digits"),
        open_model("alexnet-digits"),
        open_model("alexnet-digits", seed=1),
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.remark == "alexnet-digits has no trained weights here and is freshly initialized; give trained ones " \
        "with --weights FILE"  # fmt: skip
    assert first.weights == {"initialized": 0}
    assert "fc8" in first.missing
    for mine, same, changed in zip(*(each.model.module.parameters() for each in (first, second, other)), strict=True):
        assert torch.equal(mine, same)
        assert mine.ndim == 1 or not torch.equal(mine, changed)
    assert not first.model.module.training
    assert len(predict(first.model, [np.zeros((8, 8), np.uint8)])[0].predictions) == 5


def test_published_networks_say_where_their_weights_are(weights_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alexnet.inference.opening.choose_device", torch.device)  # nothing is computed: take no memory
    with torch.device("meta"):
        owt, keras = open_model("alexnet-owt", "meta"), open_model("alexnet-tf", "meta")
    assert "alexnet data weights torchvision" in (owt.remark or "")
    assert "alexnet data weights bvlc-alexnet-npy --trust-first" in (keras.remark or "")


def test_weights_in_the_folder_are_found_the_best_first(weights_folder: Path, trained: Run) -> None:
    assert [path.name for path in candidates("alexnet-owt")] == ["alexnet-owt.safetensors", "alexnet-owt-7be5be79.pth"]
    (weights_folder / "torchvision-part.safetensors").touch()
    assert candidates("alexnet-owt")[-1].name == "torchvision-part.safetensors"
    shutil.copy(trained.path / "best.safetensors", weights_folder / "alexnet-digits.safetensors")
    write_json(weights_folder / "alexnet-digits.json", trained.card.to_json())
    opened = open_model("alexnet-digits")
    assert opened.remark == f"weights: {weights_folder / 'alexnet-digits.safetensors'}"
    assert (opened.missing, opened.model.classes) == ((), tuple("0123456789"))
    assert opened.model.preprocessing == load_model(trained).preprocessing
    assert opened.weights["sha256"] == sha256(trained.path / "best.safetensors")


def test_a_part_of_the_weights_says_what_is_missing(weights_folder: Path, tmp_path: Path) -> None:
    whole = catalog.create("alexnet-digits").state_dict()
    part = {name: value for name, value in whole.items() if not name.startswith(("fc7", "fc8"))}
    store.save(tmp_path / "part.safetensors", part)
    opened = open_model("alexnet-digits", weights=tmp_path / "part.safetensors")
    assert opened.missing == ("fc7", "fc8")
    assert (opened.remark or "").endswith(
        "holds conv1, conv2, conv3, conv4, conv5, fc6 alone; fc7, fc8 are freshly initialized"
    )
    assert torch.equal(opened.model.module.get_parameter("fc6.weight"), whole["fc6.weight"])


def test_torchvisions_convolutions(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALEXNET_DATA", str(real_data))
    if any(path.is_file() for path in candidates("alexnet-owt")[:2]):
        pytest.skip("the whole of torchvision's weights is here")
    assert open_model("alexnet-owt").missing == ("fc6", "fc7", "fc8")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("alexnet-digit", "unknown model 'alexnet-digit'; did you mean alexnet-digits"),
        ("runs/none", "no run folder or model file"),
        ("none.safetensors", "no weights at 'none.safetensors'"),
    ],
)
def test_what_is_no_model(given: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_model(given)


def test_foreign_files_are_to_be_imported(trained: Run, tmp_path: Path) -> None:
    (tmp_path / "a.npy").touch()
    with pytest.raises(InputError, match=r"alexnet import .*a\.npy --out a\.safetensors"):
        open_model(tmp_path / "a.npy")
    with pytest.raises(InputError, match="brings its own"):
        open_model(trained, weights=tmp_path / "a.npy")


def test_every_public_file_is_of_a_network_of_the_catalog() -> None:
    assert {each.model for each in public.FILES.values()} <= set(catalog.CATALOG)
