"""The orders in which training goes through its images."""

import pytest
import torch

from alexnet.data.loading.order import order
from alexnet.errors import InputError


def seeded(epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(100 + epoch)


@pytest.mark.parametrize("shuffle", ["epoch", "once", "none", "buffer-1", "buffer-7", "buffer-1000"])
@pytest.mark.parametrize("count", [1, 5, 50])
def test_every_image_comes_once(shuffle: str, count: int) -> None:
    for epoch in (0, 1):
        assert sorted(order(count, shuffle, epoch, seeded).tolist()) == list(range(count))


def test_what_changes_from_epoch_to_epoch() -> None:
    first, second = (
        {s: order(50, s, e, seeded).tolist() for s in ("epoch", "once", "none", "buffer-7")} for e in (0, 1)
    )
    assert first["epoch"] == torch.randperm(50, generator=seeded(0)).tolist()
    assert second["epoch"] == torch.randperm(50, generator=seeded(1)).tolist()
    assert first["once"] == second["once"] == first["epoch"]
    assert first["none"] == second["none"] == list(range(50))
    assert first["buffer-7"] != second["buffer-7"]
    assert first["buffer-7"] == order(50, "buffer-7", 0, seeded).tolist()


def test_a_buffer_lets_no_image_come_early() -> None:
    """tf.data's shuffle(N): image k enters the buffer when k − N + 1 have left it; some leave it late."""
    taken = order(400, "buffer-20", 0, seeded)
    places = torch.empty(400, dtype=torch.int64)
    places[taken] = torch.arange(400)
    early = torch.arange(400) - places
    assert early.max() == 19
    assert early.min() < -40
    assert order(50, "buffer-1", 0, seeded).tolist() == list(range(50))
    # A buffer of all images is a whole permutation: each place is as likely for each image.
    means = torch.stack([order(10, "buffer-10", epoch, seeded).float() for epoch in range(2000)]).mean(0)
    assert (means - 4.5).abs().max() < 0.3


@pytest.mark.parametrize("shuffle", ["", "buffer", "buffer-0", "buffer--1", "buffer-1.5", "always"])
def test_other_words_are_refused(shuffle: str) -> None:
    with pytest.raises(InputError, match=r"data\.shuffle is .*; choose 'epoch'"):
        order(5, shuffle, 0, seeded)
