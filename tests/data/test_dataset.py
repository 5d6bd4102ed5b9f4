"""Datasets in memory: indexing, subsets, joining classes by name, fingerprints, other sizes."""

import numpy as np
import pytest

from alexnet.data import dataset as sets
from alexnet.data.dataset import ArrayDataset, RefittedDataset, refitted
from alexnet.errors import InputError


@pytest.fixture
def some(random: np.random.Generator) -> ArrayDataset:
    images = random.integers(0, 256, (6, 4, 5, 3), np.uint8)
    return ArrayDataset(images, np.array([0, 1, 2, 0, 1, 2]), ("a", "b", "c"), [f"p{i}" for i in range(6)])


def test_items_and_batches(some: ArrayDataset) -> None:
    image, label = some[-1]
    assert (len(some), label, some.channels, some.size) == (6, 2, 3, (4, 5))
    assert np.array_equal(image, some.images[5])
    assert np.array_equal(some.batch(np.array([3, 0])), some.images[[3, 0]])
    with pytest.raises(IndexError):
        some[6]


def test_subset_keeps_names_and_classes(some: ArrayDataset) -> None:
    part = some.subset(np.array([4, 1]))
    assert part.names == ("p4", "p1")
    assert part.classes == some.classes
    assert part.labels.tolist() == [1, 1]
    assert np.array_equal(part[0][0], some[4][0])
    assert np.array_equal(part.digests, some.digests[[4, 1]])


def test_fingerprint_sees_names_labels_and_content(some: ArrayDataset) -> None:
    def changed(**what: object) -> str:
        parts = {"images": some.images, "labels": some.labels, "classes": some.classes, "names": some.names} | what
        return ArrayDataset(**parts).fingerprint  # pyright: ignore[reportArgumentType]

    images = some.images.copy()
    images[2, 1, 1, 1] ^= 1
    others = {
        changed(images=images),
        changed(labels=np.array([1, 1, 2, 0, 1, 2])),
        changed(classes=("a", "b", "d")),
        changed(names=[*some.names[:5], "q"]),
        some.subset(np.arange(5)).fingerprint,
    }
    assert changed() == some.fingerprint
    assert len(others | {some.fingerprint}) == 6


def test_classes_are_joined_by_name(some: ArrayDataset) -> None:
    joined = some.relabeled(("x", "c", "b", "a"))
    assert joined.labels.tolist() == [3, 2, 1, 3, 2, 1]
    assert some.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert joined.fingerprint == some.fingerprint
    assert some.subset(np.array([0, 1])).relabeled(("a", "b")).labels.tolist() == [0, 1]
    with pytest.raises(InputError, match=r"never saw: c; it knows: a, b$"):
        some.relabeled(("a", "b"))


def test_wrong_parts_are_refused(some: ArrayDataset) -> None:
    with pytest.raises(InputError, match="uint8"):
        ArrayDataset(some.images.astype(float), some.labels, some.classes, some.names)
    with pytest.raises(InputError, match="6 images for 5 labels"):
        ArrayDataset(some.images, some.labels[:5], some.classes, some.names)
    with pytest.raises(InputError, match="5 names"):
        ArrayDataset(some.images, some.labels, some.classes, some.names[:5])
    with pytest.raises(InputError, match="labels 0–2 for 2 classes"):
        ArrayDataset(some.images, some.labels, some.classes[:2], some.names)


def test_refitted_in_memory_and_on_demand_are_the_same(some: ArrayDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refitted(some, 3, (4, 5), "crop") is some
    small = refitted(some, 1, (8, 8), "squash")
    monkeypatch.setattr(sets, "MEMORY_LIMIT", 0)
    lazy = refitted(some, 1, (8, 8), "squash")
    assert isinstance(small, ArrayDataset)
    assert isinstance(lazy, RefittedDataset)
    assert small.fingerprint == lazy.fingerprint == some.fingerprint
    order = np.array([5, 2, 2])
    assert np.array_equal(lazy.batch(order), small.batch(order))
    assert np.array_equal(lazy.subset(order).relabeled(("c", "b", "a")).batch(np.array([0])), small.batch(order[:1]))
    assert lazy.batch(np.array([], int)).shape == (0, 8, 8, 1)
