"""Shards are fetched before they are read, no more of them than there is room for."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from shard_server import ShardServer, serving

from alexnet.data.loading.decode import DecodeError
from alexnet.data.remote import cache as caches
from alexnet.data.remote.cache import Cache, Object
from alexnet.data.remote.store import Ahead, RemoteMembers


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShardServer]:
    monkeypatch.setattr(caches, "PAUSE", 0.0)
    (tmp_path / "files").mkdir()
    for number in range(6):
        (tmp_path / "files" / str(number)).write_bytes(bytes([number]) * 1000)
    with serving(tmp_path / "files") as found:
        yield found


def objects(server: ShardServer) -> list[Object]:
    return [
        Object(server.url + str(each), f"shard {each}", hashlib.sha256(bytes([each]) * 1000).hexdigest(), 1000)
        for each in range(6)
    ]


def awaited(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_images_are_read_from_wherever_they_lie(server: ShardServer, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 2000)
    store = RemoteMembers(objects(server), np.array([[number, 10, 5] for number in range(6)]), cache)
    for row in (3, 0, 5, 3, 1):
        assert store.read(row) == bytes([row]) * 5
    part = store.part(np.array([5, 2]))
    assert [part.read(0), part.read(1), part.head(0, 2)] == [bytes([5]) * 5, bytes([2]) * 5, bytes([5]) * 2]
    assert len(part.shards) == 2
    cache.path(objects(server)[2]).unlink()
    assert part.read(1) == bytes([2]) * 5
    server.faults["4"] = ["403!"]
    with pytest.raises(DecodeError, match=r"^shard 4: its shard cannot be had: http.*/4: no permission"):
        store.read(4)
    assert store.head(4, 2) == b""


def test_all_are_fetched_in_the_order_of_the_images_where_they_fit(server: ShardServer, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 12_000)
    own = objects(server)
    fetching = Ahead(cache, own, [np.array([4, 4, 2]), np.array([2, 0]), np.array([1, 3, 5, 4])])
    awaited(lambda: all(map(cache.holds, own)))
    assert sorted(server.asked) == [str(number) for number in range(6)]
    assert set(server.asked[:4]) <= {"4", "2", "0", "1", "3"}
    fetching.end()


def test_no_more_is_fetched_than_there_is_room_for(server: ShardServer, tmp_path: Path) -> None:
    cache, before = Cache(tmp_path / "cache", 4000), threading.active_count()
    own = objects(server)
    fetching = Ahead(cache, own, [np.array([number]) for number in range(6)])
    awaited(lambda: len(server.asked) == 2)
    time.sleep(0.2)
    assert sorted(server.asked) == ["0", "1"]  # half of what there is room for
    fetching.reached(1)
    awaited(lambda: "2" in server.asked)
    fetching.reached(5)
    awaited(lambda: "5" in server.asked)
    fetching.end()
    awaited(lambda: threading.active_count() <= before + 1)  # the server's own


def test_shards_of_a_window_stay_and_the_next_one_is_fetched_meanwhile(server: ShardServer, tmp_path: Path) -> None:
    """Here shard 0, which slice 1 does not want, stays for slice 2: it has all of the room, not half of it."""
    cache, own = Cache(tmp_path / "cache", 3000), objects(server)
    slices = [np.array(each) for each in ([0, 1], [1], [0, 1, 2], [1, 2], [2, 3], [3, 4, 5])]
    fetching = Ahead(cache, own, slices)
    awaited(lambda: all(cache.holds(own[each]) for each in (0, 1, 2)))
    time.sleep(0.2)
    assert sorted(server.asked) == ["0", "1", "2"]
    for number in range(1, len(slices)):
        fetching.reached(number)
        awaited(lambda rows=slices[number]: all(cache.holds(own[each]) for each in rows))
    assert sorted(server.asked) == [str(number) for number in range(6)]
    fetching.end()
