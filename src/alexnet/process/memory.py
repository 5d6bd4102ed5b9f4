"""How the process deals with the memory that it frees."""

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # glibc, malloc.h
_NEVER = 2**31 - 1  # bytes
_STEP = 2**26  # bytes by which the heap grows


def keep_freed_memory() -> None:
    """Tells glibc's allocator to keep what is freed for the next allocation.

    By default it returns every large buffer to the system and gets a new one, page by page, for the next: on a CPU a
    training step then spends up to a third of its time there (docs/BENCHMARKS.md). No effect with other allocators.
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
