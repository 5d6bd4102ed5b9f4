"""Requests that wait together are answered together: one forward pass for all that are there."""

import concurrent.futures
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]
"""uint8 N×H×W×C → one row per image."""
Answer: TypeAlias = concurrent.futures.Future[np.ndarray]


class Full(Exception):
    """More images wait than the batcher holds."""


@dataclass
class _Waiting:
    images: np.ndarray
    result: Answer


class Batcher:
    """Runs images in one thread of its own, in batches of at most `most`.

    A batch starts with what is waiting; when more requests are `expected` (accepted, still being decoded), it waits up
    to `patience` seconds for them. At most `capacity` images wait: beyond, `submit` raises Full.
    """

    def __init__(self, run: Run, *, most: int = 64, patience: float = 0.005, capacity: int = 256) -> None:
        self._run, self._most, self._patience, self._capacity = run, most, patience, capacity
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._held = 0
        self._expected = 0
        self.batches = self.images = 0
        """Counts since the start, for /metrics."""
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="alexnet-batcher", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Images that wait or run."""
        return self._held

    def expect(self, images: int) -> None:
        """Announces images that will be submitted; raises Full when there is no room for them."""
        with self._lock:
            if self._held + self._expected + images > self._capacity:
                raise Full
            self._expected += images

    def withdraw(self, images: int) -> None:
        """Takes an announcement back."""
        with self._lock:
            self._expected -= images

    def submit(self, images: np.ndarray, result: Answer | None = None, announced: bool = False) -> Answer:
        """The rows of `images` (uint8 N×H×W×C), once a batch with them has run; `result`: where to put them.

        `announced`: by `expect`, which this ends. Images whose result was cancelled while they waited are left out.
        """
        waiting = _Waiting(images, result or concurrent.futures.Future())
        with self._lock:
            if announced:
                self._expected -= len(images)
            if self._closed or self._held + len(images) > self._capacity:
                raise Full
            self._held += len(images)
            self._queue.put(waiting)  # under the lock, so that nothing is put behind the end mark
        return waiting.result

    def close(self) -> None:
        """Finishes what was accepted, then ends the thread."""
        with self._lock:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        left: _Waiting | None = None
        while True:
            first = left or self._queue.get()
            left = None
            if first is None:
                return
            batch, count, ended = [first], len(first.images), False
            until = time.monotonic() + self._patience
            while count < self._most:
                try:
                    more = (
                        self._queue.get(timeout=max(until - time.monotonic(), 0))
                        if self._expected
                        else self._queue.get_nowait()
                    )
                except queue.Empty:
                    break
                if more is None:
                    ended = True
                    break
                if count + len(more.images) > self._most:
                    left = more
                    break
                batch.append(more)
                count += len(more.images)
            self._answer(batch, count)
            if ended:
                return

    def _answer(self, batch: list[_Waiting], held: int) -> None:
        batch = [each for each in batch if each.result.set_running_or_notify_cancel()]
        count = sum(len(each.images) for each in batch)
        try:
            if not batch:
                return
            # A request of more images than a batch holds is run in parts.
            images = np.concatenate([each.images for each in batch]) if len(batch) > 1 else batch[0].images
            parts = [self._run(images[at : at + self._most]) for at in range(0, count, self._most)]
            rows = np.concatenate(parts) if len(parts) > 1 else parts[0]
            self.batches += len(parts)
            self.images += count
            done = 0
            for each in batch:
                each.result.set_result(rows[done : done + len(each.images)])
                done += len(each.images)
        except BaseException as error:  # whatever it is, nobody may wait forever
            for each in batch:
                if not each.result.done():
                    each.result.set_exception(error)
        finally:
            with self._lock:
                self._held -= held
