"""What is read from a run's folder is bounded and checked, links are refused, and one process holds it at a time."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import alexnet
from alexnet import files
from alexnet.artifacts import predictions, seal
from alexnet.artifacts import run as runs
from alexnet.artifacts.figures import score
from alexnet.artifacts.run import Run, begun, check_free
from alexnet.data.pack import pack
from alexnet.data.sources import list_images
from alexnet.errors import InputError
from alexnet.inference.data import LeftOut, dataset_for
from alexnet.insight.report.write import write_report

SOURCE = Path(alexnet.__file__).parent


@pytest.fixture
def copied(trained: Run, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(trained.path, tmp_path / "run")))


def test_predictions_whose_packed_numbers_are_damaged_are_refused(trained: Run) -> None:
    """zlib's own errors are none of zipfile's."""
    content = (trained.path / "predictions.npz").read_bytes()
    refused = 0
    for at in range(30, len(content), max(1, len(content) // 60)):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        try:
            predictions.parse(bytes(damaged), "x")
        except InputError:
            refused += 1
    assert refused > 30


def test_predictions_that_are_too_large_or_cut_short_are_refused(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (trained.path / "predictions.npz").read_bytes()
    cut = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as whole, zipfile.ZipFile(cut, "w") as made:
        for entry in whole.namelist():
            made.writestr(entry, whole.read(entry)[: -4 if entry == "losses.npy" else None])
    with pytest.raises(InputError, match="an array is cut short"):
        predictions.parse(cut.getvalue(), "x")
    monkeypatch.setattr(predictions, "MAX_BYTES", 100)
    with pytest.raises(InputError, match="or larger ones"):
        predictions.parse(content, "x")


def test_only_artifacts_knows_the_names_of_a_runs_files() -> None:
    names = (runs.RECIPE, runs.CARD, runs.METRICS, runs.FINDINGS, runs.BEST, runs.LAST, runs.STATE, runs.PREDICTIONS,
             runs.SPLIT, runs.SKIPPED, runs.REPORT, runs.PLOTS)  # fmt: skip
    literal = re.compile("|".join(rf"[\"'/]{re.escape(name)}[\"']" for name in names))
    literal = re.compile(rf"{literal.pattern}|/ [\"']{runs.TENSORBOARD}[\"']")  # alone it is a format of reports
    # The .pt2 file has a member card.json; any room knows a run folder by `files.holds_run`.
    allowed = {"graphs/torch_program.py", "files.py"}
    for path in SOURCE.rglob("*.py"):
        place = path.relative_to(SOURCE).as_posix()
        if not place.startswith("artifacts/") and place not in allowed:
            found = [line for line in path.read_text(encoding="utf-8").splitlines() if literal.search(line)]
            found = [line for line in found if not line.lstrip().startswith(("#", '"""'))]
            assert not found, f"{place}: {found[0]}"


@pytest.mark.parametrize("name", ["skipped.txt", "plots/samples.png", "plots", "tensorboard", "card.json", "x"])
def test_a_link_in_a_run_is_named_and_never_followed(copied: Run, tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    (secret / "in").mkdir(parents=True)
    (secret / "private").write_text("private")
    place = copied.path / name
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.symlink_to(secret if "." not in name else secret / "private")
    for act in (
        lambda: write_report(copied.path),
        lambda: alexnet.load(copied.path),
        lambda: copied.card,
        lambda: copied.metrics,
        lambda: alexnet.train(out=copied.path, resume_run=True),
    ):
        with pytest.raises(InputError, match="is a link") as refused:
            act()
        assert str(place) in str(refused.value)
    assert sorted(path.name for path in secret.iterdir()) == ["in", "private"]


def test_a_pipe_in_a_run_is_named(copied: Run) -> None:
    (copied.path / "metrics.jsonl").unlink()
    os.mkfifo(copied.path / "metrics.jsonl")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        _ = copied.metrics


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("metrics.jsonl", '{"epoch": "<b>"}', r"metrics\.jsonl', line 1: epoch: Input should be a valid integer"),
        ("metrics.jsonl", "[" * 100_000, "line 1: not JSON"),
        ("findings.jsonl", '{"kind": "x", "epoch": "<meta http-equiv=refresh>"}', "line 1: epoch: Input should be"),
        ("split.json", '{"validation": [3], "digests": {}}', r"validation\.0: Input should be a string"),
        ("predictions.npz", "PK", "does not hold a run's predictions"),
    ],
)
def test_other_rows_are_refused_in_a_line(copied: Run, name: str, line: str, said: str) -> None:
    (copied.path / name).write_text(line)
    with pytest.raises(InputError, match=said) as refused:
        _ = (copied.metrics, copied.findings, copied.split, copied.predictions)
    assert "\n" not in str(refused.value)


def test_a_large_file_is_not_read(copied: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_MOST", 10)
    with pytest.raises(InputError, match="larger than the 10 bytes"):
        copied.content("recipe.toml", 10)


def test_predictions_stand_in_the_run(trained: Run) -> None:
    kept = trained.predictions
    assert kept is not None
    figures = trained.card.figures.final
    assert (kept.split, len(kept.names)) == ("validation", figures.count)
    assert float((kept.predictions == kept.labels).mean()) == score(figures)
    assert kept.confusion.trace() == round(score(figures) * figures.count)
    assert kept.losses.mean() == pytest.approx(figures.loss, rel=1e-5)
    wrong = np.flatnonzero(kept.predictions != kept.labels)
    assert kept.shown[0] == wrong[kept.losses[wrong].argmax()]
    images = alexnet.dataset("digits")
    names = {name: index for index, name in enumerate(images.names)}
    np.testing.assert_array_equal(kept.thumbnails[0], images[names[kept.names[kept.shown[0]]]][0])
    assert kept.samples.shape == (32, 8, 8, 1)
    again = predictions.parse(kept.packed(), "x")
    assert again.names == kept.names
    np.testing.assert_array_equal(again.thumbnails, kept.thumbnails)


def test_thumbnails_are_bounded() -> None:
    images = np.zeros((3, 300, 200, 3), np.uint8)
    dataset = alexnet.data.dataset.ArrayDataset(images, np.zeros(3, int), ["a"], list("xyz"))
    assert predictions.thumbnails(dataset, [0, 2]).shape == (2, 64, 43, 3)
    assert predictions.thumbnails(dataset, []).shape == (0, 64, 43, 3)


def test_one_process_holds_a_folder(tmp_path: Path) -> None:
    script = "import sys,alexnet.files as f\nwith f.lock(sys.argv[1]):\n print('held', flush=True); sys.stdin.read()"
    environment = os.environ | {"PYTHONPATH": str(SOURCE.parent)}
    other = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], env=environment, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(InputError, match=f"is in use by process {other.pid}"), files.lock(tmp_path):
        pass
    other.kill()
    other.communicate()
    with files.lock(tmp_path):  # nothing is left of one that was killed
        pass


@pytest.mark.usefixtures("bare")
def test_a_run_or_a_pack_that_another_holds_is_refused(tmp_path: Path, copied: Run) -> None:
    with files.lock(copied.path), pytest.raises(InputError, match=f"in use by process {os.getpid()}"):
        alexnet.train(out=copied.path, resume_run=True)
    for name in "ab":
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / "data" / name / "x.png")
    (tmp_path / "pack").mkdir()
    listing = list_images("folder", tmp_path / "data")
    with files.lock(tmp_path / "pack"), pytest.raises(InputError, match="in use by process"):
        pack(listing, {"channels": 3, "size": (8, 8), "fit": "crop"}, tmp_path / "pack")


SHORT = {"data.name": "synthetic", "data.synthetic_images": 40, "train.batch_size": 16, "train.epochs": 1}


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return alexnet.train("digits", out=tmp_path_factory.mktemp("short") / "run", settings=SHORT)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("stage", ["nothing", "empty", "lock", "recipe", "plots", "split"])
def test_resume_starts_what_was_stopped_before_its_first_state(tmp_path: Path, short: Run, stage: str) -> None:
    """Each moment at which a kill may strike, then the same command line again."""
    out = tmp_path / "out"
    stages = ["nothing", "empty", "lock", "recipe", "plots", "split"]
    reached = stages[: stages.index(stage) + 1]
    if "empty" in reached:
        out.mkdir()
    if "lock" in reached:
        (out / ".lock").write_text("1\n")
        (out / ".recipe.toml.0a1b.tmp").write_text("na")
    if "recipe" in reached:
        shutil.copy(short.path / "recipe.toml", out)
    if "plots" in reached:
        (out / "plots").mkdir()
    if "split" in reached:
        shutil.copy(short.path / "split.json", out)
    assert not begun(out)
    run = alexnet.train("digits", out=out, settings=SHORT, resume_run=True)
    assert run.card.sha256 == short.card.sha256
    assert begun(out)


def test_resume_never_starts_over_what_was_trained(copied: Run) -> None:
    (copied.path / "state.pt").unlink()
    with pytest.raises(InputError, match=r"cannot be resumed: it has metrics\.jsonl but no state\.pt"):
        alexnet.train(out=copied.path, resume_run=True)
    with pytest.raises(InputError, match="already holds a run"):
        check_free(copied.path)


@pytest.mark.usefixtures("bare")
def test_a_run_folder_removed_while_it_trains_is_a_line(tmp_path: Path) -> None:
    class Removes(alexnet.training.reporter.Reporter):
        def epoch(self, row: dict) -> None:
            shutil.rmtree(tmp_path / "run")

    with pytest.raises(InputError, match="was removed while it trained"):
        alexnet.train("digits", out=tmp_path / "run", epochs=2, reporter=Removes())


@pytest.fixture
def noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Run]:
    """A folder of noise, and a run trained on it by a user with a home of their own."""
    random = np.random.default_rng(0)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in "ab":
        (tmp_path / "d" / name).mkdir(parents=True)
        for i in range(12):
            Image.fromarray(random.integers(0, 255, (8, 8), np.uint8)).save(tmp_path / "d" / name / f"{i}.png")
    options = {"model.name": "alexnet-digits", "data.validation": 0.25}
    return tmp_path / "d", alexnet.train("folder", out=tmp_path / "run", data=tmp_path / "d", steps=1, settings=options)


@pytest.mark.usefixtures("bare")
def test_images_that_trained_are_told_apart_one_by_one(
    noise: tuple[Path, Run], command: Callable, refused: Callable
) -> None:
    data, run = noise
    said = command("evaluate", run.path, "--data", data)
    assert "6 images in fp32" in said.out  # the very images: split as they were
    shutil.copy(data / "a" / "0.png", data / "a" / "new.png")
    Image.new("L", (8, 8)).save(data / "b" / "unseen.png")
    said = command("evaluate", run.path, "--data", data)
    split = run.split
    assert split is not None
    names = {path.relative_to(data).as_posix() for path in data.rglob("*.png")}
    twice = int("a/0.png" not in split.validation)
    assert f"{18 + twice} of {len(names)} images of {data} trained the model and are left out" in said.out
    assert f"{8 - twice} images in fp32" in said.out
    assert f"{len(names)} images" in command("evaluate", run.path, "--data", data, "--split", "train").out
    next(data.glob("b/[0-9]*.png")).unlink()
    with pytest.warns(LeftOut, match="trained the model and are left out"):
        dataset_for(alexnet.load(run), data)
    for name in split.validation:
        (data / name).unlink(missing_ok=True)
    (data / "b" / "unseen.png").unlink()
    (data / "a" / "new.png").unlink()
    assert "nothing is left to measure it on" in refused("evaluate", run.path, "--data", data)


@pytest.mark.usefixtures("bare")
def test_only_a_run_made_here_decides_which_images_are_opened(
    noise: tuple[Path, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable, refused: Callable
) -> None:
    data, run = noise
    assert f"images: {data}, as the run recorded" in command("evaluate", run.path).out
    key = tmp_path / "home" / ".cache" / "alexnet" / "key"
    assert (key.stat().st_mode & 0o777, len(key.read_bytes())) == (0o600, 32)
    card = json.loads((run.path / "card.json").read_text())
    card["data"]["path"] = "/"  # by hand: not what was recorded
    (run.path / "card.json").write_text(json.dumps(card))
    assert "was not trained here by you" in refused("evaluate", run.path)
    card["data"]["path"] = str(data)
    (run.path / "card.json").write_text(json.dumps(card))
    monkeypatch.setenv("HOME", str(tmp_path / "another"))
    assert "give --data" in refused("evaluate", run.path)
    assert "say where its images are with --data" in refused("train", "--resume", "--out", run.path)
    assert command("evaluate", run.path, "--data", data).code == 0
    os.mkfifo(tmp_path / "pipe")
    assert "neither a file nor a folder" in refused("evaluate", run.path, "--data", tmp_path / "pipe")


def test_a_seal_is_of_these_paths_by_this_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "one"))
    mac = seal.seal(["/a", "/b"])
    assert seal.sealed(["/a", "/b"], mac)
    assert not seal.sealed(["/a", "/c"], mac)
    assert not seal.sealed(["/a", "/b"], "")
    assert not seal.sealed(["/a", "/b"], "\u00e9")
    monkeypatch.setenv("HOME", str(tmp_path / "two"))
    assert not seal.sealed(["/a", "/b"], mac)
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    assert seal.seal(["/a"]) == ""
