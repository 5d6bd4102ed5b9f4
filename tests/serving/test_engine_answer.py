"""Encoded images on their way into a batch: read side by side, handed over once, and room comes back when they fail."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from requests_made import png

from alexnet.inference.model import Model

pytest.importorskip("starlette", reason="serving needs: pip install 'alexnet[serve]'")
from alexnet.serving.engine import Engine
from alexnet.serving.limits import Limits
from alexnet.serving.problems import Problem

GOOD = [png(np.full((8, 8), value, np.uint8)) for value in (0, 90, 200)]


@pytest.fixture(scope="module")
def engine(opened: Model) -> Iterator[Engine]:
    engine = Engine("digits", opened, Limits(waiting_images=3))
    yield engine
    engine.close()


def test_rows_come_in_the_order_of_the_images(engine: Engine) -> None:
    rows = engine.answer(GOOD).result(60)
    alone = engine.probabilities(np.stack([engine.decoded(each) for each in GOOD]))
    np.testing.assert_allclose(rows, alone, atol=1e-5)
    assert np.ptp(alone, axis=0).max() > 1e-3


def test_one_bad_image_fails_its_request_and_leaves_the_room_that_it_had(engine: Engine) -> None:
    for _ in range(5):  # more images than may wait at a time
        with pytest.raises(Problem) as problem:
            engine.answer([GOOD[0], b"no image", GOOD[1]]).result(60)
        assert problem.value.status == 415
    assert engine.answer(GOOD).result(60).shape == (3, len(engine.model.classes))


def test_no_room_is_said_at_once(engine: Engine) -> None:
    with pytest.raises(Problem) as problem:
        engine.answer([*GOOD, GOOD[0]])
    assert problem.value.status == 503


def test_a_closed_batcher_answers_busy_and_what_was_cancelled_takes_no_room(opened: Model) -> None:
    engine = Engine("digits", opened, Limits(waiting_images=1))
    for _ in range(5):
        answer = engine.answer(GOOD[:1])
        if not answer.cancel():  # it ran already
            answer.result(60)
        while engine.batcher.waiting or engine.batcher._expected:
            time.sleep(0.001)
    engine.close()
    with pytest.raises(Problem) as problem:
        engine.answer(GOOD[:1]).result(60)
    assert problem.value.status == 503
