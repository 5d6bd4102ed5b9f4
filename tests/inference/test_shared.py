"""Evaluation and features by several processes: every image once, the figures and the file of one."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet.artifacts.run import Run
from alexnet.inference.feature_read import read


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """43 images, of which one cannot be read: in batches of 8, three processes have 2, 2 and 2 of the batches."""
    random, root = np.random.default_rng(0), tmp_path_factory.mktemp("shared") / "images"
    for number in range(43):
        path = root / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(path)
    (root / "a" / "20.png").write_bytes(b"\x89PNG\r\n\x1a\nno image")
    return root


def alexnet(*words: object) -> subprocess.CompletedProcess[str]:
    """`alexnet …` as a user runs it."""
    command = [sys.executable, "-m", "alexnet", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=300)


def features(run: Run, images: Path, out: Path, *words: object) -> subprocess.CompletedProcess[str]:
    layers = ("--layers", "conv5,fc7", "--batch-size", 8)
    return alexnet("features", run.path, "--data", images, "--out", out, *layers, *words)


def test_features_are_the_file_of_one_process(trained: Run, images: Path, tmp_path: Path) -> None:
    one, three = tmp_path / "one.npz", tmp_path / "three.npz"
    ended = features(trained, images, one)
    assert ended.returncode == 3, ended.stderr
    ended = features(trained, images, three, "--processes", 3)
    assert ended.returncode == 3, ended.stderr
    assert "42 ×" in ended.stdout
    assert ended.stderr.count("skipped") == 1
    ours, theirs = read(three), read(one)
    assert ours.names == theirs.names
    assert ours.names is not None
    assert len(set(ours.names)) == 42
    assert ours.digests == theirs.digests
    for layer in ("conv5", "fc7"):
        assert (ours.layer(layer) == theirs.layer(layer)).all()
    assert ours.provenance
    assert theirs.provenance
    for key in ours.provenance.keys() - {"command", "environment"}:
        assert ours.provenance[key] == theirs.provenance[key], key
    assert not list(tmp_path.glob("*.partial*"))


def test_an_interrupted_extraction_is_resumed_by_as_many(trained: Run, images: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.npz", tmp_path / "out.npz"
    features(trained, images, whole, "--processes", 2)
    # What a kill leaves: the shares of two processes, one of which has begun.
    code = (
        "import sys; from alexnet.inference import extract as e; run = e.run\n"
        "def cut(*a):\n"
        "    for n, chunk in enumerate(run(*a)):\n"
        "        if n == 1: sys.exit(9)\n"
        "        yield chunk\n"
        "e.run = cut; sys.argv = ['alexnet', *sys.argv[1:]]\n"
        "from alexnet.cli import main; main()"
    )
    words = ["features", trained.path, "--data", images, "--layers", "conv5,fc7", "--batch-size", 8, "--out", out]
    environment = os.environ | {"WORLD_SIZE": "2", "ALEXNET_RENDEZVOUS": f"file://{tmp_path / 'meeting'}"}
    with contextlib.ExitStack() as stack:
        begun = [
            stack.enter_context(subprocess.Popen(
                [sys.executable, "-c", code, *map(str, words)], env=environment | {"RANK": str(rank)},
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            ))
            for rank in range(2)
        ]  # fmt: skip
        assert [process.wait(300) for process in begun] == [9, 9]
    assert len(list(tmp_path.glob("out.npz.partial-*-of-2"))) == 2
    ended = features(trained, images, out, "--resume")
    assert ended.returncode == 2
    assert "an extraction by another number of processes" in ended.stderr
    ended = features(trained, images, out, "--resume", "--processes", 2)
    assert ended.returncode == 3, ended.stderr
    assert "16 images were done already" in ended.stdout
    assert (read(out).layer("fc7") == read(whole).layer("fc7")).all()


def test_evaluation_gives_the_figures_of_one_process(trained: Run, tmp_path: Path) -> None:
    said = [
        alexnet("evaluate", trained.path, "--json", "--out", tmp_path / f"{count}.csv", "--processes", count)
        for count in (1, 2)
    ]
    assert [ended.returncode for ended in said] == [0, 0], said[1].stderr
    assert json.loads(said[0].stdout) == json.loads(said[1].stdout)
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()


def test_what_one_process_must_do_is_refused(trained: Run) -> None:
    ended = alexnet("evaluate", trained.path, "--calibrate", "--processes", 2)
    assert ended.returncode == 2
    assert ended.stderr == "alexnet: --calibrate and --corruptions run in one process; leave out --processes\n"
