"""The command line: one verb is one function, in the file of its name."""

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from types import FrameType
from typing import Any

from alexnet.cli.failures import Terminated


def main() -> None:
    """Runs one verb and exits: 0 done, 1 a fault of ours, 2 wrong input, 3 done with findings, 130 interrupted, 143
    ended by SIGTERM."""
    _open_standard_files()
    with _interrupts() as interrupts:
        try:
            from alexnet.cli.app import app
            from alexnet.process.program import set_up
            from alexnet.process.waiting import wait_asleep_where_others_run

            set_up()
            wait_asleep_where_others_run()  # not in a benchmark's workers, which run beside each other
            warnings.showwarning = _warned
            code = app(standalone_mode=False, prog_name="alexnet") or 0
            sys.stdout.flush()  # here, where what goes wrong is still caught
        except SystemExit:
            raise
        except BaseException as error:
            from alexnet.cli.failures import explain
            from alexnet.cli.screen import say

            _forget_output(isinstance(error, OSError))
            # An import that Ctrl-C ended half way may be tried again, and then lacks a name or two.
            code, text = explain(interrupts[0] if interrupts else error)
            if text:
                with contextlib.suppress(OSError):  # stderr may be closed too
                    say(text, err=True)
    sys.exit(code)


@contextlib.contextmanager
def _interrupts() -> Iterator[list[KeyboardInterrupt]]:
    """A list into which each Ctrl-C and SIGTERM goes; it is raised, too, which other code may swallow. So SIGTERM, too,
    leaves no temporary file."""
    asked: list[KeyboardInterrupt] = []

    def note(number: int, _: FrameType | None) -> None:
        asked.append(Terminated() if number == signal.SIGTERM else KeyboardInterrupt())
        raise asked[-1]

    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    # Not what is ignored, as by nohup; and only the main thread may.
    main_thread = threading.current_thread() is threading.main_thread()
    ours = [number for number, handler in usual.items() if main_thread and signal.getsignal(number) is handler]
    for number in ours:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number in ours:
            signal.signal(number, usual[number])


def _warned(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning as a line of its own: where in our code it arose says nothing to whoever typed a command."""
    from alexnet.cli.screen import say

    say(f"alexnet: {message}", err=True)


def _open_standard_files() -> None:
    """Opens what was closed for the program (`>&-`) as the null device: else the next file would take its place."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 (for the whole program)


def _forget_output(failed: bool) -> None:
    """Flushes stdout; where that fails, sends the rest nowhere: Python flushes when it ends, and would fail again."""
    if sys.stdout is not sys.__stdout__:
        return
    try:
        sys.stdout.flush()
    except OSError:
        failed = True
    if failed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
