"""Which pictures a model is measured on when nobody says."""

from pathlib import Path

import pytest
from PIL import Image

import alexnet
from alexnet.evaluation.pictures import pictures_for
from alexnet.training.run import Run


@pytest.mark.parametrize(
    ("there", "taken"),
    [(("train", "val", "test"), "test"), (("train", "val"), "val"), (("train",), "train")],
)
def test_test_pictures_before_validation_before_all(
    trained: Run, tmp_path: Path, there: tuple[str, ...], taken: str
) -> None:
    for split in there:
        for name in "01":
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("L", (8, 8)).save(tmp_path / split / name / "x.png")
    pictures = pictures_for(alexnet.open(trained.path), tmp_path)
    assert pictures.names == (f"{taken}/0/x.png", f"{taken}/1/x.png")
