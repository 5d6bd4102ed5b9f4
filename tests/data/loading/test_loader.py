"""Batches in the order that is asked for, the same from memory and from files."""

from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import pytest
import torch

from alexnet.data import dataset as sets
from alexnet.data.dataset import ArrayDataset, Dataset
from alexnet.data.loading.decode import DecodeError
from alexnet.data.loading.loader import Loader
from alexnet.data.loading.stored import StoredDataset
from alexnet.data.loading.stores import Files
from alexnet.data.readers.folder import Folder
from alexnet.data.readers.source import Request

CPU = torch.device("cpu")


def numbered(count: int) -> ArrayDataset:
    """Image i has the value i everywhere."""
    images = np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2)
    return ArrayDataset(images, np.arange(count) % 3, ["a", "b", "c"], [f"#{index}" for index in range(count)])


@pytest.fixture
def streamed(folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setattr(sets, "MEMORY_LIMIT", 0)
    dataset = Folder().open(Request(folder("cat", "dog", count=9), (12, 16))).splits["train"]
    assert isinstance(dataset, StoredDataset)
    return dataset


def test_batches_follow_the_order_and_the_last_one_is_smaller() -> None:
    batches = list(Loader(numbered(10), CPU).batches(torch.arange(10).flip(0), 4))
    assert [images[:, 0, 0, 0].tolist() for images, _ in batches] == [[9, 8, 7, 6], [5, 4, 3, 2], [1, 0]]
    assert batches[0][1].tolist() == [0, 2, 1, 0]
    assert batches[0][0].dtype == torch.uint8
    assert batches[0][0].shape == (4, 4, 4, 1)


def test_arrays_that_torch_cannot_share_are_copied() -> None:
    whole = numbered(6)
    backwards, fixed = whole.images[::-1], whole.images.copy()
    fixed.flags.writeable = False
    for images, first in ((backwards, 5), (fixed, 0)):
        loader = Loader(ArrayDataset(images, whole.labels, whole.classes, whole.names), CPU)
        assert next(loader.batches(torch.arange(6), 1))[0].unique().tolist() == [first]


def test_a_resumed_epoch_leaves_out_what_was_done() -> None:
    loader, order = Loader(numbered(10), CPU), torch.arange(10)
    assert [labels.tolist() for _, labels in loader.batches(order, 4, first=2)] == [[2, 0]]
    assert list(loader.batches(order, 4, first=3)) == []


def test_files_give_the_same_batches_as_memory(streamed: Dataset) -> None:
    everything = np.arange(len(streamed))
    held = ArrayDataset(streamed.batch(everything), streamed.labels, streamed.classes, streamed.names)
    order = torch.randperm(18, generator=torch.Generator().manual_seed(0))
    for first in (0, 2, 9):
        loaders = (Loader(dataset, CPU).batches(order, 2, first=first) for dataset in (streamed, held))
        pairs = list(zip(*loaders, strict=True))
        assert len(pairs) == 9 - first
        for (images, labels), (wanted, wanted_labels) in pairs:
            assert torch.equal(images, wanted)
            assert torch.equal(labels, wanted_labels)


def test_a_file_that_vanishes_is_told_and_an_early_end_does_not_hang(streamed: Dataset) -> None:
    batches = Loader(streamed, CPU).batches(torch.arange(18), 2)
    assert next(batches)[0].shape == (2, 12, 16, 3)
    assert isinstance(batches, Generator)
    batches.close()
    assert isinstance(streamed, StoredDataset)
    assert isinstance(streamed.store, Files)
    (streamed.store.root / streamed.names[5]).unlink()
    with pytest.raises(DecodeError, match="no such file"):
        list(Loader(streamed, CPU).batches(torch.arange(18), 2))
