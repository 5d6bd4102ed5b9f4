"""Training from shards on a server: the weights of training from the folder, bit for bit, whatever the server does."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shard_server import ShardServer, serving

import alexnet
from alexnet.artifacts.run import Run
from alexnet.data import dataset as sets
from alexnet.data.remote import cache
from alexnet.data.remote.store import STREAMS
from alexnet.errors import InputError
from alexnet.training.interrupts import Interrupted
from alexnet.training.reporter import Reporter

pytestmark = pytest.mark.usefixtures("bare")
SETTINGS = {"data.name": "shards", "data.validation": 0.2, "train.batch_size": 8, "augment.shift": 0.1}


@pytest.fixture
def server(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShardServer]:
    monkeypatch.delenv("ALEXNET_OFFLINE", raising=False)
    monkeypatch.setenv("ALEXNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "PAUSE", 0.01)
    monkeypatch.setattr(cache, "TIMEOUT", 1.0)
    with serving(shards) as found:
        yield found


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "MEMORY_LIMIT", 0)


def trained(out: Path, data: object, **more: Any) -> Run:
    settings = SETTINGS | more.pop("settings", {})
    return alexnet.train("digits", out=out, data=str(data), epochs=2, settings=settings, **more)


def ended(run: Run) -> list[bytes]:
    return [(run.path / f"{name}.safetensors").read_bytes() for name in ("last", "best")]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.usefixtures("streamed")
def test_it_is_the_training_from_the_folder(server: ShardServer, tmp_path: Path, workers: int) -> None:
    settings = {"data.workers": workers}
    here = trained(tmp_path / "here", server.folder, settings=settings)
    there = trained(tmp_path / "there", server.url, settings=settings)
    assert ended(there) == ended(here)
    assert there.card.data.fingerprint == here.card.data.fingerprint
    assert there.card.data.path == server.url
    assert any("5 shards" in note for note in there.card.data.notes)
    assert sorted(name for name in server.asked if name.endswith(".json")) == [
        "index.json",
        *(f"train-{number:06}.json" for number in range(5)),
    ]


@pytest.mark.usefixtures("streamed")
def test_faults_change_nothing(server: ShardServer, tmp_path: Path) -> None:
    here = trained(tmp_path / "here", server.folder)
    server.faults |= {
        "index.json": ["503"],
        "train-000000.tar": ["cut", "404", "cut"],
        "train-000001.tar": ["stall", "500"],
        "train-000002.tar": ["short", "corrupt", "short"],
        "train-000003.json": ["corrupt", "cut"],
    }
    assert ended(trained(tmp_path / "there", server.url)) == ended(here)
    assert not any(server.faults.values())


@pytest.mark.usefixtures("streamed")
def test_a_stopped_run_goes_on_from_the_address_it_recorded(
    server: ShardServer, tmp_path: Path, ctrl_c: Reporter
) -> None:
    here = trained(tmp_path / "here", server.folder)
    with pytest.raises(Interrupted):
        trained(tmp_path / "cut", server.url, reporter=ctrl_c)
    again = alexnet.train(out=tmp_path / "cut", resume_run=True)
    assert ended(again) == ended(here)
    assert server.count() <= 2 * 5  # what was fetched, or only asked for, before is not fetched again


@pytest.mark.usefixtures("streamed")
def test_shards_that_do_not_fit_are_fetched_again_in_the_same_order(
    server: ShardServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"data.shuffle": "epoch"}
    here = trained(tmp_path / "here", server.folder, settings=settings)
    files = [each.stat().st_size for each in server.folder.iterdir()]
    limit = 3 * max(files) + sum(each.stat().st_size for each in server.folder.glob("train-*.json"))
    monkeypatch.setenv("ALEXNET_CACHE_BYTES", str(limit))
    there = trained(tmp_path / "there", server.url, settings=settings)
    assert ended(there) == ended(here)
    assert server.count() > 10
    assert any("ALEXNET_CACHE_BYTES" in note for note in there.card.data.notes)
    left = [each.stat().st_size for each in (tmp_path / "cache").rglob("content*")]
    assert sum(left) <= limit + STREAMS * max(files)  # those that are fetched at the same time come on top


def test_a_list_of_shards_that_changes_ends_the_resumed_run(
    server: ShardServer, tmp_path: Path, ctrl_c: Reporter
) -> None:
    with pytest.raises(Interrupted):
        trained(tmp_path / "cut", server.url, reporter=ctrl_c)
    index = server.folder / "index.json"
    index.write_text(index.read_text().replace('"quality": 95', '"quality": 94'))
    with pytest.raises(InputError, match="the list was changed since"):
        alexnet.train(out=tmp_path / "cut", resume_run=True)


@pytest.mark.usefixtures("streamed")
def test_a_missing_shard_stops_or_is_skipped(server: ShardServer, tmp_path: Path) -> None:
    server.faults |= {"train-000002.tar": ["404!"], "train-000003.tar": ["corrupt!"]}
    with pytest.raises(InputError, match=r"train-000002\.tar: .*404"):
        trained(tmp_path / "stopped", server.url)
    assert not (tmp_path / "stopped").exists()
    run = trained(tmp_path / "skipped", server.url, settings={"data.missing_shards": "skip"})
    assert len(run.skipped) == run.card.data.skipped == 26
    assert {line.split("shards/")[1].split(":")[0] for line in run.skipped} == {"train-000002.tar", "train-000003.tar"}
    assert run.card.data.train + run.card.data.validation == 34
    assert run.card.data.protocol is not None
    assert run.card.data.protocol.missing_shards == "skip"
    # The same shards missing from a folder are left out alike.
    shutil.copytree(server.folder, tmp_path / "copy")
    for number in (2, 3):
        (tmp_path / "copy" / f"train-{number:06}.tar").unlink()
    with pytest.raises(InputError, match=r"train-000002\.tar: it is missing"):
        trained(tmp_path / "stopped", tmp_path / "copy")
    assert ended(trained(tmp_path / "here", tmp_path / "copy", settings={"data.missing_shards": "skip"})) == ended(run)


@pytest.mark.usefixtures("streamed")
def test_secrets_in_an_address_are_sent_and_not_told(server: ShardServer, tmp_path: Path) -> None:
    url = server.url.replace("http://", "http://me:pass%2Fword@") + "?sig=abc123"
    run = trained(tmp_path / "run", url)
    assert run.card.data.path == server.url
    assert {name.partition("?")[2] for name in server.asked} == {"sig=abc123"}
    assert set(server.users) == {"Basic bWU6cGFzcy93b3Jk"}
    files = [path for place in ("run", "cache") for path in (tmp_path / place).rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        assert b"abc123" not in content, path
        assert b"pass%2F" not in content, path
    server.faults["index.json"] = ["403!"]
    with pytest.raises(InputError) as caught:
        trained(tmp_path / "other", url)
    assert str(caught.value) == f"{server.url}index.json: no permission (the server says 403 Forbidden)"
