"""The folder of fetched shards: one fetch for all who want a file, a bounded size, and only what its digest says."""

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from shard_server import ShardServer, serving

from alexnet.data.download import Unavailable
from alexnet.data.remote import cache as caches
from alexnet.data.remote.cache import Cache, Object
from alexnet.errors import InputError
from alexnet.files import lock


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShardServer]:
    monkeypatch.setattr(caches, "PAUSE", 0.0)
    monkeypatch.setattr(caches, "TIMEOUT", 0.5)
    (tmp_path / "files").mkdir()
    for name in "abcd":
        (tmp_path / "files" / name).write_bytes(name.encode() * 1000)
    with serving(tmp_path / "files") as found:
        yield found


def wanted(server: ShardServer, name: str) -> Object:
    content = (server.folder / name).read_bytes()
    return Object(server.url + name, server.url + name, hashlib.sha256(content).hexdigest(), len(content))


def test_many_who_want_a_file_fetch_it_once(server: ShardServer, tmp_path: Path) -> None:
    cache, found = Cache(tmp_path / "cache"), []
    server.faults["a"] = ["cut"]
    threads = [threading.Thread(target=lambda: found.append(cache.get(wanted(server, "a")))) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert [path.read_bytes() for path in found] == [b"a" * 1000] * 8
    assert server.asked == ["a", "a"]  # once more, after the cut


def test_it_is_waited_for_while_another_process_fetches_it(server: ShardServer, tmp_path: Path) -> None:
    cache, own = Cache(tmp_path / "cache"), wanted(server, "a")
    path = cache.path(own)
    path.parent.mkdir(parents=True)
    found: list[Path] = []
    with lock(path.parent):
        waiting = threading.Thread(target=lambda: found.append(cache.get(own)))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        path.write_bytes(b"a" * 1000)
        waiting.join(60)
    assert found == [path]
    assert server.asked == []


def test_one_who_never_comes_to_an_end_is_named(
    server: ShardServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches, "TIMEOUT", 0.01)
    cache, own = Cache(tmp_path / "cache"), wanted(server, "a")
    cache.path(own).parent.mkdir(parents=True)
    with lock(cache.path(own).parent), pytest.raises(InputError, match=f"in use by process {os.getpid()}"):
        cache.get(own)


def test_the_least_recently_wanted_goes_first(server: ShardServer, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 3000)
    objects = {name: wanted(server, name) for name in "abcd"}
    for number, name in enumerate("abc"):
        cache.get(objects[name])
        os.utime(cache.path(objects[name]).with_name(".lock"), (number, number))
    cache.get(objects["a"])
    cache.get(objects["d"])
    assert {name for name in "abcd" if cache.holds(objects[name])} == {"a", "c", "d"}
    with lock(cache.path(objects["c"]).parent):  # it is being fetched, or read anew, by somebody else
        cache.get(objects["b"])
        assert cache.holds(objects["c"])


def test_what_does_not_fit_at_all_is_told(server: ShardServer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1,000 bytes.*may have 999: set ALEXNET_CACHE_BYTES"):
        Cache(tmp_path / "cache", 999).get(wanted(server, "a"))
    assert server.asked == []


def test_a_copy_of_another_length_is_replaced(server: ShardServer, tmp_path: Path) -> None:
    cache, own = Cache(tmp_path / "cache"), wanted(server, "a")
    cache.get(own).write_bytes(b"short")
    assert cache.get(own).read_bytes() == b"a" * 1000


@pytest.mark.parametrize("fault", ["404!", "500!", "cut!", "corrupt!", "short!", "stall!"])
def test_what_cannot_be_had_is_asked_for_again_and_then_named(server: ShardServer, tmp_path: Path, fault: str) -> None:
    server.faults["a"] = [fault]
    with pytest.raises(Unavailable, match="/a: "):
        Cache(tmp_path / "cache").get(wanted(server, "a"))
    assert len(server.asked) >= caches.ATTEMPTS
    assert not Cache(tmp_path / "cache").holds(wanted(server, "a"))


@pytest.mark.parametrize("status", ["401", "403"])
def test_without_permission_nothing_is_asked_again(server: ShardServer, tmp_path: Path, status: str) -> None:
    server.faults["a"] = [f"{status}!"]
    with pytest.raises(Unavailable, match=rf"no permission \(the server says {status}"):
        Cache(tmp_path / "cache").get(wanted(server, "a"))
    assert len(server.asked) == 1


@pytest.mark.parametrize("place", ["http://127.0.0.1:1/x", "ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_nobody_is_redirected_elsewhere_without_https(server: ShardServer, tmp_path: Path, place: str) -> None:
    server.faults["a"] = [f"{place}?secret=1"]
    with pytest.raises(Unavailable) as caught:
        Cache(tmp_path / "cache").get(wanted(server, "a"))
    assert caught.value.reason in (f"it redirects to {place}, which is not HTTPS", "the server says 302 Found")
    assert len(server.asked) == 1


def test_few_redirections_are_followed(server: ShardServer, tmp_path: Path) -> None:
    (server.folder / "e").write_bytes(b"a" * 1000)
    server.faults["a"] = ["/shards/e"]
    assert Cache(tmp_path / "cache").get(wanted(server, "a")).read_bytes() == b"a" * 1000
    server.faults["b"] = ["/shards/b!"]
    with pytest.raises(InputError, match="the server says 302"):
        Cache(tmp_path / "cache").get(wanted(server, "b"))
    assert server.asked.count("b") < 10


def test_the_limit_is_a_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALEXNET_CACHE", str(tmp_path))
    monkeypatch.setenv("ALEXNET_CACHE_BYTES", "5000")
    assert Cache.default() == Cache(tmp_path, 5000)
    monkeypatch.setenv("ALEXNET_CACHE_BYTES", "10 GB")
    with pytest.raises(InputError, match="ALEXNET_CACHE_BYTES is '10 GB'"):
        Cache.default()
