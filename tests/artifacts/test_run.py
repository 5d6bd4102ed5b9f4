"""A run's folder: where a new one may begin, and which one may go on."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from alexnet.artifacts import predictions
from alexnet.artifacts.rows import Finding, Row
from alexnet.artifacts.run import Run, begin, check_free, ended, finished, resume
from alexnet.errors import InputError
from alexnet.recipes import recipe as recipes
from alexnet.recipes.schema import Recipe


def test_a_run_begins_in_a_new_or_an_empty_folder(tmp_path: Path) -> None:
    recipe = recipes.load("digits")
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new/deep"):
        run = begin(recipe, tmp_path / name)
        assert run.recipe == recipe
        assert run.metrics == []


def test_a_run_is_finished_when_its_report_is_there(trained: Run, tmp_path: Path) -> None:
    for name in ("recipe.toml", "card.json", "metrics.jsonl"):
        shutil.copy(trained.path / name, tmp_path / name)
    run = Run(tmp_path)
    assert ended(run, run.recipe)
    assert not finished(run, run.recipe)
    run.report.write_text("")
    assert finished(run, run.recipe)


def test_without_a_folder_runs_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [begin(recipes.load("digits"), None).path for _ in range(3)]
    assert runs == [Path("runs/digits"), Path("runs/digits-2"), Path("runs/digits-3")]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    begin(Recipe(), tmp_path / "run")
    for name, said in [
        ("file", "is a file"),
        ("other", "something else"),
        ("run", "already holds a run; add --resume"),
    ]:
        with pytest.raises(InputError, match=said):
            check_free(tmp_path / name)
        with pytest.raises(InputError, match=said):
            begin(Recipe(), tmp_path / name)
    with pytest.raises(InputError, match="a part of its path, is a file"):
        begin(Recipe(), tmp_path / "file" / "run")
    assert (tmp_path / "file").read_text() == (tmp_path / "other" / "thesis.txt").read_text() == "mine"


def test_a_run_goes_on_with_its_own_recipe_and_more_epochs(tmp_path: Path) -> None:
    began = recipes.load("digits", {"train.epochs": 2, "optimizer.lr": 0.5})
    begin(began, tmp_path / "run")
    assert resume(None, tmp_path / "run", {})[1] == began
    assert resume(began, tmp_path / "run", {})[1] == began
    run, longer = resume(None, tmp_path / "run", {"train.epochs": 5})
    assert run == Run(tmp_path / "run")
    assert (longer.train.epochs, longer.optimizer.lr) == (5, 0.5)
    assert resume(None, tmp_path / "run", {"data.workers": 2})[1].data.workers == 2
    # The recipe by name, as it was begun: how long it runs need not be said again.
    assert resume("digits", tmp_path / "run", {"optimizer.lr": 0.5})[1].train.epochs == 2


@pytest.mark.parametrize(
    ("recipe", "changes", "said"),
    [
        ("digits", {"optimizer.lr": 0.9}, "started with another recipe: optimizer.lr differ"),
        (None, {"model.name": "alexnet-mnist"}, "model.name differ"),
        ("mnist", {}, "model.name, model.init, data.name"),
        (None, {"train.seed": 1}, "resuming may change only train.epochs"),
    ],
)
def test_a_run_does_not_go_on_as_another(
    tmp_path: Path, recipe: str | None, changes: dict[str, Any], said: str
) -> None:
    begin(recipes.load("digits"), tmp_path / "run")
    with pytest.raises(InputError, match=said):
        resume(recipe, tmp_path / "run", changes)


def test_what_is_no_run_does_not_go_on(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run"):
        resume(None, tmp_path, {})
    with pytest.raises(InputError, match="needs --out"):
        resume(None, None, {})


def test_the_page_of_a_run_folder_names_every_file_and_field(trained: Run) -> None:
    page = (Path(__file__).parents[2] / "docs/RUNS.md").read_text(encoding="utf-8")
    assert [entry.name for entry in trained.path.iterdir() if f"`{entry.name}" not in page] == []
    fields = [*Row.model_fields, *Finding.model_fields, *predictions._KINDS]
    assert [name for name in fields if f"`{name}`" not in page] == []
