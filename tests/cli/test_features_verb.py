"""`alexnet features` as a shell sees it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet.artifacts.run import Run
from alexnet.inference.feature_read import read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        place = tmp_path / "images" / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)).save(place)
    return tmp_path / "images"


def test_features_are_written_and_checked(trained: Run, folder: Path, tmp_path: Path, command: Callable) -> None:
    out = tmp_path / "f.npz"
    ended = command(
        "features", trained.path, "--data", folder, "--layers", "conv5:pre, features.11", "--out", out, "--json"
    )
    assert ended.code == 0
    said = json.loads(ended.out)
    assert said["layers"] == {"conv5:pre": [64, 4, 4], "features.11": [64, 4, 4]}
    assert (said["images"], said["skipped"]) == (6, [])
    command_said = (read(out).provenance or {})["command"]
    assert command_said.startswith("alexnet features")
    assert "--layers 'conv5:pre, features.11'" in command_said
    checked = command("features", trained.path, "--data", folder, "--check", out)
    assert (checked.code, checked.out.splitlines()[-1]) == (0, "the features agree")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "a" / "0.png")
    changed = command("features", trained.path, "--data", folder, "--check", out, "--json")
    assert (changed.code, json.loads(changed.out)["changed_images"]) == (3, ["a/0.png"])


def test_a_broken_image_is_listed_and_ends_with_3(
    trained: Run, folder: Path, tmp_path: Path, command: Callable
) -> None:
    (folder / "a" / "2.png").write_bytes(b"broken")
    ended = command("features", trained.path, "--data", folder, "--out", tmp_path / "f.npy")
    assert ended.code == 3
    assert "skipped a/2.png: not an image" in ended.err
    assert "fc7: 5 × 128" in ended.out


def test_a_network_by_name_says_that_it_is_untrained(
    folder: Path, tmp_path: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    ended = command("features", "alexnet-digits", "--data", folder, "--out", tmp_path / "f.npy")
    assert ended.code == 0
    assert "freshly initialized; give trained ones with --weights" in ended.err
    said = command("predict", "alexnet-digits", folder / "a" / "0.png")
    assert said.code == 0
    assert "freshly initialized" in said.err


def test_bad_input_is_one_line(trained: Run, folder: Path, tmp_path: Path, refused: Callable) -> None:
    out, given = tmp_path / "f.npy", ("features", trained.path, "--data", folder)
    assert "unknown layer 'conv9'; choose one of: conv1, relu1" in refused(*given, "--layers", "conv9", "--out", out)
    assert "give --out F" in refused(*given)
    assert "give MODEL and --data" in refused("features", "--check", out)
    assert "must be one of: .npz" in refused(*given, "--out", tmp_path / "f.doc")
    assert "no feature file" in refused(*given, "--check", tmp_path / "none.npy")
    (tmp_path / "empty").mkdir()
    assert "is not a run" in refused("features", tmp_path / "empty", "--data", folder, "--out", out)
    assert "unknown preprocessing" in refused(*given, "--out", out, "--preprocess", "mine")
    assert not out.exists()
