"""The harness of `make fuzz`, and the valid files that it damages."""

import os
import signal
import sys
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from alexnet.errors import InputError  # noqa: E402
from fuzz import run  # noqa: E402
from fuzz.mutate import mutated  # noqa: E402
from fuzz.readers import READERS, Reader  # noqa: E402


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
    place = reader.place(tmp_path)
    assert place.exists()
    reader.read(place)  # an InputError fails


LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from Linux's /proc")


@LINUX
def test_the_harness_sees_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It tells an exception, a message with control characters and a written file apart from a refusal."""

    def fault(path: Path) -> None:
        raise KeyError(path.name)

    def refused(path: Path) -> None:
        raise InputError("damaged")

    def escape(path: Path) -> None:
        raise InputError("\x1b[2J")

    def written(path: Path) -> None:
        (path.parent.parent / "left").touch()

    calls = iter([lambda path: None, fault, refused, escape, lambda path: None, written])
    monkeypatch.setitem(READERS, "x", Reader(lambda: {"file.x": b"abc"}, lambda path: next(calls)(path), whole=False))
    monkeypatch.setattr(run.resource, "setrlimit", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    ours, theirs = Pipe()
    run._read_all(theirs, tmp_path, "x", range(5), None)
    assert ours.recv() == {"file.x": b"abc"}
    assert [ours.recv() for _ in range(5)] == [
        "KeyError: 'file.x'",
        "refused",
        "unprintable: '\\x1b[2J'",
        "read",
        "wrote ['left']",
    ]


def _dies(pipe: Connection, root: str) -> None:
    """A worker that is killed by file 2 and hangs at file 4."""
    while (task := pipe.recv()) is not None:
        pipe.send({"file": b""})
        for number in task[1]:
            if number == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            while number == 4:
                pass
            pipe.send("read")


@LINUX
def test_another_process_takes_the_place_of_one_that_died_or_hung(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(run, "_work", _dies)
    monkeypatch.setattr(run, "SECONDS", 0.1)
    monkeypatch.setattr(run, "FOUND", tmp_path)
    monkeypatch.setattr(run.multiprocessing, "get_context", lambda _: get_context("fork"))
    worker = run.Worker(str(tmp_path))
    assert worker.fuzz("npy", 6) == {"read": 4, "fault": 2}
    first = worker._process
    assert worker.fuzz("pth", 1) == {"read": 1}
    assert worker._process is first is not None  # one process for reader after reader
    worker.end()
    assert capsys.readouterr().err == "  npy 2: ended by SIGKILL\n  npy 4: takes more than 0.1 s\n"
    assert "npy 4" in (tmp_path / "faults.txt").read_text()
