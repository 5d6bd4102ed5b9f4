"""The harness of `make fuzz` on its first files; with ALEXNET_FUZZ=N on N of each reader, as CI does."""

import contextlib
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from alexnet.errors import InputError  # noqa: E402
from fuzz.mutate import mutated  # noqa: E402
from fuzz.readers import READERS, Reader  # noqa: E402
from fuzz.run import fuzz  # noqa: E402

WEIGHTS = ("npy", "pth", "pth-legacy", "safetensors", "caffemodel", "h5", "keras")
COUNT = int(os.environ.get("ALEXNET_FUZZ", "0"))


def test_changes_are_the_same_for_the_same_seed():
    content = bytes(range(256))
    assert mutated(content, "npy 7") == mutated(content, "npy 7")
    assert len({mutated(content, f"npy {number}") for number in range(50)}) > 40


@pytest.mark.parametrize("name", READERS)
def test_what_is_changed_is_a_file_of_its_reader(name: str, tmp_path: Path):
    """Else every mutation would be refused at the door."""
    reader = READERS[name]
    for package in reader.needs:
        pytest.importorskip(package)
    for own, content in reader.make().items():
        (tmp_path / own).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / own).write_bytes(content)
    with contextlib.suppress(InputError) if name in WEIGHTS else contextlib.nullcontext():  # of no network
        reader.read(reader.place(tmp_path))


@pytest.mark.skipif(not COUNT or not sys.platform.startswith("linux"), reason="ALEXNET_FUZZ=N, on Linux")
@pytest.mark.parametrize("name", READERS)
def test_no_reader_fails(name: str):
    assert fuzz(name, max(1, round(COUNT * READERS[name].share)))["fault"] == 0


def test_the_harness_sees_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its worker tells an exception, a hang and a death apart from a refusal."""
    from multiprocessing import Pipe

    from fuzz import run

    ours, theirs = Pipe()
    for seed in ("x 1", None):
        ours.send(seed)

    def read(path: Path) -> None:
        raise KeyError(path.name)

    calls = iter([lambda path: None, read])
    reader = Reader(lambda: {"file.x": b"abc"}, lambda path: next(calls)(path), whole=False)
    monkeypatch.setitem(READERS, "x", reader)
    monkeypatch.setattr(run.resource, "setrlimit", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    if not sys.platform.startswith("linux"):
        pytest.skip("memory is read from Linux's /proc")
    run._work("x", theirs, str(tmp_path))
    assert ours.recv() == {"file.x": b"abc"}
    assert ours.recv().startswith("KeyError")
