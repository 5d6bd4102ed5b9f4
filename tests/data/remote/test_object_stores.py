"""Files that fsspec opens, and how long they are waited for."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alexnet.data.download import Beyond, Cut, Unavailable, complete
from alexnet.data.remote import stored
from alexnet.data.remote.stored import Stored
from alexnet.errors import InputError

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    system.pipe("/bucket/a", bytes(range(250)) * 100)
    yield system
    system.rm("/bucket", recursive=True)


class Failing:
    """A file system that fails as it is told to when a file is opened."""

    def __init__(self, error: Exception | None) -> None:
        self.error, self.release = error, threading.Event()

    def size(self, path: str) -> int:
        return 10

    def open(self, path: str, *_: object, **__: object) -> Any:
        if self.error:
            raise self.error
        self.release.wait(60)


def read(url: str, part: Path, timeout: float = 30.0) -> bytes:
    complete(Stored(url, waits=False), part, 30_000, None, timeout, attempts=2, pause=0.0)
    return part.read_bytes()


@pytest.mark.usefixtures("memory")
def test_a_file_comes_whole_and_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bytes(range(250)) * 100
    monkeypatch.setattr(stored, "_BLOCK", 999)
    assert read("memory://bucket/a", tmp_path / "a") == whole
    (tmp_path / "b").write_bytes(whole[:7000])
    assert read("memory://bucket/a", tmp_path / "b") == whole
    with pytest.raises(Beyond), Stored("memory://bucket/a", False).open(25_000, 30.0):
        pass


@pytest.mark.usefixtures("memory")
def test_what_is_not_there() -> None:
    for waits, kind in ((False, Unavailable), (True, Cut)):
        with pytest.raises(kind, match="it is not there"), Stored("memory://bucket/b", waits).open(0, 30.0):
            pass


def test_errors_are_told_by_their_kind_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class NoCredentialsError(Exception):
        pass

    for error, message in (
        (PermissionError("key=secret"), r"^s3://bucket/a: no permission \(PermissionError\)$"),
        (NoCredentialsError("key=secret"), r"^s3://bucket/a: no permission \(NoCredentialsError\)$"),
        (
            ImportError("Install s3fs", name="s3fs"),
            r"^s3://bucket/a needs another package: pip install 'alexnet\[remote\]'$",
        ),
        (ValueError("key=secret"), r"could not be fetched \(ValueError\)"),
    ):
        monkeypatch.setattr(stored, "_system", lambda url, error=error: (Failing(error), "a"))
        with pytest.raises(InputError, match=message):
            read("s3://bucket/a", tmp_path / "a")


def test_a_store_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    silent = Failing(None)
    monkeypatch.setattr(stored, "_system", lambda url: (silent, "a"))
    with pytest.raises(Unavailable, match="no byte came for a while"):
        read("s3://bucket/a", tmp_path / "a", timeout=0.1)
    silent.release.set()


def test_a_package_that_is_not_here_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "_system", lambda url: (Failing(ImportError("no")), "a"))
    with pytest.raises(InputError, match=r"^gs://bucket/a needs another package: Please install gcsfs"):
        read("gs://bucket/a", tmp_path / "a")


def test_an_unknown_kind_of_address_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing:// is no address that is read here; https, http, s3"):
        read("nothing://bucket/a", tmp_path / "a")


def test_an_s3_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server on this machine that speaks S3's protocol."""
    pytest.importorskip("s3fs", reason="needs alexnet[remote]")
    server = pytest.importorskip("moto.server", reason="needs moto[server], a stand-in for S3")
    for name, value in (("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "secret"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    try:
        host, port = running.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        fsspec.filesystem("s3").clear_instance_cache()
        system = fsspec.filesystem("s3")
        system.mkdir("bucket")
        system.pipe("bucket/folder/a", bytes(range(250)) * 100)
        monkeypatch.setattr(stored, "_BLOCK", 9_000)
        (tmp_path / "a").write_bytes(bytes(range(250)) * 10)
        assert read("s3://bucket/folder/a", tmp_path / "a") == bytes(range(250)) * 100
        with pytest.raises(Unavailable, match="it is not there"):
            read("s3://bucket/folder/b", tmp_path / "b")
    finally:
        running.stop()
