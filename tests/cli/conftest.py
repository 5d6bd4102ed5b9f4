"""A training in processes of its own."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

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
