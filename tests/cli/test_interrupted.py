"""Ctrl-C and SIGTERM at any moment: one line, what stood there before, and no temporary file."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import alexnet
from alexnet.artifacts import store
from alexnet.artifacts.run import Run

PROGRAM = """
import os, signal, sys
from alexnet.cli import app, main

def verb(**_):
    try:
        os.kill(os.getpid(), signal.{number})
        for _ in range(10_000_000):
            pass
    except KeyboardInterrupt:
        pass
    raise {error}

app.app = verb
main()
"""


def _run(error: str, before: str = "", number: str = "SIGINT") -> "subprocess.CompletedProcess[str]":
    program = before + PROGRAM.format(error=error, number=number)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)


def test_what_fails_after_a_swallowed_interrupt_is_an_interrupt() -> None:
    for error in ("AttributeError(\"module 'numpy' has no attribute 'multiply'\")", "alexnet.InputError('half')"):
        ended = _run(error, "import alexnet\n")
        assert (ended.returncode, ended.stderr) == (130, "alexnet: interrupted\n")


def test_an_ignored_interrupt_stays_ignored() -> None:
    """As nohup and a shell's background jobs ask for."""
    ended = _run("alexnet.InputError('half')", "import alexnet, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n")
    assert (ended.returncode, ended.stderr) == (2, "alexnet: half\n")


def test_the_handler_is_put_back(command: Callable) -> None:
    assert command("--version").code == 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_interrupt_that_was_swallowed_is_the_one_that_is_told() -> None:
    ended = _run("alexnet.InputError('half')", "import alexnet\n", "SIGTERM")
    assert (ended.returncode, ended.stderr) == (143, "alexnet: terminated\n")


VERBS = {
    "import": ["w.safetensors", "--out", "new.safetensors"],
    "export-hub": ["RUN", "--format", "hub", "--out", "hub"],
    "export-safetensors": ["RUN", "--format", "safetensors", "--out", "old.safetensors", "--force"],
    "export-int8": ["RUN", "--format", "int8", "--max-loss", "1", "--out", "new.onnx"],
    "map": ["RUN", "--data", "images", "--layer", "fc6", "--out", "new.png"],
    "compare": ["RUN", "--out", "old.html", "--plots", "curves", "--force"],
    "report": ["COPY", "--format", "md", "--out", "report.md"],
    "similar": [
        "RUN",
        "own.png",
        "--data",
        "images",
        "--layer",
        "fc6",
        "--index",
        "new.npz",
        "--out",
        "old.png",
        "--force",
    ],
    "check": ["--data", "images", "--out", "new.html", "--quarantine", "list.txt"],
    "pack": ["--data", "images", "--size", "8", "--out", "shards"],
    "evaluate": ["RUN", "--out", "new.csv"],
    "draw": ["alexnet-digits", "--out", "old.svg", "--force"],
}
RESUMED = ("new.npz.partial/", "shards/.lock", "copy/")
"""What is there to be continued, the file that locks a folder, and the plots of a run, which are drawn anew."""


@pytest.fixture
def here(trained: Run, tmp_path: Path, two_classes: None) -> Path:
    """Images of two classes, weights without a card, a copy of a run, and files that are to stay."""
    store.save(tmp_path / "w.safetensors", alexnet.load(trained).module.state_dict())
    shutil.copytree(trained.path, tmp_path / "copy")
    for name in ("old.html", "old.png", "old.svg", "old.safetensors", "old.json"):
        Path(name).write_text("mine")
    return tmp_path


def _tree(folder: Path) -> dict[str, bytes]:
    """Every file with its content."""
    names = {each.relative_to(folder).as_posix(): each for each in folder.rglob("*") if each.is_file()}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith(RESUMED)}


TOGETHER = {
    "import": ("new.safetensors", {"new.json"}),
    "export-hub": ("hub", {"hub/README.md", "hub/config.json", "hub/card.json", "hub/model.safetensors"}),
    "export-safetensors": ("old.safetensors", {"old.json"}),
}
"""Verbs whose files get their names together, or not at all: what opens then, and what it is made of."""
QUICK = [name for name in VERBS if name != "export-int8"]
CASES = [(verb, moment, number) for verb in QUICK for moment in ("fsync", "replace")
         for number in (signal.SIGINT, signal.SIGTERM)]  # fmt: skip


@pytest.mark.parametrize(("verb", "moment", "number"), [*CASES, ("export-int8", "fsync", signal.SIGTERM)])
def test_a_verb_that_is_ended_while_it_writes_has_written_nothing(
    verb: str, moment: str, number: int, trained: Run, here: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "int8" in verb:
        pytest.importorskip("onnxscript")
    before, plain, sent = _tree(here), getattr(os, moment), []

    def ended(*arguments: object) -> None:
        if not sent:
            assert signal.getsignal(number) not in (signal.SIG_DFL, None)  # it would end the tests
            sent.append(number)
            os.kill(os.getpid(), number)
        plain(*arguments)

    monkeypatch.setattr(os, moment, ended)
    named = {"RUN": str(trained.path), "COPY": "copy"}
    done = command(verb.partition("-")[0], *(named.get(each, each) for each in VERBS[verb]))
    assert sent
    code, said = (143, "terminated") if number == signal.SIGTERM else (130, "interrupted")
    assert (done.code, done.err.splitlines()[-1]) == (code, f"alexnet: {said}")
    assert "Traceback" not in done.err
    assert [each for each in here.rglob("*") if each.name.endswith(".tmp")] == []
    after = _tree(here)
    if moment == "fsync" or verb not in TOGETHER:
        assert after == before
        return
    path, names = TOGETHER[verb]
    assert {name for name in after if after[name] != before.get(name)} == names | {path} - {"hub"}
    assert alexnet.load(path).classes
