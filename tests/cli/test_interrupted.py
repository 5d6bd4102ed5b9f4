"""Ctrl-C that other code swallowed, as an import may that is ended half way."""

import signal
import subprocess
import sys
from collections.abc import Callable

PROGRAM = """
import os, signal, sys
from alexnet.cli import app, main

def verb(**_):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10_000_000):
            pass
    except KeyboardInterrupt:
        pass
    raise {error}

app.app = verb
main()
"""


def _run(error: str, before: str = "") -> "subprocess.CompletedProcess[str]":
    program = before + PROGRAM.format(error=error)
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
