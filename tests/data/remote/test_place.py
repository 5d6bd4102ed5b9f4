"""An index on a server is bounded and believed in nothing."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from shard_server import ShardServer, serving

from alexnet.data import dataset as sets
from alexnet.data.loading import loader
from alexnet.data.loading.stored import StoredDataset
from alexnet.data.pack import pack
from alexnet.data.readers import shards
from alexnet.data.readers.folder import list_folder
from alexnet.data.remote import cache as caches
from alexnet.data.remote.store import RemoteMembers
from alexnet.data.sources import open_splits
from alexnet.errors import InputError


@pytest.fixture
def server(folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShardServer]:
    """Three shards of training images and two of validation images."""
    monkeypatch.delenv("ALEXNET_OFFLINE", raising=False)
    monkeypatch.setenv("ALEXNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(caches, "PAUSE", 0.0)
    monkeypatch.setattr(caches, "TIMEOUT", 1.0)
    images = folder("train/cat", "train/dog", "val/cat", "val/dog", count=6)
    pack(list_folder(images), {"channels": 3, "size": (8, 8), "fit": "crop"}, tmp_path / "out", images=4)
    with serving(tmp_path / "out") as found:
        yield found


def test_the_images_are_those_of_the_folder(server: ShardServer, monkeypatch: pytest.MonkeyPatch) -> None:
    here = open_splits("auto", server.folder)
    for limit in (sets.MEMORY_LIMIT, 0):
        monkeypatch.setattr(sets, "MEMORY_LIMIT", limit)
        there = open_splits("folder", server.url)
        for own, theirs in ((here.train, there.train), (here.validation, there.validation)):
            assert own is not None
            assert theirs is not None
            rows = np.random.default_rng(0).permutation(len(own))
            assert (own.batch(rows) == theirs.batch(rows)).all()
            assert own.fingerprint == theirs.fingerprint
            assert (own.subset(rows[:3]).batch(np.arange(3)) == theirs.subset(rows[:3]).batch(np.arange(3))).all()
        assert server.count() == 6  # once each
    assert (there.address, there.path, there.name) == (server.url, None, "shards")


def test_a_loader_fetches_what_later_batches_want(server: ShardServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "MEMORY_LIMIT", 0)
    monkeypatch.setattr(loader, "AHEAD", 1)
    train = open_splits(None, server.url).train
    assert isinstance(train, StoredDataset)
    store = train.store
    assert isinstance(store, RemoteMembers)
    assert not any(map(store.cache.holds, store.shards))
    batches = loader.Loader(train, torch.device("cpu"), 0).batches(torch.arange(12), 2)
    next(batches)  # decoded: the first four images, all of one shard
    until = time.monotonic() + 60
    while not all(map(store.cache.holds, store.shards)):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert sum(len(images) for images, _ in batches) == 10


def changed(server: ShardServer, **changes: Any) -> None:
    """With what is said of the first shard changed."""
    index = json.loads((server.folder / "index.json").read_text())
    index["splits"]["train"][0] |= changes
    (server.folder / "index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    "changes",
    [
        {"file": "../train-000000.tar"},
        {"file": "/etc/passwd"},
        {"file": "https://elsewhere/x.tar"},
        {"file": ["x.tar"]},
        {"sha256": "../../../x"},
        {"sha256": 5},
        {"bytes": -1},
        {"bytes": 2**60},
        {"bytes": "5"},
        {"bytes": True},
        {"count": None},
        {"list": {"bytes": 2**39, "sha256": "0" * 64}},
        {"list": {"bytes": 5}},
        {"list": 5},
    ],
)
def test_a_hostile_index_ends_in_one_line(server: ShardServer, changes: dict[str, Any], tmp_path: Path) -> None:
    changed(server, **changes)
    with pytest.raises(InputError) as caught:
        open_splits(None, server.url)
    assert "\n" not in str(caught.value)
    assert server.count() == 0
    outside = [path for path in tmp_path.rglob("*") if path.name.startswith("content")]
    assert all((tmp_path / "cache") in path.parents for path in outside)


@pytest.mark.parametrize("content", ["", "[]", "{}", "[" * 20_000, '{"kind": "alexnet-shards", "version": 1}'])
def test_what_is_no_index(server: ShardServer, content: str) -> None:
    (server.folder / "index.json").write_text(content)
    with pytest.raises(InputError, match=r"127\.0\.0\.1") as caught:
        open_splits(None, server.url)
    assert "\n" not in str(caught.value)


def test_a_large_index_is_not_read(server: ShardServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MAX_INDEX", 100)
    with pytest.raises(InputError, match="where 100 were expected: nothing was read"):
        open_splits(None, server.url)


def test_a_list_of_other_images_is_found_by_its_digest(server: ShardServer) -> None:
    path = server.folder / "train-000000.json"
    path.write_bytes(path.read_bytes().replace(b"cat", b"cow"))
    with pytest.raises(InputError, match=r"train-000000\.json: .*its sha256 differs"):
        open_splits(None, server.url)


def test_packs_without_digests_of_their_lists_are_told_how_to_get_them(server: ShardServer) -> None:
    index = json.loads((server.folder / "index.json").read_text())
    for own in index["splits"].values():
        for shard in own:
            del shard["list"]
    (server.folder / "index.json").write_text(json.dumps(index))
    assert len(open_splits(None, server.folder).train) == 12
    with pytest.raises(InputError, match="run the same `alexnet pack` again"):
        open_splits(None, server.url)


def test_the_lengths_of_all_shards_are_looked_at_first(server: ShardServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "MEMORY_LIMIT", 0)
    (server.folder / "train-000002.tar").write_bytes(b"x")
    with pytest.raises(InputError, match=r"train-000002\.tar: it has 1 bytes where"):
        open_splits(None, server.url)


def test_what_is_left_out_is_named(server: ShardServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (sets.MEMORY_LIMIT, 0):
        monkeypatch.setattr(sets, "MEMORY_LIMIT", limit)
        names = json.loads((server.folder / "train-000001.json").read_text())["names"]
        server.faults |= {"train-000001.tar": ["404!"], "validation-000000.json": ["404!"]}
        splits = open_splits(None, server.url, missing_shards="skip")
        assert [name for name, _ in splits.skipped] == [
            *names, *(f"validation-000000.tar, image {number}" for number in range(1, 5))
        ]  # fmt: skip
        assert (len(splits.train), len(splits.validation or ())) == (8, 8)
        assert not {*names} & {*splits.train.names}
    server.faults |= {f"train-{number:06}.tar": ["404!"] for number in range(3)}
    monkeypatch.setenv("ALEXNET_CACHE", str(server.folder.parent / "other"))
    with pytest.raises(InputError, match="no training images in"):
        open_splits(None, server.url, missing_shards="skip")
    with pytest.raises(InputError, match="unknown data"):
        open_splits(None, server.url, missing_shards="ignore")


def test_other_sets_and_offline(server: ShardServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="is read as packed images, not as mnist"):
        open_splits("mnist", server.url)
    monkeypatch.setenv("ALEXNET_OFFLINE", "1")
    with pytest.raises(InputError, match="is not fetched: --offline"):
        open_splits(None, server.url)
