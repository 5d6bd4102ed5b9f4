"""Judging what cannot be judged: one line, and nothing is overwritten."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from alexnet.artifacts.run import Run
from alexnet.pages import html


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A file that must stay as it is."""
    path = tmp_path / "kept.html"
    path.write_text("mine", encoding="utf-8")
    return path


def copy(run: Run, to: Path, *names: str) -> Path:
    to.mkdir()
    for name in ("recipe.toml", "card.json", "metrics.jsonl", *names):
        shutil.copy(run.path / name, to / name)
    return to


def test_a_page_bears_no_other_kinds_name(refused: Callable, tmp_path: Path, trained: Run) -> None:
    """HTML was written into page.pdf."""
    page, images = tmp_path / "page.pdf", tmp_path / "images"
    images.mkdir()
    assert "end it in .html" in refused("check", "--data", images, "--out", page)
    assert "end it in .html" in refused("evaluate", trained.path, "--page", page)
    assert not page.exists()


def test_an_empty_folder(refused: Callable, tmp_path: Path, kept: Path, trained: Run) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "is not a run" in refused("report", empty, "--out", kept, "--force")
    assert "is not a run" in refused("report", trained.path, empty, "--out", kept, "--force")
    assert "is not a run" in refused("compare", trained.path, empty, "--out", kept, "--force")
    refused("check", "--data", empty, "--out", kept, "--force")
    refused("evaluate", empty, "--page", kept, "--force")
    refused("evaluate", trained.path, "--data", empty, "--page", kept, "--force")
    assert kept.read_text(encoding="utf-8") == "mine"


def test_a_run_without_predictions(command: Callable, trained: Run, tmp_path: Path) -> None:
    bare = copy(trained, tmp_path / "bare")
    ended = command("report", bare, "--format", "md", "--out", tmp_path / "r.md")
    assert (ended.code, ended.out.count("not drawn: ")) == (0, 1)
    compared = command("compare", bare, trained.path)
    assert compared.code == 0
    assert "warning: bare has no predictions.npz: it is compared by its figures only" in compared.out


def test_runs_with_other_class_names_are_compared_under_a_warning(
    command: Callable, trained: Run, tmp_path: Path
) -> None:
    other = copy(trained, tmp_path / "other", "predictions.npz")
    card = json.loads((other / "card.json").read_text(encoding="utf-8"))
    card["classes"] = [f"digit {name}" for name in card["classes"]]
    (other / "card.json").write_text(json.dumps(card), encoding="utf-8")
    ended = command("compare", trained.path, other, "--out", tmp_path / "page.html")
    assert ended.code == 0
    assert "were measured on different images or classes" in ended.out
    assert "do not say which is better" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert command("report", trained.path, other, "--out", tmp_path / "both.html").code == 0


@pytest.mark.parametrize("broken", ["{% for %}", "{{ nothing.there.at.all }}", "{% include 'nowhere' %}"])
def test_a_broken_template(
    broken: str, refused: Callable, trained: Run, tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "templates"
    shutil.copytree(html.TEMPLATES, folder)
    (folder / "document.html").write_text(broken, encoding="utf-8")
    monkeypatch.setattr(html, "TEMPLATES", folder)
    html.environment.cache_clear()
    copied = copy(trained, tmp_path / "run", "predictions.npz")
    try:
        assert "document.html" in refused("report", copied, "--out", kept, "--force")
        assert "document.html" in refused("compare", copied, "--out", kept, "--force")
    finally:
        html.environment.cache_clear()
    assert kept.read_text(encoding="utf-8") == "mine"
