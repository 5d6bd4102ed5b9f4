"""A verb does not write over a file that it reads, by whatever name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet.artifacts.run import Run


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain", "RUN", "own.png", "--out", "own.png"],
        ["activations", "RUN", "own.png", "--out", "./own.png"],
        ["what-if", "RUN", "own.png", "--out", "linked.png"],
        ["similar", "RUN", "own.png", "--data", "digits", "--out", "own.png"],
        ["evaluate", "RUN", "--data", ".", "--labels", "own.csv", "--out", "own.csv"],
        ["evaluate", "RUN", "--data", ".", "--labels", "own.csv", "--page", "own.csv"],
        ["check", "--data", "own.png", "--quarantine", "own.png"],
    ],
    ids=lambda each: " ".join(each[:1] + each[-2:]),
)
def test_what_is_read_is_not_replaced(
    arguments: list[str], trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save("own.png")
    Path("own.csv").write_text("file,label\nown.png,1\n")
    Path("linked.png").hardlink_to("own.png")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    said = refused(*(str(trained.path) if each == "RUN" else each for each in arguments))
    assert "would replace a file that is read" in said
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
