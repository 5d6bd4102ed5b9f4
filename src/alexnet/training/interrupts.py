"""Ctrl-C and SIGTERM end a run at the next step, with everything saved."""

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupted(Exception):
    """The run in `path` was stopped and its state saved; the command line exits with 130 and says how to resume."""

    def __init__(self, path: Path):
        super().__init__(f"stopped; the state of {str(path)!r} is saved")
        self.path = path


class Interrupts:
    """Notes the first SIGINT or SIGTERM in `.asked` while the block runs; a second one acts at once, as usual."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not None:  # one set outside Python could not be put back
                    self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
