"""Work that is started before its result is wanted."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(start: Callable[[T], Callable[[], R]], items: Iterable[T], count: int) -> Iterator[tuple[T, R]]:
    """Each item with its result, in order; the work of the next `count` items goes on while the caller has an item.

    `start` begins the work of an item, and returns what waits for its result.
    """
    begun: deque[tuple[T, Callable[[], R]]] = deque()
    for item in items:
        begun.append((item, start(item)))
        if len(begun) > count:
            first, wait = begun.popleft()
            yield first, wait()
    for last, wait in begun:
        yield last, wait()
