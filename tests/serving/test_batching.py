"""Waiting requests share a batch, nobody gets another's answer, and what is too much is refused."""

import threading

import numpy as np
import pytest

from alexnet.serving.batching import Batcher, Full


def rows(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32)


def image(value: int, count: int = 1) -> np.ndarray:
    return np.full((count, 1, 1, 1), value, np.uint8)


def test_what_waits_runs_together_in_order_and_in_batches_of_at_most_most() -> None:
    gate, sizes = threading.Event(), []

    def run(images: np.ndarray) -> np.ndarray:
        gate.wait(10)
        sizes.append(len(images))
        return rows(images)

    batcher = Batcher(run, most=4)
    first = batcher.submit(image(0))
    others = [batcher.submit(image(i)) for i in range(1, 8)]
    large = batcher.submit(image(9, 6))
    gate.set()
    assert [future.result(10)[0, 0] for future in (first, *others)] == list(range(8))
    assert large.result(10).shape == (6, 1)
    batcher.close()
    assert max(sizes) <= 4
    assert len(sizes) < 8
    assert (batcher.images, batcher.waiting) == (14, 0)


def test_more_than_the_capacity_is_refused_and_room_comes_back() -> None:
    gate = threading.Event()
    batcher = Batcher(lambda images: (gate.wait(10), rows(images))[1], capacity=3)
    batcher.expect(1)
    held = batcher.submit(image(1, 2))
    with pytest.raises(Full):
        batcher.expect(1)
    with pytest.raises(Full):
        batcher.submit(image(1, 2))
    gate.set()
    held.result(10)
    batcher.withdraw(1)
    assert batcher.submit(image(3, 3)).result(10).shape == (3, 1)
    batcher.close()


def test_a_failing_batch_fails_its_own_requests_only() -> None:
    def run(images: np.ndarray) -> np.ndarray:
        if images.max() == 13:
            raise RuntimeError("unlucky")
        return rows(images)

    batcher = Batcher(run)
    with pytest.raises(RuntimeError, match="unlucky"):
        batcher.submit(image(13)).result(10)
    assert batcher.submit(image(5)).result(10)[0, 0] == 5
    batcher.close()


def test_what_nobody_waits_for_any_more_is_left_out_and_harms_no_other() -> None:
    runs, gate, sizes = threading.Event(), threading.Event(), []

    def run(images: np.ndarray) -> np.ndarray:
        runs.set()
        gate.wait(60)
        sizes.append(len(images))
        return rows(images)

    batcher = Batcher(run)
    first = batcher.submit(image(0))
    assert runs.wait(60)
    gone, last = batcher.submit(image(1)), batcher.submit(image(2))
    assert gone.cancel()
    gate.set()
    assert (first.result(60)[0, 0], last.result(60)[0, 0]) == (0, 2)
    batcher.close()
    assert (sizes, batcher.images, batcher.waiting) == ([1, 1], 2, 0)


def test_closing_finishes_what_was_accepted_and_takes_no_more() -> None:
    gate = threading.Event()
    batcher = Batcher(lambda images: (gate.wait(10), rows(images))[1], most=1)
    accepted = [batcher.submit(image(i)) for i in range(3)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    gate.set()
    closing.join(10)
    assert [future.result(0)[0, 0] for future in accepted] == [0, 1, 2]
    with pytest.raises(Full):
        batcher.submit(image(1))


def test_it_waits_for_announced_images_but_not_for_ever() -> None:
    sizes = []
    batcher = Batcher(lambda images: (sizes.append(len(images)), rows(images))[1], patience=0.5)
    batcher.expect(1)
    one = batcher.submit(image(1))
    other = batcher.submit(image(2))  # arrives while the first waits
    assert (one.result(10)[0, 0], other.result(10)[0, 0]) == (1, 2)
    batcher.withdraw(1)
    batcher.close()
    assert sizes == [2]
