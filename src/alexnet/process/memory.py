"""How the process deals with the memory that it frees."""

import ctypes
import sys
from pathlib import Path

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # glibc, malloc.h
_NEVER = 2**31 - 1  # bytes
_STEP = 2**26  # bytes by which the heap grows


def keep_freed_memory() -> None:
    """Tells glibc's allocator to keep what is freed for the next allocation.

    By default it returns every large buffer to the system and gets a new one, page by page, for the next: on a CPU a
    training step then spends up to a third of its time there (docs/LOG.md). No effect with other allocators.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, _NEVER)
    mallopt(_TOP_PAD, _STEP)


def oom_kills() -> list[str | int] | None:
    """[this boot's id, the processes that the kernel has ended since for want of memory]; None where it is silent."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        counts = dict(line.split() for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines())
        return [boot, int(counts["oom_kill"])]
    except (OSError, ValueError, KeyError):
        return None
