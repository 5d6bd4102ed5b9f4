"""Some shards at a time: each image once, no more shards begun than asked for, and what is chosen where."""

from pathlib import Path

import numpy as np
import pytest
import torch

from alexnet.data.dataset import ArrayDataset, Dataset
from alexnet.data.loading.shard_order import WINDOW, chosen, shard_order, shards_of, told
from alexnet.data.loading.stored import Form, Split, StoredDataset
from alexnet.data.loading.stores import Members, Store
from alexnet.data.remote.cache import Cache, Object
from alexnet.data.remote.store import RemoteMembers, spans
from alexnet.data.splits import Splits
from alexnet.errors import InputError
from alexnet.process.group import World

SHARDS, EACH, BATCH = 24, 200, 16
EVEN = np.arange(SHARDS).repeat(EACH)
UNEVEN = np.concatenate([np.full(size, number) for number, size in ((2, 50), (5, 3), (6, 1), (9, 70), (11, 26))])


def seeded(epoch: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(100 + epoch)


def begun(shards: np.ndarray) -> np.ndarray:
    """At each place, how many shards have given an image, and have one to give from there on."""
    first = [int(np.flatnonzero(shards == each)[0]) for each in np.unique(shards)]
    last = [int(np.flatnonzero(shards == each)[-1]) for each in np.unique(shards)]
    return np.array([sum(a <= k <= b for a, b in zip(first, last, strict=True)) for k in range(len(shards))])


@pytest.mark.parametrize("window", [1, 2, 6, SHARDS, 99])
@pytest.mark.parametrize("shards", [EVEN, UNEVEN, EVEN[:1], EVEN[:0]])
def test_every_image_comes_once(shards: np.ndarray, window: int) -> None:
    for epoch in (0, 1):
        assert sorted(shard_order(shards, window, BATCH, seeded(epoch)).tolist()) == list(range(len(shards)))


def test_seed_and_epoch_alone_decide_it() -> None:
    first = shard_order(EVEN, 6, BATCH, seeded())
    torch.rand(7)
    assert first.equal(shard_order(EVEN, 6, BATCH, seeded()))
    other = shard_order(EVEN, 6, BATCH, seeded(1))
    assert not first.equal(other)
    entering = [np.unique(EVEN[each[:200]]).tolist() for each in (first, other)]
    assert entering[0] != entering[1]  # the shards, too, come in another order
    assert first.tolist() == shard_order(3 * EVEN + 5, 6, BATCH, seeded()).tolist()  # whatever their numbers


@pytest.mark.parametrize("window", [1, 2, 6, 23])
def test_the_window_is_full_and_never_left(window: int) -> None:
    taken = EVEN[shard_order(EVEN, window, 1, seeded())]
    assert begun(taken).max() == window
    batches = [len(np.unique(each)) for each in np.split(taken, len(taken) // 64)]
    assert min(batches) >= window - window // 4  # also the first and the last one
    assert begun(UNEVEN[shard_order(UNEVEN, 3, 1, seeded())]).max() <= 3


def test_images_of_a_shard_are_spread_and_shuffled() -> None:
    taken = shard_order(EVEN, 6, 1, seeded())
    steady = EVEN[taken][EACH * 8 : EACH * 16]
    for batch in np.split(steady, range(60, len(steady), 60)):
        assert np.bincount(batch, minlength=SHARDS).max() <= 14  # 10 of each of six, or so
    of_one = taken[torch.from_numpy(EVEN[taken] == 7)].float()
    assert abs(np.corrcoef(of_one, np.arange(EACH))[0, 1]) < 0.2


def test_with_all_shards_at_a_time_it_is_a_whole_permutation() -> None:
    small = np.array([0, 0, 1, 1, 2, 2])
    means = torch.stack([shard_order(small, 3, 1, seeded(epoch)).float() for epoch in range(2000)]).mean(0)
    assert (means - 2.5).abs().max() < 0.2


@pytest.mark.parametrize("size", [2, 4])
def test_processes_share_the_batches_of_one_and_keep_to_their_shards(size: int) -> None:
    order = shard_order(EVEN, 8, BATCH, seeded())
    plain = shard_order(EVEN, 8, len(EVEN), seeded())
    assert sorted(plain.tolist()) == sorted(order.tolist())
    own: list[set[int]] = [set() for _ in range(size)]
    for batch in order.split(BATCH):
        parts = [World(rank, size).part(batch) for rank in range(size)]
        assert torch.cat(parts).equal(batch)
        for shards, part in zip(own, parts, strict=True):
            shards.update(EVEN[part].tolist())
    assert max(map(len, own)) <= SHARDS * (
        0.9 if size == 2 else 0.75
    )  # all of them, if they lay in the batch by chance
    ungrouped = shard_order(EVEN, 8, 1, seeded())
    for one, other in zip(order.split(BATCH), ungrouped.split(BATCH), strict=True):
        assert set(one.tolist()) == set(other.tolist())


def test_spans_are_from_the_first_batch_that_wants_a_shard_to_the_last() -> None:
    slices = [np.array(each) for each in ([0, 0], [1], [2, 0], [3])]
    found = spans(slices, np.array([10, 20, 40, 80, 160]), 80)
    assert found is not None
    assert [each.tolist() for each in found[0]] == [[0], [0, 1], [0, 2], [3]]
    assert found[1] == 80
    assert spans(slices, np.array([10, 20, 40, 80, 160]), 79) is None


def stored(store: Store, count: int) -> Dataset:
    names = [str(number) for number in range(count)]
    split = Split(names, np.zeros(count, np.int64), store)
    return StoredDataset(split, ["a"], {"channels": 1, "size": (8, 8), "fit": "crop"}, np.zeros((count, 32), np.uint8))


def splits(folder: Path, limit: int, shards: int = 40, each: int = 100) -> Splits:
    """Shards of 10 bytes elsewhere."""
    objects = [Object(f"http://h/{number}", str(number), f"{number:064}", 10) for number in range(shards)]
    places = np.array([(number, 0, 1) for number in range(shards) for _ in range(each)])
    train = stored(RemoteMembers(objects, places, Cache(folder, limit)), len(places))
    return Splits(train, train.subset(np.arange(3)), None, "shards", None, [])


def test_what_is_chosen_for_shards_elsewhere(tmp_path: Path) -> None:
    whole, short = splits(tmp_path, 400), splits(tmp_path, 399)
    assert chosen("auto", whole, 8) == "epoch"
    assert told("epoch", whole) == []
    assert chosen("auto", short, 8) == chosen("shards", short, 8) == f"shards-{WINDOW}"
    assert chosen("auto", splits(tmp_path, 100), 8) == "shards-8"  # one more begins, one is fetched
    assert chosen("auto", splits(tmp_path, 100), 64) == "shards-5"  # five batches of 64 span four shards
    for asked in ("epoch", "once", "none", "buffer-7"):
        assert chosen(asked, short, 8) == asked
        assert told(asked, short) == [
            f"data.shuffle = '{asked}' may want many shards for a batch; 'shards' would fetch each once in an epoch"
        ]
    (line,) = told("shards-8", short)
    assert line == "data.shuffle = 'shards-8': shards in a random order, 8 at a time, each once in an epoch"


@pytest.mark.parametrize("how", ["sorted", "mixed"])
def test_shards_sorted_by_class_are_told(tmp_path: Path, how: str) -> None:
    short = splits(tmp_path, 20)
    store, rows = short.train.store, np.arange(4000)  # pyright: ignore[reportAttributeAccessIssue]
    split = Split([str(row) for row in rows], rows // 1000 if how == "sorted" else rows % 4, store)
    form: Form = {"channels": 1, "size": (8, 8), "fit": "crop"}
    short.train = StoredDataset(split, list("abcd"), form, np.zeros((4000, 32), np.uint8))
    assert (
        told("shards-8", short)[1:]
        == {
            "sorted": [
                "a shard holds 1 of 4 classes in the mean: `alexnet pack --shuffle` writes shards that mix better"
            ],
            "mixed": [],
        }[how]
    )


def test_a_window_without_room_is_refused(tmp_path: Path) -> None:
    short = splits(tmp_path, 100)
    assert chosen("shards-8", short, 8) == "shards-8"
    with pytest.raises(InputError) as caught:
        chosen("shards-9", short, 8)
    assert str(caught.value) == (
        f"data.shuffle = 'shards-9' needs 110 bytes for fetched shards, and their folder {tmp_path} may have 100: set "
        "ALEXNET_CACHE_BYTES to more, or data.shuffle to 'shards-8'"
    )
    assert chosen("shards-9", splits(tmp_path, 110), 8) == "shards-9"
    for asked in ("auto", "shards"):
        with pytest.raises(InputError, match=r"'shards-2' needs 40 bytes .* 39: .* or data.shuffle to 'epoch', which"):
            chosen(asked, splits(tmp_path, 39), 8)
    assert chosen("shards-99", splits(tmp_path, 400), 8) == "shards-99"


def test_shards_on_this_machine_have_no_limit_and_other_images_no_shards(tmp_path: Path) -> None:
    local = splits(tmp_path, 0)
    local.train = stored(Members([tmp_path / str(number) for number in range(40)], [(n, 0, 1) for n in range(40)]), 40)
    assert chosen("auto", local, 8) == "epoch"
    assert chosen("shards", local, 8) == f"shards-{WINDOW}"
    assert chosen("shards-3", local, 8) == "shards-3"
    assert told("epoch", local) == []
    assert np.asarray(shards_of(local.train)).tolist() == list(range(40))
    local.train = ArrayDataset(np.zeros((2, 8, 8, 1), np.uint8), np.zeros(2, np.int64), ["a"], ["1", "2"])
    assert shards_of(local.train) is None
    assert chosen("auto", local, 8) == "epoch"
    with pytest.raises(InputError, match="'shards-3', and these images lie in no shards on the disk: `alexnet pack`"):
        chosen("shards-3", local, 8)
