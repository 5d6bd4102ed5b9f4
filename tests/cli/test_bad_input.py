"""Bad input: one clear line, exit code 2, nothing overwritten, the old run intact."""

import errno
import io
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import alexnet
from alexnet.artifacts.run import Run
from alexnet.data.readers import cifar

Refused = Callable[..., str]

SYNTHETIC = [
    f"--set={setting}"
    for setting in ("data.name=synthetic", "data.synthetic_images=40", "train.batch_size=16", "train.epochs=2")
]
FOLDER = ["--set=model.name=alexnet-digits", "--set=data.resize=8", "--set=train.epochs=1"]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def png(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), value).save(path)


def bomb() -> bytes:
    """A PNG of a few hundred bytes that promises 50,000 × 50,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")


def cut_jpeg() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(file, "JPEG")
    return file.getvalue()[:900]


# What is at --data: each makes it in a folder and returns the recipe with its path, and what the line must say.


def missing(root: Path) -> tuple[str, Path, str]:
    return "folder", root / "nowhere", "no file or folder"


def empty_folder(root: Path) -> tuple[str, Path, str]:
    return "folder", root, "no class folders"


def empty_classes(root: Path) -> tuple[str, Path, str]:
    for name in ("cat", "dog"):
        (root / name).mkdir()
    return "folder", root, "no images in the class folders"


def one_class(root: Path) -> tuple[str, Path, str]:
    png(root / "cat" / "1.png")
    return "folder", root, "only one class"


def nothing_readable(root: Path) -> tuple[str, Path, str]:
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("this is text")
    return "folder", root, "0 of 3 train images"


def many_unreadable(root: Path) -> tuple[str, Path, str]:
    for name in ("cat", "dog"):
        png(root / name / "1.png")
        (root / name / "2.png").write_bytes(bomb())
        (root / name / "3.jpg").write_bytes(cut_jpeg())
    return "folder", root, "4 of 6 images"


def idx(root: Path, magic: int = 0x803, count: int = 4, cut: int = 0, label: int = 1) -> Path:
    """A set of 20 images that claims what it is told to."""
    images = struct.pack(">4I", magic, count, 28, 28) + bytes(20 * 28 * 28)
    labels = struct.pack(">2I", 0x801, 20) + bytes([label, *range(10), *range(9)])
    (root / "train-images-idx3-ubyte").write_bytes(images[: len(images) - cut])
    (root / "train-labels-idx1-ubyte").write_bytes(labels)
    return root


def idx_magic(root: Path) -> tuple[str, Path, str]:
    return "mnist", idx(root, magic=0x1234, count=20), "magic number 0x1234"


def idx_count(root: Path) -> tuple[str, Path, str]:
    return "mnist", idx(root, count=19), "longer than its header says"


def idx_cut_short(root: Path) -> tuple[str, Path, str]:
    return "mnist", idx(root, count=20, cut=100), "cut short"


def idx_label(root: Path) -> tuple[str, Path, str]:
    return "mnist", idx(root, count=20, label=10), "label 10 is out of range; known are 0, 1"


def archive(root: Path, *members: tuple[str, bytes, bytes]) -> Path:
    path = root / cifar.CIFAR10.archive
    with tarfile.open(path, "w:gz") as tar:
        for name, kind, data in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(data), "/etc/passwd"
            tar.addfile(member, io.BytesIO(data))
    return path


def cifar_outside(root: Path) -> tuple[str, Path, str]:
    return "cifar10", archive(root, ("../../evil", tarfile.REGTYPE, b"x")), "points outside"


def cifar_link(root: Path) -> tuple[str, Path, str]:
    return "cifar10", archive(root, ("data_batch_1.bin", tarfile.SYMTYPE, b"")), "is a link or a device"


def cifar_short(root: Path) -> tuple[str, Path, str]:
    return "cifar10", archive(root, ("data_batch_1.bin", tarfile.REGTYPE, bytes(3073))), "official file has"


def cifar_nothing(root: Path) -> tuple[str, Path, str]:
    (root / cifar.CIFAR10.archive).write_bytes(b"not an archive")
    return "cifar10", root, "cut short or damaged"


def too_small(root: Path) -> tuple[str, Path, str]:
    return "mnist", idx(root, count=20), "takes images of 227×227, those of mnist are 28×28"


@pytest.mark.parametrize(
    "make",
    [
        missing, empty_folder, empty_classes, one_class, nothing_readable, many_unreadable, idx_magic, idx_count,
        idx_cut_short, idx_label, cifar_outside, cifar_link, cifar_short, cifar_nothing, too_small,
    ],
)  # fmt: skip
def test_bad_images_end_before_the_run_begins(
    make: Callable[[Path], tuple[str, Path, str]], refused: Refused, tmp_path: Path
) -> None:
    root, out = tmp_path / "data", tmp_path / "run"
    root.mkdir()
    recipe, data, said = make(root)
    network = ["--set=model.name=alexnet-caltech"] if make is too_small else FOLDER if recipe == "folder" else []
    assert said in refused("train", recipe, "--data", data, "--out", out, *network)
    assert not out.exists()


@pytest.mark.usefixtures("bare")
def test_few_unreadable_images_are_listed_and_left_out(command: Callable, tmp_path: Path) -> None:
    for number in range(15):
        png(tmp_path / "data" / "cat" / f"{number}.png", 0)
        png(tmp_path / "data" / "dog" / f"{number}.png", 255)
    (tmp_path / "data" / "dog" / "broken.jpg").write_bytes(cut_jpeg())
    ended = command("train", "folder", "--data", tmp_path / "data", "--out", tmp_path / "run", *FOLDER)
    assert ended.code == 3, ended.err
    assert "1 file could not be read or used: left out; see" in ended.out
    assert (tmp_path / "run" / "skipped.txt").read_text().startswith("dog/broken.jpg\tcut short or damaged")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (bomb(), "more than 89,478,485 pixels"),
        (cut_jpeg(), "cut short or damaged"),
        (b"just text", "not an image"),
        (b"", "an empty file"),
        (None, "no such file"),
    ],
)
def test_an_image_that_cannot_be_read(made: bytes | None, said: str, refused: Refused, trained: Run, tmp_path) -> None:
    if made is not None:
        (tmp_path / "x.png").write_bytes(made)
    assert said in refused("predict", trained.path, tmp_path / "x.png")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "train.epohcs=3"], "did you mean train.epochs"),
        (["--set", "epochs=3"], "did you mean train.epochs"),
        (["--set", "device=cpu"], "unknown recipe key 'device'"),
        (["--set", "train.epochs"], "--set takes key=value"),
        (["--set", "optimizer.lr=fast"], "takes a number"),
        (["--set", "optimizer.lr=-1"], "must be above 0"),
        (["--epochs", "0"], "at least 1"),
        (["--epochs", "many"], "--epochs"),
        (["--stop-after", "0"], "--stop-after"),
        (["--epohcs", "3"], "alexnet train --help"),
        (["--device", "toaster"], "unknown device 'toaster'; choose one of: auto, cpu"),
        (["--set", "model.name=alexnet-cifar"], "did you mean alexnet-cifar10"),
        (["--set", "data.name=digitz"], "did you mean digits"),
        (["--data", "."], "made here, not read"),
        (["--lr-range", "--folds", "3"], "cannot be combined"),
        (["--seeds", "2", "--folds", "3"], "cannot be combined"),
    ],
)
def test_a_wrong_option(arguments: list[str], said: str, refused: Refused, tmp_path: Path) -> None:
    assert said in refused("train", "digits", "--out", tmp_path / "run", *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate", "RUN", "--split", "test"], "digits has no split 'test'; it has: train, validation"),
        (["evaluate", "RUN", "--data", "nowhere"], "no file or folder nowhere"),
        (["evaluate", "nowhere"], "no run folder or model file"),
        (["predict", "RUN", "x.png", "--top", "0"], "top takes a whole number of at least 1"),
        (["predict", "RUN"], "Missing argument"),
        (["predict", "RUN", "x.png", "--device", "toaster"], "unknown device"),
        (["summary", "alexnet-mnits"], "did you mean alexnet-mnist"),
        (["summary", "alexnet-mnist", "--classes", "0"], "--classes"),
        (["recipes", "digit"], "did you mean digits"),
        (["train", "nowhere.toml"], "no recipe file 'nowhere.toml'"),
        (["trian"], "unknown verb 'trian'; did you mean train"),
        (["train", "--data", "nowhere"], "no file or folder 'nowhere'"),
    ],
)
def test_a_wrong_verb_or_argument(arguments: list[str], said: str, refused: Refused, trained: Run) -> None:
    assert said in refused(*(str(trained.path) if word == "RUN" else word for word in arguments))


def test_a_recipe_file_with_an_unknown_key(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("[train]\nepochs = 1\nbatchsize = 3\n")
    said = refused("train", tmp_path / "own.toml", "--out", tmp_path / "run")
    assert "unknown recipe key 'train.batchsize'; did you mean train.batch_size" in said
    assert not (tmp_path / "run").exists()


def test_classes_that_the_model_never_saw(refused: Refused, trained: Run, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        png(tmp_path / name / "1.png")
    assert "never saw: cat, dog; it knows: 0, 1" in refused("evaluate", trained.path, "--data", tmp_path)


def test_a_folder_that_holds_something_else(refused: Refused, trained: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert "holds something else" in refused("train", "--out", tmp_path)
    assert "is a file" in refused("train", "--out", tmp_path / "thesis.txt")
    assert content(tmp_path) == {"thesis.txt": b"mine"}
    before = content(trained.path)
    assert "already holds a run; add --resume" in refused("train", "--out", trained.path)
    assert content(trained.path) == before


@pytest.fixture
def run(tmp_path: Path, bare: None) -> Path:
    """A run of two epochs that was stopped after the first."""
    folder = tmp_path / "run"
    settings = dict(setting.removeprefix("--set=").split("=") for setting in SYNTHETIC)
    numbers = {name: int(value) if value.isdigit() else value for name, value in settings.items()}
    with pytest.raises(Exception, match="stopped"):
        alexnet.train("digits", out=folder, settings=numbers, stop_after=1)
    return folder


def test_resuming_with_another_network_or_other_images(refused: Refused, run: Path) -> None:
    before = content(run)
    again = ("train", "--resume", "--out", run)
    assert "started with another recipe: model.name differ" in refused(*again, "--set", "model.name=alexnet-mnist")
    assert "data.name" in refused("train", "digits", *again[1:])
    assert "data.synthetic_images differ" in refused(*again, "--set", "data.synthetic_images=50")
    assert "made here, not read" in refused(*again, "--data", run)
    assert content(run) == before


def test_resuming_a_folder_set_finds_it_and_refuses_another(refused: Refused, bare: None, tmp_path: Path) -> None:
    for number in range(10):
        png(tmp_path / "data" / "cat" / f"{number}.png", number)
        png(tmp_path / "data" / "dog" / f"{number}.png", 255 - number)
    settings = {"model.name": "alexnet-digits", "data.resize": 8, "train.epochs": 2}
    with pytest.raises(Exception, match="stopped"):
        alexnet.train("folder", data=tmp_path / "data", out=tmp_path / "run", settings=settings, stop_after=1)
    shutil.copytree(tmp_path / "data", tmp_path / "other")
    png(tmp_path / "other" / "cat" / "3.png", 77)
    before = content(tmp_path / "run")
    again = ("train", "--resume", "--out", tmp_path / "run")
    assert "trained on other images" in refused(*again, "--data", tmp_path / "other")
    assert content(tmp_path / "run") == before
    (tmp_path / "data").rename(tmp_path / "moved")
    assert "add --data with their place" in refused(*again)
    assert content(tmp_path / "run") == before
    assert len(alexnet.train(out=tmp_path / "run", data=tmp_path / "moved", resume_run=True).metrics) == 2


@pytest.mark.parametrize("room", range(0, 12, 2))
def test_a_disk_that_is_full_after_some_writes(
    room: int, command: Callable, refused: Refused, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, synced = [room], os.fsync

    def fsync(file: int) -> None:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        synced(file)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        ended = command("train", "--resume", "--out", run)
    if ended.code:
        assert (ended.code, ended.err) == (2, "alexnet: the disk is full; no existing file was changed\n")
        assert not list(run.rglob("*.tmp"))
    else:
        assert left[0], "there was room for everything"
    assert command("train", "--resume", "--out", run).code == 0
    assert len(Run(run).metrics) == 2


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
from alexnet.cli import main
sys.argv = ["alexnet", "train", "--resume", "--out", sys.argv[1]]
main()
"""


def test_a_write_that_the_system_refuses(run: Path, command: Callable) -> None:
    """For real, in a process of its own: the state has 3 MB and a file may have 1 MB."""
    before = content(run)
    ended = subprocess.run([sys.executable, "-c", LIMITED, str(run)], capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr == ("alexnet: a file would be larger than the limit allows; no existing file was changed\n")
    after = content(run)
    assert after["state.pt"] == before["state.pt"]
    assert after["best.safetensors"] == before["best.safetensors"]
    assert command("train", "--resume", "--out", run).code == 0
