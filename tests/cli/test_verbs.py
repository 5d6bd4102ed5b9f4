"""The verbs as a shell sees them: what they print, their JSON, and their exit codes."""

import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import alexnet
from alexnet.artifacts.figures import score
from alexnet.artifacts.run import Run
from alexnet.cli.registry import VERBS, function_of
from alexnet.cli.screen import table
from alexnet.models import catalog
from alexnet.recipes import recipe as recipes

TINY = [
    f"--set={setting}"
    for setting in ("data.name=synthetic", "data.synthetic_images=40", "train.batch_size=16", "train.epochs=2")
]


def shell(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_verb_is_a_function_with_the_line_of_its_help() -> None:
    for verb, line in VERBS.items():
        assert (inspect.getdoc(function_of(verb)) or "").partition("\n")[0] == line, verb


@pytest.mark.parametrize("arguments", [["--help"], [], *([verb, "--help"] for verb in VERBS), ["recipes"]])
def test_what_needs_no_torch_does_not_wait_for_it(arguments: list[str]) -> None:
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('torch' in sys.modules or 'numpy' in sys.modules))\n"
        f"sys.argv = ['alexnet', *{arguments}]\n"
        "from alexnet.cli import main; main()"
    )
    ended = shell("-c", code)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(("Usage: alexnet", "recipe"))
    assert ended.stdout.endswith("False\n")


def test_python_m_alexnet_is_the_command() -> None:
    ended = shell("-m", "alexnet", "--version")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{alexnet.__version__}\n", "")


def test_models_lists_every_network(command: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    some = {name: catalog.CATALOG[name] for name in ("alexnet-digits", "alexnet-cifar10", "resnet-20")}
    monkeypatch.setattr(catalog, "CATALOG", some)  # all of them are built in tests/models
    rows = json.loads(command("models", "--json").out)
    assert [row["name"] for row in rows] == list(some)
    wanted = {"name", "parameters", "trainable_parameters", "flops", "input", "source"}
    assert all(row.keys() == wanted for row in rows)
    plain = command("models").out
    assert all(name in plain for name in some)
    assert "21,622,154" in plain


def test_summary_lists_every_layer(command: Callable) -> None:
    said = json.loads(command("summary", "alexnet-digits", "--classes", 7, "--json").out)
    assert said["parameters"] == sum(layer["parameters"] for layer in said["layers"])
    assert said["layers"][-1]["output"] == [7]
    assert {"name", "output", "parameters", "flops"} <= said["layers"][0].keys()
    plain = command("summary", "alexnet-cifar10").out
    assert "parameters 21,622,154 (trainable 21,622,154, not trainable 0)" in plain
    assert "note: the printed SGD rate .1 never acts" in plain


def test_recipes_are_listed_and_printed_to_copy(command: Callable, tmp_path: Path) -> None:
    rows = json.loads(command("recipes", "--json").out)
    assert [row["name"] for row in rows] == recipes.names()
    assert all(name in command("recipes").out for name in recipes.names())
    (tmp_path / "copy.toml").write_text(command("recipes", "cifar10").out, encoding="utf-8")
    assert recipes.load(tmp_path / "copy.toml") == recipes.load("cifar10")
    assert "train.checkpoint_seconds" in command("recipes", "--keys").out


@pytest.mark.usefixtures("bare")
def test_train_says_what_it_does_and_where_it_goes(command: Callable, tmp_path: Path) -> None:
    out = tmp_path / "my run"
    ended = command("train", "digits", "--out", out, "--stop-after", 1, *TINY)
    assert ended.code == 130
    assert ended.out.splitlines()[-1] == (
        f"interrupted; everything is saved. Resume with: alexnet train --resume --out '{out}'"
    )
    ended = command("train", "--resume", "--out", out)
    assert (ended.code, ended.err) == (0, "")
    assert "epoch   2/2" in ended.out
    assert "epoch   1/2" not in ended.out
    assert ended.out.splitlines()[-1] == f"report: {out / 'report.html'}"


@pytest.mark.usefixtures("bare")
def test_a_training_that_diverges_is_a_fault_in_one_line(command: Callable, tmp_path: Path) -> None:
    wild = ["--set=optimizer.name=sgd", "--set=optimizer.lr=1e12"]
    ended = command("train", "--out", tmp_path / "run", *TINY, *wild)
    assert ended.code == 1
    assert ended.err.startswith("alexnet: training diverged: epoch 1, step ")
    assert ended.err.count("\n") == 1


def test_evaluate_prints_figures_and_json(command: Callable, trained: Run) -> None:
    said = json.loads(command("evaluate", trained.path, "--json").out)
    assert {"top1", "top5", "loss", "count", "precision", "balanced_accuracy", "per_class"} <= said.keys()
    assert said["top1"] == score(trained.card.figures.final)
    assert f"top-1 {said['top1']:.2%}" in command("evaluate", trained.path).out
    assert json.loads(command("evaluate", trained.path, "--split", "train", "--json").out)["count"] == 1438


def test_evaluate_measures_on_ones_own_images(command: Callable, trained: Run, tmp_path: Path) -> None:
    digits = alexnet.dataset("digits")
    for index in range(20):
        image, label = digits[index]
        (tmp_path / digits.classes[label]).mkdir(exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(tmp_path / digits.classes[label] / f"{index}.png")
    said = json.loads(command("evaluate", trained.path, "--data", tmp_path, "--json").out)
    assert said["count"] == 20
    assert said["top1"] > 0.7


def test_a_figure_that_cannot_be_known_is_no_zero(command: Callable, trained: Run, tmp_path: Path) -> None:
    digits = alexnet.dataset("digits")
    two = np.flatnonzero(digits.labels < 2).tolist()
    answers = alexnet.predict(alexnet.load(trained.path), [digits[index][0] for index in two])
    score = {index: answer.predictions[0].score for index, answer in zip(two, answers, strict=True)}
    for index in sorted(two, key=lambda index: (digits.labels[index], score[index])):  # the least sure ones first
        if len(list((tmp_path / "images").glob(f"{digits.labels[index]}/*"))) == 10:
            continue
        image, label = digits[index]
        (tmp_path / "images" / str(label)).mkdir(exist_ok=True, parents=True)
        Image.fromarray(image[:, :, 0]).save(tmp_path / "images" / str(label) / f"{index}.png")
    arguments = ("evaluate", trained.path, "--data", tmp_path / "images", "--page", tmp_path / "page.html")
    ended = command(*arguments)
    assert "No image has 2, 3, 4, 5, 6, 7, 8, 9: not in balanced accuracy." in ended.out
    row = next(line.split() for line in ended.out.splitlines() if line.startswith("9 "))
    assert (row[2], row[-1]) == ("–", "0")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "No image has 2, 3, 4, 5, 6, 7, 8, 9: not in balanced accuracy." in page
    said = json.loads(command(*arguments, "--json", "--force").out)
    unseen = [each for each in said["per_class"] if not each["support"]]
    assert [each["recall"] for each in unseen] == [None] * 8
    assert said["macro_without"]["recall"] == [each["label"] for each in unseen]
    assert said["macro"]["recall"] == said["balanced_accuracy"]
    rejected = command("evaluate", trained.path, "--data", tmp_path / "images", "--reject", 1)
    assert "0.00% kept, accuracy on these –" in rejected.out


def test_predict_names_classes_with_probabilities(command: Callable, trained: Run, tmp_path: Path) -> None:
    path = tmp_path / "zero.png"
    Image.fromarray(alexnet.dataset("digits")[0][0][:, :, 0]).save(path)
    said: list[dict[str, Any]] = json.loads(command("predict", trained.path, path, "--top", 2, "--json").out)
    assert [one["path"] for one in said] == [str(path)]
    assert [each.keys() for each in said[0]["predictions"]] == [{"label", "score"}] * 2
    assert said[0]["predictions"][0]["label"] == "0"
    plain = command("predict", trained.path, path, path, "--top", 1).out.splitlines()
    assert plain[0] == plain[2] == str(path)
    assert plain[1].split()[1] == "0"


def test_compare_takes_names_as_they_are(command: Callable, refused: Callable, trained: Run, tmp_path: Path) -> None:
    odd = tmp_path / "[bold]:smile:[0]"
    shutil.copytree(trained.path, odd)
    plain = command("compare", trained.path, odd, "--out", tmp_path / "page.html").out
    assert odd.name in plain
    assert plain.endswith(f"page: {tmp_path / 'page.html'}\n")
    rows = json.loads(command("compare", trained.path, odd, "--json").out)
    assert [row["name"] for row in rows] == [trained.path.name, odd.name]
    (odd / "card.json").write_text("{")
    assert "is not JSON" in refused("compare", odd)
    (odd / "card.json").write_text("[]")
    assert "it lacks a name" in refused("compare", odd)
    assert "no folder" in refused("compare", trained.path, "--out", tmp_path / "nowhere" / "page.html")
    (tmp_path / "folder.html").mkdir()
    assert "is a folder" in refused("compare", trained.path, "--out", tmp_path / "folder.html")
    assert "end it in .html" in refused("compare", trained.path, "--out", tmp_path / "page.pdf")
    assert "end it in .md" in refused("report", trained.path, "--format", "md", "--out", tmp_path / "page.html")
    assert command("report", trained.path, "--out", tmp_path / "page.HTM").code == 0
    assert "<html" in (tmp_path / "page.HTM").read_text(encoding="utf-8")
    assert "end it in .html, .md" in refused("report", trained.path, "--out", tmp_path / "page.txt")
    assert command("report", trained.path, "--out", tmp_path / "notes.md").out == f"wrote {tmp_path / 'notes.md'}\n"
    assert "end it in .png" in refused("activations", trained.path, "digit.png", "--out", tmp_path / "a.pdf")


def test_sigterm_saves_and_says_how_to_go_on(started: Callable, tmp_path: Path) -> None:
    with started("--out", tmp_path / "run") as process:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
        assert process.returncode == 130, err
    assert f"Resume with: alexnet train --resume --out {tmp_path / 'run'}" in out
    assert err == ""
    assert (tmp_path / "run" / "state.pt").is_file()
    assert len(Run(tmp_path / "run").metrics) >= 1


def test_a_full_or_closed_output_is_told_in_one_line_or_not_at_all() -> None:
    command = [sys.executable, "-m", "alexnet", "recipes", "digits"]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == "alexnet: the disk is full; no existing file was changed\n"
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_a_table_is_not_cut_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    table(("name", "meaning"), [("k" * 40, "m" * 2000)])
    assert f"{'k' * 40}  {'m' * 2000}" in capsys.readouterr().out
