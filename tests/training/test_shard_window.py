"""Training from shards that do not fit on the disk: some at a time, each fetched once an epoch, the same everywhere."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from shard_server import ShardServer, serving

import alexnet
from alexnet.artifacts import store
from alexnet.artifacts.run import Run
from alexnet.data import dataset as sets
from alexnet.data.loading.loader import Loader
from alexnet.data.loading.shard_order import shard_order, shards_of
from alexnet.data.pack import pack
from alexnet.data.readers.folder import list_folder
from alexnet.data.remote import cache
from alexnet.data.sources import open_splits
from alexnet.device import derive_seed
from alexnet.errors import InputError
from alexnet.process.group import World
from alexnet.training.interrupts import Interrupted
from alexnet.training.loop import Trainer
from alexnet.training.reporter import Reporter

pytestmark = pytest.mark.usefixtures("bare")
SETTINGS = {"data.name": "shards", "train.batch_size": 4, "augment.shift": 0.1, "train.least_steps": 0}
SETTINGS |= {"model.dropout": 0.0, "train.precision": "fp32"}
SHARDS, IN_ONE = 10, 16


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShardServer]:
    """160 images of two classes to train in 10 shards, 16 to validate in one; room for 6 of the 11."""
    monkeypatch.delenv("ALEXNET_OFFLINE", raising=False)
    monkeypatch.setattr(cache, "PAUSE", 0.01)
    monkeypatch.setattr(sets, "MEMORY_LIMIT", 0)
    random = np.random.default_rng(0)
    for index in range((SHARDS + 1) * IN_ONE):
        split = "train" if index < SHARDS * IN_ONE else "val"
        path = tmp_path / "images" / split / f"class{index % 2}" / f"{index:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(path)
    form: Any = {"channels": 1, "size": (8, 8), "fit": "crop"}
    pack(list_folder(tmp_path / "images"), form, tmp_path / "shards", images=IN_ONE)
    most = max(each.stat().st_size for each in (tmp_path / "shards").glob("*.tar"))
    monkeypatch.setenv("ALEXNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ALEXNET_CACHE_BYTES", str(6 * most))
    with serving(tmp_path / "shards") as found:
        yield found


def trained(out: Path, data: object, **more: Any) -> Run:
    settings = SETTINGS | more.pop("settings", {})
    return alexnet.train("digits", out=out, data=str(data), epochs=2, settings=settings, **more)


def ended(run: Run) -> list[bytes]:
    return [(run.path / f"{name}.safetensors").read_bytes() for name in ("last", "best")]


def fetched(server: ShardServer) -> Counter[str]:
    return Counter(name for name in server.asked if name.endswith(".tar"))


@pytest.mark.parametrize("workers", [0, 2])
def test_each_shard_is_fetched_once_in_an_epoch(server: ShardServer, workers: int) -> None:
    loader = Loader(open_splits("shards", server.url, validation=None).train, torch.device("cpu"), workers)
    shards = shards_of(loader.dataset)
    assert shards is not None
    for epoch in range(3):
        server.asked.clear()
        order = shard_order(shards, 3, 4, torch.Generator().manual_seed(epoch))
        images = torch.cat([images for images, _ in loader.batches(order, 4)])
        assert (images.numpy() == loader.dataset.batch(order.numpy())).all() if epoch == 2 else len(images) == 160
        if epoch < 2:
            assert set(fetched(server).values()) == {1}
            assert SHARDS - 6 <= len(fetched(server)) <= SHARDS


def test_it_is_chosen_where_shards_do_not_fit_and_stands_in_the_run(
    server: ShardServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs: list[Counter[str]] = []
    original = Trainer.train_epoch

    def counted(trainer: Trainer, asked: Callable[[], bool]) -> None:
        server.asked.clear()
        original(trainer, asked)
        epochs.append(fetched(server))

    orders: list[list[int]] = []
    batches = Loader.batches

    def told(loader: Loader, order: torch.Tensor, *more: Any) -> Any:
        orders.append(order.tolist())
        return batches(loader, order, *more)

    monkeypatch.setattr(Trainer, "train_epoch", counted)
    monkeypatch.setattr(Loader, "batches", told)
    run = trained(tmp_path / "run", server.url)
    assert run.recipe.data.shuffle == "shards-3"
    line = "data.shuffle = 'shards-3': shards in a random order, 3 at a time, each once in an epoch"
    assert line in run.card.data.notes
    assert [max(each.values()) for each in epochs] == [1, 1]
    assert all(len(each) > SHARDS - 6 for each in epochs)
    shards = np.arange(SHARDS).repeat(IN_ONE)
    for epoch in range(2):
        draws = torch.Generator().manual_seed(derive_seed(run.recipe.train.seed, "order", epoch))
        assert shard_order(shards, 3, 4, draws).tolist() in orders
    # From a folder there is no limit; with the same order it is the same training.
    here = trained(tmp_path / "here", server.folder, settings={"data.shuffle": "shards-3"})
    assert ended(here) == ended(run)
    plain = trained(tmp_path / "plain", server.folder)
    assert plain.recipe.data.shuffle == "epoch"
    assert ended(plain) != ended(run)


@pytest.mark.parametrize("named", [False, True])
def test_a_run_goes_on_in_its_order_where_there_is_more_room(
    server: ShardServer, tmp_path: Path, ctrl_c: Reporter, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    whole = trained(tmp_path / "whole", server.url)
    with pytest.raises(Interrupted):
        trained(tmp_path / "cut", server.url, reporter=ctrl_c)
    assert Run(tmp_path / "cut").recipe.data.shuffle == "shards-3"
    monkeypatch.delenv("ALEXNET_CACHE_BYTES")
    if named:  # a recipe that leaves the order open
        again = trained(tmp_path / "cut", server.url, resume_run=True)
    else:
        again = alexnet.train(out=tmp_path / "cut", data=server.folder, resume_run=True)
    assert ended(again) == ended(whole)


def test_a_window_that_no_longer_fits_is_refused(
    server: ShardServer, tmp_path: Path, ctrl_c: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Interrupted):
        trained(tmp_path / "cut", server.url, reporter=ctrl_c)
    monkeypatch.setenv("ALEXNET_CACHE_BYTES", str(int(os.environ["ALEXNET_CACHE_BYTES"]) // 6 * 5))
    with pytest.raises(InputError, match=r"data.shuffle = 'shards-3' needs .* set ALEXNET_CACHE_BYTES to more"):
        alexnet.train(out=tmp_path / "cut", resume_run=True)
    with pytest.raises(InputError, match="'shards-3' needs"):
        trained(tmp_path / "new", server.url, settings={"data.shuffle": "shards-3"})
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("apart", [False, True])
def test_two_processes_fetch_what_their_parts_need(
    server: ShardServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart: bool
) -> None:
    """With a folder for both each shard once; on two machines, which are in step, each those of its images, once."""
    loaders: list[Loader] = []
    for rank in range(2):
        if apart:
            monkeypatch.setenv("ALEXNET_CACHE", str(tmp_path / f"cache-{rank}"))
        loaders.append(Loader(open_splits("shards", server.url, validation=None).train, torch.device("cpu"), 0))
    shards = shards_of(loaders[0].dataset)
    assert shards is not None
    order = shard_order(shards, 3, 4, torch.Generator().manual_seed(0))
    server.asked.clear()
    worlds = [World(rank, 2) for rank in range(2)]
    batches = [loaders[world.rank].batches(order, 4, 0, world.part) for world in worlds]
    batches = [loaders[world.rank].batches(order, 4, 0, world.part) for world in worlds]
    for parts in zip(*batches, strict=True):
        assert [len(images) for images, _ in parts] == [2, 2]
    needed = [set(shards[torch.cat([world.part(each) for each in order.split(4)])].tolist()) for world in worlds]
    expected = Counter([*needed[0], *needed[1]]) if apart else Counter(needed[0] | needed[1])
    assert fetched(server) == {f"train-{number:06}.tar": count for number, count in expected.items()}
    assert len(needed[0]) + len(needed[1]) < 2 * SHARDS


def two_processes(server: ShardServer, out: Path) -> Run:
    rendezvous = f"file://{out.with_name(out.name + '-rendezvous')}"
    script = str(Path(__file__).with_name("shard_processes.py"))
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", script, server.url, str(out), json.dumps(SETTINGS)],
            env=os.environ
            | {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "ALEXNET_RENDEZVOUS": rendezvous},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    return Run(out)


def test_two_processes_train_as_one_does(server: ShardServer, tmp_path: Path) -> None:
    one = trained(tmp_path / "one", server.url)
    two = two_processes(server, tmp_path / "two")
    assert two.recipe.data.shuffle == "shards-3"
    other = trained(tmp_path / "other", server.folder, settings={"data.shuffle": "shards-4"})
    ours, same, others = (store.load_tensors(run.path / "last.safetensors") for run in (one, two, other))
    away = [max(float((run[name] - ours[name]).abs().max()) for name in ours) for run in (same, others)]
    assert away[0] < away[1] / 20  # the order of summation alone, against another order of the images
