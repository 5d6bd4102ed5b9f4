import hashlib
from pathlib import Path
from typing import Any

import pytest

from alexnet.data.download import Digest
from alexnet.errors import InputError
from alexnet.models import catalog
from alexnet.weights import public
from alexnet.weights.foreign import Source

CONTENT = b"what the server has"


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was asked of the network; CONTENT comes back."""
    asked: list[dict[str, Any]] = []

    def fetch(url: str, path: Path, **options: Any) -> Path:
        asked.append({"url": url, **options})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT)
        return path

    monkeypatch.setattr(public, "fetch", fetch)
    return asked


def test_every_public_file_holds_a_network_of_the_catalog():
    for each in public.FILES.values():
        assert each.model in catalog.CATALOG
        assert each.url.startswith("https:") or (each.digest and each.digest.whole)


def test_a_known_file_is_asked_for_with_its_digest(fetched: list[dict[str, Any]], tmp_path: Path):
    path = public.fetch_public("caffenet", tmp_path)
    assert path == tmp_path / "bvlc_reference_caffenet.caffemodel"
    assert fetched[0]["digest"] == public.FILES["caffenet"].digest
    with pytest.raises(InputError, match="did you mean caffenet"):
        public.fetch_public("cafenet", tmp_path)


def test_a_file_without_a_digest_is_taken_only_on_request_and_then_held_to(
    fetched: list[dict[str, Any]], tmp_path: Path
):
    with pytest.raises(InputError, match="--trust-first"):
        public.fetch_public("bvlc-alexnet-npy", tmp_path)
    assert fetched == []
    public.fetch_public("bvlc-alexnet-npy", tmp_path, trust_first=True)
    assert fetched[0]["digest"] is None
    public.fetch_public("bvlc-alexnet-npy", tmp_path)
    assert fetched[1]["digest"] == Digest("sha256", hashlib.sha256(CONTENT).hexdigest())


def test_the_cache_is_where_data_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path))
    assert public.folder() == tmp_path / "weights"
    monkeypatch.delenv("ALEXNET_DATA")
    assert public.folder().parts[-3:] == (".cache", "alexnet", "weights")


def test_a_public_file_is_known_by_its_digest(monkeypatch: pytest.MonkeyPatch):
    assert public.identify(Source(Path("x"), CONTENT)) is None
    digest = Digest("sha1", hashlib.sha1(CONTENT).hexdigest())
    known = public.PublicFile("x", "https://x/x", "caffenet", "someone", "MIT", digest)
    monkeypatch.setitem(public.FILES, "x", known)
    assert public.identify(Source(Path("x"), CONTENT)) is known
