"""A training in processes of its own."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import alexnet

MADE_UP = ["--set=data.name=synthetic", "--set=data.synthetic_images=80", "--set=train.batch_size=16"]


@pytest.fixture
def started() -> Callable[..., AbstractContextManager[subprocess.Popen[str]]]:
    """`alexnet train digits …` that would go on for hours, once its first epoch is done."""

    @contextlib.contextmanager
    def start(*arguments: object) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "alexnet", "train", "digits", "--set=train.epochs=100000", *MADE_UP]
        with subprocess.Popen(
            [*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    if line.startswith("epoch   1/"):
                        break
                yield process
            finally:
                process.terminate()

    return start


@pytest.fixture
def two_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In tmp_path, which becomes the current folder: images/ with 24 digits of two classes, and own.png."""
    monkeypatch.chdir(tmp_path)
    digits = alexnet.dataset("digits")
    for index in np.flatnonzero(digits.labels < 2)[:24]:
        place = tmp_path / "images" / digits.classes[digits.labels[index]]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits[int(index)][0][:, :, 0]).save(place / f"{index}.png")
    Image.fromarray(digits[0][0][:, :, 0]).save("own.png")
