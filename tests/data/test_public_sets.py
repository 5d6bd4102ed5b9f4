"""Public datasets: what is fetched from where, to where, and held to which digest."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from alexnet.data import public_sets as public
from alexnet.data.download import Digest
from alexnet.data.sources import SETS
from alexnet.errors import InputError


def test_every_set_has_whole_digests_and_a_reader() -> None:
    for name, one in public.PUBLIC.items():
        assert name in SETS
        assert all(Digest("md5", digest).whole for digest in one.files.values())
        assert one.base.endswith("/")


def test_files_are_fetched_to_where_they_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Path, Digest]] = []

    def fetch(url: str, path: Path, *, digest: Digest, **_: Any) -> Path:
        asked.append((url, path, digest))
        return path

    monkeypatch.setattr(public, "fetch", fetch)
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path))
    assert public.fetch_set("cifar100") == tmp_path / "cifar100"
    url, path, digest = asked[0]
    assert url == "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
    assert path == tmp_path / "cifar100" / "cifar-100-binary.tar.gz"
    assert digest == Digest("md5", "03b5dce01913d631647c71ecec9e9cb8")
    assert public.fetch_set("mnist", tmp_path / "here") == tmp_path / "here"
    assert [path.name[:5] for _, path, _ in asked[1:]] == ["train", "train", "t10k-", "t10k-"]
    monkeypatch.delenv("ALEXNET_DATA")
    assert public.folder("mnist") == Path.home() / ".cache" / "alexnet" / "mnist"


def test_other_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = public.PublicSet("https://nowhere.invalid/", {"x.bin": hashlib.md5(b"x").hexdigest()}, "", None)
    monkeypatch.setitem(public.PUBLIC, "small", small)
    (tmp_path / "x.bin").write_bytes(b"x")
    assert public.fetch_set("small", tmp_path) == tmp_path
    (tmp_path / "x.bin").write_bytes(b"y")
    with pytest.raises(InputError, match="damaged or another file"):
        public.fetch_set("small", tmp_path)
    with pytest.raises(InputError, match="unknown public dataset 'imagenet'; choose one of: mnist"):
        public.fetch_set("imagenet", tmp_path)
