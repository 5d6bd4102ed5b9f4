"""`alexnet reproduce` as a shell sees it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from alexnet.artifacts.run import Run

NOTHING = ("--budget", "0")


@pytest.fixture(autouse=True)
def no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("HOME", str(tmp_path))


def test_without_data_it_says_so_for_each_experiment(command: Callable, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    ended = command("reproduce", "mnist", "cifar100", "--out", out, *NOTHING)
    assert (ended.code, ended.err) == (0, "")
    for recipe, data in (("mnist-as-published", "mnist"), ("mnist-resnet20", "mnist"), ("cifar100", "cifar100"),
                         ("mnist-resnet56-as-published", "mnist")):  # fmt: skip
        assert f"not run: {recipe}: data for {data} not here" in ended.out
    assert "mnist: no data for mnist: run `alexnet data mnist`, or put train-images-idx3-ubyte" in ended.out
    assert f"into {tmp_path / 'nowhere' / 'mnist'} or {tmp_path / '.cache' / 'alexnet' / 'mnist'}" in ended.out
    assert "--data" not in ended.out  # reproduce has no such option
    assert command("reproduce", "mnist", "--out", tmp_path / "asked").code == 3  # nothing of what was asked for ran
    assert ended.out.splitlines()[-1] == f"table: {out / 'reproduction.md'}"
    said = command("reproduce", "mnist", "--out", out, "--json", *NOTHING)
    assert json.loads(said.out) == json.loads((out / "reproduction.json").read_text())
    assert [row["name"] for row in json.loads(said.out)] == ["mnist-alexnet", "mnist-resnet56", "mnist-resnet20"]


def test_what_is_wrong_is_told_in_one_line(refused: Callable, tmp_path: Path, trained: Run) -> None:
    assert "did you mean cifar10-as-published" in refused("reproduce", "cifar10-as-publishd", "--out", tmp_path / "out")
    assert "written as 30m" in refused("reproduce", "--budget", "soon", "--out", tmp_path / "out")
    assert "is a file" in refused("reproduce", "--out", trained.path / "card.json", *NOTHING)
