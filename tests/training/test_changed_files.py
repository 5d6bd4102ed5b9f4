"""What happens to images and to the run folder while a run trains: one line, and never training on other images."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import alexnet
from alexnet.artifacts.run import Run
from alexnet.data import dataset as sets
from alexnet.data.pack import pack
from alexnet.data.readers.folder import list_folder
from alexnet.errors import InputError
from alexnet.training.reporter import Reporter

pytestmark = pytest.mark.usefixtures("bare")
SETTINGS = {"train.batch_size": 8, "model.name": "alexnet-digits", "data.resize": 8, "data.validation": 0.2}


class Meanwhile(Reporter):
    """Does something once, after the first step."""

    def __init__(self, act: Callable[[], object]):
        self.act: Callable[[], object] | None = act

    def step(self, epoch: int, step: int, steps: int, figures: dict[str, float]) -> None:
        if self.act is not None:
            self.act()
            self.act = None


def train(data: Path, out: Path, act: Callable[[], object], **settings: object) -> Run:
    own = SETTINGS | {name.replace("__", "."): value for name, value in settings.items()}
    return alexnet.train("folder", out=out, data=data, epochs=2, settings=own, reporter=Meanwhile(act))


def replaced(images: Path) -> None:
    """Each file by another image of the same size, at another time."""
    for path in images.rglob("*.png"):
        Image.fromarray(np.full((8, 8), 9, np.uint8)).save(path)
        os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("workers", [0, 1])
def test_images_that_are_replaced_end_the_run(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(sets, "MEMORY_LIMIT", 0)
    with pytest.raises(InputError, match=r"class\d/\d+\.png.*: was changed or replaced since it was opened"):
        train(images, tmp_path / "run", lambda: replaced(images), data__workers=workers)
    with pytest.raises(InputError, match="was trained on other images"):
        alexnet.train(out=tmp_path / "run", resume_run=True)


def test_images_that_are_removed_end_the_run(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "MEMORY_LIMIT", 0)
    with pytest.raises(InputError, match=r"\.png.*: no such file"):
        train(images, tmp_path / "run", lambda: shutil.rmtree(images))
    with pytest.raises(InputError, match="which is gone; add --data"):
        alexnet.train(out=tmp_path / "run", resume_run=True)


def test_a_replaced_shard_ends_the_run(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack(list_folder(images), {"channels": 3, "size": (8, 8), "fit": "crop"}, tmp_path / "shards", images=13)
    monkeypatch.setattr(sets, "MEMORY_LIMIT", 0)

    def touched() -> None:
        for path in (tmp_path / "shards").glob("*.tar"):
            path.write_bytes(path.read_bytes())

    with pytest.raises(InputError, match="was changed or replaced since it was opened"):
        train(tmp_path / "shards", tmp_path / "run", touched, data__name="shards")


def test_images_in_memory_are_those_that_were_read(images: Path, tmp_path: Path) -> None:
    """They were read once: what becomes of the files is nothing to the run."""
    runs = [
        train(images, tmp_path / "one", lambda: None),
        train(images, tmp_path / "two", lambda: (replaced(images), shutil.rmtree(images))),
    ]
    assert len({run.card.sha256["last"] for run in runs}) == 1


def test_a_run_folder_that_is_removed_is_one_line(images: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="was removed while it trained; what was trained is lost"):
        train(images, tmp_path / "run", lambda: shutil.rmtree(tmp_path / "run"))
    with pytest.raises(InputError, match="was removed while it trained"):
        alexnet.train(
            "folder", out=tmp_path / "last", data=images, epochs=1, settings=SETTINGS, reporter=AtTheEnd(tmp_path)
        )


class AtTheEnd(Reporter):
    """Removes the run's folder when its last epoch is done."""

    def __init__(self, root: Path):
        self.root = root

    def epoch(self, row: dict[str, float]) -> None:
        shutil.rmtree(self.root / "last")
