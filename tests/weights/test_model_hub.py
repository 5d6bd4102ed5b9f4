"""hub://OWNER/NAME and --push against a stand-in server, in processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import TOKEN, Hub, serving

from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.export import formats
from alexnet.inference.model import Model
from alexnet.weights import hub as hubs

pytest.importorskip("huggingface_hub")


@pytest.fixture
def server() -> Iterator[Hub]:
    with serving() as hub:
        yield hub


@pytest.fixture
def asked(server: Hub, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `alexnet …` with that hub, and with nothing of this user's."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "ALEXNET_OFFLINE"))}
        own |= {"HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}
        command = [sys.executable, "-m", "alexnet", *map(str, arguments)]
        return subprocess.run(command, env=own | environment, capture_output=True, text=True, check=False, cwd=tmp_path)

    return run


def test_a_pushed_model_is_pulled_by_every_verb(
    asked: Callable[..., Any], server: Hub, trained: Run, opened: Model, tmp_path: Path
) -> None:
    export = ("export", trained.path, "--format", "hub", "--out", tmp_path / "out", "--push", "me/digits")
    said = asked(*export, HF_TOKEN=TOKEN)
    assert said.returncode == 0, said.stderr
    assert f"pushed to {server.address}/me/digits" in said.stdout
    assert server.private["me/digits"] is True
    assert sorted(server.repositories["me/digits"]) == ["README.md", "card.json", "config.json", "model.safetensors"]
    for name, content in server.repositories["me/digits"].items():
        assert (tmp_path / "out" / name).read_bytes() == content
    assert asked(*export, "--force", "--public", HF_TOKEN=TOKEN).returncode == 0
    assert server.private["me/digits"] is False

    server.repositories["me/digits"] |= {"modeling_alexnet.py": b"raise SystemExit('run')", "pytorch_model.bin": b"x"}
    found = asked("export", "hub://me/digits", "--format", "safetensors", "--out", tmp_path / "again.safetensors")
    assert found.returncode == 0, found.stderr
    assert (
        "hub://me/digits holds code (modeling_alexnet.py, pytorch_model.bin), which alexnet never runs" in found.stderr
    )
    assert not list((tmp_path / "hf").rglob("*.py"))  # it was not even fetched
    assert json.loads((tmp_path / "again.json").read_text())["classes"] == list(opened.classes)
    code = "import alexnet; m = alexnet.load('hub://me/digits'); print(len(m.classes), m.remark is not None)"
    env = {**os.environ, "HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "hf"), "ALEXNET_OFFLINE": "0"}
    loaded = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert loaded.stdout.split() == ["10", "True"], loaded.stderr
    kept = asked("filters", "hub://me/digits", "--out", tmp_path / "f.png", ALEXNET_OFFLINE="1")
    assert kept.returncode == 0, kept.stderr  # from the cache


def test_what_the_hub_refuses_is_one_line(asked: Callable[..., Any], server: Hub, trained: Run, tmp_path: Path) -> None:
    server.repositories["other/thing"] = {"pytorch_model.bin": b"x", "config.json": b"{}"}
    export = ("export", trained.path, "--format", "hub", "--out", tmp_path / "out", "--push", "me/digits")
    for words, said in (
        (("predict", "hub://me/gone", "x.png"), "hub://me/gone is not there, or is private"),
        (
            ("predict", "hub://other/thing", "x.png"),
            "is no model of alexnet: it has no model.safetensors, but pytorch_",
        ),
        (("predict", "hub://other/thing@v9", "x.png"), "hub://other/thing has no such revision"),
        (("predict", "hub://../etc", "x.png"), "'hub://../etc' is no repository on a hub; write hub://OWNER/NAME"),
        (export, "me/digits: the hub answers 401; log in (hf auth login, or $HF_TOKEN)"),
        ((*export[:-1], "digits"), "--push takes OWNER/NAME on a hub, not 'digits'"),
    ):
        found = asked(*words)
        assert (found.returncode, found.stderr.count("\n")) == (2, 1), found.stderr
        assert said in found.stderr
    found = asked("predict", "hub://me/never", "x.png", ALEXNET_OFFLINE="1")
    assert "hub://me/never is not on this machine, and the hub is not reached" in found.stderr
    found = asked("predict", "hub://me/never", "x.png", HF_ENDPOINT="http://127.0.0.1:9")
    assert (found.returncode, found.stderr.count("\n")) == (2, 1), found.stderr


def test_push_is_for_the_hub_form(refused: Callable[..., str], trained: Run, tmp_path: Path) -> None:
    words = ("export", trained.path, "--out", tmp_path / "m.onnx")
    assert "--push and --public are for --format hub, not onnx" in refused(*words, "--push", "a/b")
    assert "add --push OWNER/NAME" in refused(*words, "--format", "hub", "--public")


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install 'alexnet\[hub\]'"):
        hubs.pulled("hub://me/digits")


def test_code_in_a_folder_is_told(opened: Model, tmp_path: Path, command: Callable[..., Any], trained: Run) -> None:
    formats.export(opened, "hub", tmp_path / "hub")
    (tmp_path / "hub" / "modeling.py").write_text("raise SystemExit\n")
    said = command("filters", tmp_path / "hub", "--out", tmp_path / "f.png")
    assert said.code == 0
    assert "holds code (modeling.py), which alexnet never runs" in said.err


def test_weights_alone_bring_their_card(opened: Model, tmp_path: Path) -> None:
    import alexnet

    formats.export(opened, "hub", tmp_path / "hub")
    (tmp_path / "hub" / "card.json").unlink()
    assert alexnet.load(tmp_path / "hub").classes == opened.classes
