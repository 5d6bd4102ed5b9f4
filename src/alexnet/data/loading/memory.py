"""How much memory decoding takes at a time, shared by all threads of a process and counted before it is allocated."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

BUDGET = 768 * 2**20
"""Bytes: an RGB image of the most pixels that are decoded takes nine a pixel."""


class Budget:
    """Lets threads through while what they asked for fits; one that asks for more than is free waits."""

    def __init__(self, most: int) -> None:
        self.most, self._used, self._freed = most, 0, threading.Condition()

    @contextmanager
    def held(self, cost: int) -> Iterator[None]:
        """Raises MemoryError where `cost` can never be granted."""
        if cost > self.most:
            raise MemoryError(f"needs more than {self.most >> 20} MiB to decode")
        with self._freed:
            while self._used + cost > self.most:
                self._freed.wait()
            self._used += cost
        try:
            yield
        finally:
            with self._freed:
                self._used -= cost
                self._freed.notify_all()


DECODING = Budget(BUDGET)
