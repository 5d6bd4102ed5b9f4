"""A reader's process: what it may take, and what becomes of one that ends, hangs or claims too much."""

import io
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from odd_readers import FAULTS

from alexnet.isolated import child
from alexnet.isolated.child import Broken, ask


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)


@pytest.mark.skipif(not hasattr(signal, "SIGXCPU"), reason="limits on memory and processor time are POSIX's")
@pytest.mark.parametrize("what", FAULTS)
def test_whatever_a_reader_does_is_one_line(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop is ended by the processor's time, not the clock's: on a busy machine the same file takes longer."""
    if what == "loop":
        monkeypatch.setattr(child, "_SECONDS", 1)
        monkeypatch.setattr(child, "_PATIENCE", 10_000)
    with pytest.raises(Broken) as error:
        ask("odd_readers", b"abc", what=what)
    assert FAULTS[what] in str(error.value)


def test_a_reader_that_does_nothing_for_ever_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text("import time\ndef find(file, give):\n    time.sleep(1000)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(child, "_SECONDS", 1)
    monkeypatch.setattr(child, "_PATIENCE", 2)
    begun = time.monotonic()
    with pytest.raises(Broken, match="takes longer to read"):
        ask("sleeper", b"")
    assert time.monotonic() - begun < 100


@pytest.mark.parametrize("kind", ["content", "file"])
def test_arrays_and_text_come_as_they_were_given(kind: str, tmp_path: Path) -> None:
    content = b"abc" + bytes(10**6)  # more than a pipe holds
    (tmp_path / "f").write_bytes(content)
    with (tmp_path / "f").open("rb") as file:
        found = ask("odd_readers", content if kind == "content" else file, what="")
    np.testing.assert_array_equal(found.arrays["big"], np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert {name: (value.dtype.name, value.shape) for name, value in found.arrays.items()} == {
        "big": ("float64", (2, 2)),
        "none": ("int64", (0, 3)),
        "one": ("float16", ()),
    }
    assert found.arrays["one"] == 5
    assert found.about == {"size": len(content), "what": "abc"}


def test_an_answer_has_its_bound() -> None:
    with pytest.raises(Broken, match="claims 32 bytes of numbers"):
        ask("odd_readers", b"abc", 31, what="")
    assert ask("odd_readers", b"abc", 34, what="").arrays["big"].nbytes == 32


def test_the_program_needs_no_package_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as where its user put the package on `sys.path` alone; and no file of the working folder is imported."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(Broken, match="damaged or cut short"):
        ask("alexnet.isolated.matlab", b"no MATLAB file")
    assert "-P" in _command()


def _command() -> list[str]:
    taken: list[list[str]] = []

    def start(command: list[str], file: bytes) -> None:
        taken.append(command)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(child, "start", start)
        with pytest.raises(KeyboardInterrupt):
            ask("odd_readers", b"")
    assert taken[0][0] == sys.executable
    return taken[0]


def test_a_sink_writes_a_line_and_its_numbers() -> None:
    pipe = io.BytesIO()
    child.Sink(pipe, 100)("a", (2,), np.dtype(">i2"), [np.array([1, 2], ">i2")])
    line, _, numbers = pipe.getvalue().partition(b"\n")
    assert b'"shape": [2]' in line
    assert numbers == np.array([1, 2], "=i2").tobytes()
