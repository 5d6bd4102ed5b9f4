"""The learning rate at points that can be computed by hand."""

import pytest

from alexnet.recipes.schema import Schedule
from alexnet.training.schedule import factor


@pytest.mark.parametrize(
    ("schedule", "epoch", "expected"),
    [
        (Schedule("constant"), 7.5, 1.0),
        (Schedule("step", milestones=(3, 6)), 2.99, 1.0),
        (Schedule("step", milestones=(3, 6)), 3.0, 0.1),
        (Schedule("step", milestones=(3, 6), factor=0.5), 9.0, 0.25),
        (Schedule("cosine"), 0.0, 1.0),
        (Schedule("cosine"), 5.0, 0.5),
        (Schedule("cosine"), 10.0, 0.0),
        (Schedule("cosine", final=0.2), 5.0, 0.6),
        (Schedule("cosine", warmup=2), 1.0, 0.5),
        (Schedule("cosine", warmup=2), 2.0, 1.0),
        (Schedule("cosine", warmup=2), 6.0, 0.5),
        (Schedule("constant", warmup=1), 0.0, 0.001),
        (Schedule("constant", warmup=1), 0.25, 0.25),
        (Schedule("constant", warmup=0.0001), 0.0, 0.001),
        (Schedule("one-cycle"), 0.0, 0.04),
        (Schedule("one-cycle"), 3.0, 1.0),
        (Schedule("one-cycle"), 6.5, 0.5),
        (Schedule("one-cycle", final=0.1), 10.0, 0.1),
    ],
)
def test_known_points_of_ten_epochs(schedule: Schedule, epoch: float, expected: float) -> None:
    assert factor(schedule, epoch, 10) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["constant", "step", "cosine", "one-cycle"])
def test_it_never_leaves_zero_to_one(name: str) -> None:
    schedule = Schedule(name, milestones=(2.0,), warmup=0 if name == "one-cycle" else 3)
    assert all(0 <= factor(schedule, step / 10, 10) <= 1 for step in range(101))
