"""`alexnet serve`: what it refuses before it listens, and what it says when it does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alexnet.artifacts.run import Run

pytest.importorskip("starlette", reason="serving needs: pip install 'alexnet[serve]'")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Nothing is served: the applications that would be."""
    from alexnet.serving import server

    apps: list[Any] = []
    monkeypatch.setattr(server, "run", lambda app, listening: apps.append(app))
    return apps


def test_it_says_where_it_serves(command: Callable, trained: Run, ran: list[Any]) -> None:
    ended = command("serve", trained.path, trained.path, "--port", 0)
    assert ended.code == 0
    assert ended.out.startswith("serving 2 models on http://127.0.0.1:")
    assert len(ran) == 1
    open_to_all = command("serve", trained.path, "--port", 0, "--host", "0.0.0.0")
    assert "bearer token" in open_to_all.out


def test_without_a_model_the_demo_is_trained_once(
    command: Callable, ran: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare: None
) -> None:
    monkeypatch.chdir(tmp_path)
    from alexnet.experiments import train as module

    plain, calls = module.train, []
    monkeypatch.setattr(module, "train", lambda *a, **k: (calls.append(a), plain(*a, **k, epochs=1))[1])
    for _ in range(2):
        assert command("serve", "--port", 0).code == 0
    assert (tmp_path / "runs" / "digits" / "best.safetensors").is_file()
    assert len(calls) == 1


def test_bad_input(refused: Callable, trained: Run, tmp_path: Path, ran: list[Any]) -> None:
    assert "no run folder or model file" in refused("serve", tmp_path / "nothing", "--port", 0)
    assert "choose another with --host and --port" in refused("serve", trained.path, "--host", "256.1.1.1")
    assert "precision" in refused("serve", trained.path, "--port", 0, "--precision", "fp8")
