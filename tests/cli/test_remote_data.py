"""`--data https://…` on the command line: which verbs read it, how they end, and what two processes make of it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from shard_server import ShardServer, serving

from alexnet.artifacts.run import Run
from alexnet.data.pack import pack
from alexnet.data.readers.folder import list_folder
from alexnet.data.remote import cache

Command = Callable[..., "tuple[int, str, str]"]
TRAIN = ("train", "digits", "--set=data.name=shards", "--set=train.batch_size=8", "--epochs", "2")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShardServer]:
    """40 images of two classes to train in 4 shards, 20 to test in 2."""
    monkeypatch.delenv("ALEXNET_OFFLINE", raising=False)
    monkeypatch.setenv("ALEXNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "PAUSE", 0.01)
    random = np.random.default_rng(0)
    for index in range(60):
        path = tmp_path / "images" / ("test" if index % 3 == 0 else "train") / f"class{index % 2}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(path)
    listing = list_folder(tmp_path / "images")
    pack(listing, {"channels": 1, "size": (8, 8), "fit": "crop"}, tmp_path / "shards", images=10)
    with serving(tmp_path / "shards") as found:
        yield found


@pytest.mark.usefixtures("bare")
def test_train_evaluate_and_check(server: ShardServer, tmp_path: Path, command: Command) -> None:
    secret = f"{server.url}?sig=abc"
    code, out, err = command(*TRAIN, "--data", secret, "--out", tmp_path / "run")
    assert code == 0, err
    assert "6 shards of" in out
    assert f"read from {server.url}; SHA-256 of index.json" in out
    assert "abc" not in out + err
    for data in (["--data", secret], ["--data", server.folder], []):
        code, own, err = command("evaluate", tmp_path / "run", *data, "--json")
        assert code == 0, err
        assert "abc" not in own + err
        out = out if out.startswith("{") else own
        assert own == out
    code, out, _ = command("check", "--data", secret, "--json")
    assert code == 0
    assert f'"place": "{server.url}"' in out
    assert '"kind": "shards"' in out


@pytest.mark.usefixtures("bare")
def test_what_is_missing_or_skipped_ends_with_its_code(
    server: ShardServer, tmp_path: Path, command: Command, refused: Callable[..., str]
) -> None:
    server.faults["train-000001.tar"] = ["404!"]
    assert f"{server.url}train-000001.tar: " in refused(*TRAIN, "--data", server.url, "--out", tmp_path / "run")
    skip = "--set=data.missing_shards=skip"
    code, out, _ = command(*TRAIN, skip, "--data", server.url, "--out", tmp_path / "run")
    assert code == 3
    assert "10 files could not be read or used" in out
    assert len(Run(tmp_path / "run").skipped) == 10
    code, out, err = command("evaluate", tmp_path / "run", "--split", "validation", "--json")  # as it was trained
    assert code == 0, err
    assert "10 images of shards that cannot be had: left out" in err
    server.faults["index.json"] = ["401!"]
    assert "no permission (the server says 401 Unauthorized)" in refused("evaluate", tmp_path / "run")


def test_other_verbs_refuse_addresses_in_one_line(refused: Callable[..., str], tmp_path: Path) -> None:
    for verb, *more in (
        ("pack", "--data", "https://u:secret@h/x", "--out", tmp_path / "x"),
        ("export", tmp_path, "--out", tmp_path / "x", "--data", "s3://bucket/secret"),
        ("features", "alexnet-digits", "--data", "https://h/x?secret", "--out", tmp_path / "f.npz", "--layers", "fc8"),
        ("train", "digits", "--weights", "https://h/secret"),
    ):
        said = refused(verb, *more)
        assert f"of `alexnet {verb}` is a path on this machine, not an address" in said
        assert "secret" not in said
    said = refused("train", "--data", "https://h/x", "--out", tmp_path / "run")
    assert "--offline, or ALEXNET_OFFLINE, was set" in said


def alexnet(*arguments: object, code: int = 0) -> None:
    done = subprocess.run([sys.executable, "-m", "alexnet", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == code, done.stderr


def test_two_processes_train_and_one_goes_on(server: ShardServer, tmp_path: Path) -> None:
    """They share what is fetched; the weights are those of two processes that read the folder, bit for bit."""
    plain = [*TRAIN, "--set=model.dropout=0.0", "--set=train.precision=fp32", "--device=cpu"]
    alexnet(*plain, "--processes=2", "--data", server.folder, "--out", tmp_path / "here")
    alexnet(*plain, "--processes=2", "--data", server.url, "--out", tmp_path / "there")
    assert sorted(name for name in server.asked if name.endswith(".tar")) == sorted(
        path.name for path in server.folder.glob("*.tar")
    )
    here, there = (load_file(tmp_path / name / "last.safetensors") for name in ("here", "there"))
    assert all((there[name] == value).all() for name, value in here.items())
    alexnet(*plain, "--processes=2", "--data", server.url, "--out", tmp_path / "cut", "--stop-after=1", code=130)
    shutil.rmtree(os.environ["ALEXNET_CACHE"])
    alexnet("train", "--device=cpu", "--resume", "--out", tmp_path / "cut")
    cut = load_file(tmp_path / "cut" / "last.safetensors")
    assert all(np.abs(cut[name] - value).max() < 1e-5 for name, value in here.items())
