"""How OpenMP's threads wait for one another, which they do many times in a training step."""

import os
import time
from pathlib import Path

_POLICY = "OMP_WAIT_POLICY"
_SETTINGS = (_POLICY, "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_LOADAVG = Path("/proc/loadavg")
_LOOKS, _APART = 4, 0.002  # a program that is met each time is no moment's work

_set = False


def wait_asleep_where_others_run() -> None:
    """Before torch is imported: where other programs run on the cores, threads that wait sleep.

    By default they spin, which is the fastest where nothing else runs. Beside other programs a thread spins on the
    core that the one for which it waits would need: a step takes 5 to 35 times as long (docs/LOG.md). What is
    computed is the same. No effect where the user has set how threads wait, or with one thread.
    """
    global _set
    threads = _threads()
    if threads > 1 and not any(name in os.environ for name in _SETTINGS):
        others = _others()
        if others and others + threads > (os.cpu_count() or 1):
            os.environ[_POLICY] = "PASSIVE"
            _set = True


def remark() -> str | None:
    """What was set, for whoever trains; None: nothing."""
    if not _set:
        return None
    return (
        f"other programs are using these cores, so threads that wait sleep ({_POLICY}=PASSIVE); OMP_NUM_THREADS=1 may "
        "be faster still"
    )


def _threads() -> int:
    """That torch will take."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _others() -> int:
    """Threads of other programs that run, or wait for a core, at each of a few moments; 0 where that is not known."""
    found: list[int] = []
    for _ in range(_LOOKS):
        try:  # '0.20 0.18 0.12 1/80 11206': running and all, this thread among them
            found.append(int(_LOADAVG.read_text(encoding="ascii").split()[3].partition("/")[0]) - 1)
        except (OSError, ValueError, IndexError):
            return 0
        if found[-1] < 1:
            return 0
        time.sleep(_APART)
    return min(found)
