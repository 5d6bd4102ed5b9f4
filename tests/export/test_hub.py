"""The folder of model hubs: written, read again, and nothing in it run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import alexnet
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.export import formats
from alexnet.inference.model import Model


def test_a_folder_is_the_same_model(command, trained: Run, opened: Model, tmp_path: Path):
    out = tmp_path / "hub"
    assert command("export", trained.path, "--format", "hub", "--out", out).code == 0
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "card.json", "config.json", "model.safetensors"]
    again = alexnet.load(out)
    assert again.classes == opened.classes
    assert again.preprocessing == opened.preprocessing
    assert all(torch.equal(a, b) for a, b in zip(again.module.parameters(), opened.module.parameters(), strict=True))
    config = json.loads((out / "config.json").read_text())
    assert config["id2label"]["3"] == opened.classes[3]
    assert config["label2id"][opened.classes[3]] == 3
    readme = (out / "README.md").read_text()
    assert readme.startswith("---\nlicense: ")
    assert 'alexnet.load("FOLDER")  # with card.json in it' in readme
    assert str(Path.home()) not in readme


def test_code_in_a_folder_is_never_run(opened: Model, tmp_path: Path):
    formats.export(opened, "hub", tmp_path / "hub")
    mark = tmp_path / "mark"
    for name in ("modeling_alexnet.py", "__init__.py", "hubconf.py"):
        (tmp_path / "hub" / name).write_text(f"open({str(mark)!r}, 'w')\n")
    config = json.loads((tmp_path / "hub" / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "modeling_alexnet.AlexNet"}
    (tmp_path / "hub" / "config.json").write_text(json.dumps(config))
    alexnet.predict(alexnet.load(tmp_path / "hub"), [np.zeros((8, 8), np.uint8)])
    assert not mark.exists()


def test_a_folder_that_holds_something_is_kept(opened: Model, tmp_path: Path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(InputError, match="makes a folder"):
        formats.export(opened, "hub", tmp_path)
    with pytest.raises(InputError, match="makes a folder"):
        formats.export(opened, "hub", tmp_path / "notes")
    formats.export(opened, "hub", tmp_path, force=True)
    assert (tmp_path / "notes").read_text() == "mine"
    assert (tmp_path / "model.safetensors").is_file()
