"""Images are read while a GPU computes, and between the passes of a CPU, which computes on all its cores."""

import threading

import pytest
import torch

from alexnet.inference.images import AHEAD, in_threads


@pytest.mark.parametrize(("device", "more"), [("cpu", 0), ("cuda", AHEAD)])
def test_what_is_read_while_the_caller_has_a_part(device: str, more: int) -> None:
    read, all_of_them = [], threading.Event()

    def square(item: int) -> int:
        read.append(item)
        if len(read) == 2 * (1 + more):
            all_of_them.set()
        return item * item

    parts = [range(start, start + 2) for start in range(0, 20, 2)]
    found = in_threads(square, parts, torch.device(device))
    part, values = next(found)
    assert (part, values) == (range(2), [0, 1])
    assert all_of_them.wait(60)
    assert sorted(read) == list(range(2 * (1 + more)))
    assert [each for _, each in found] == [[i * i, (i + 1) ** 2] for i in range(2, 20, 2)]
