"""Processes that decode: the same batches as threads, and what goes wrong in one of them told in one line."""

import errno
import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from makers import jpeg, tar

from alexnet.data.loading import workers
from alexnet.data.loading.decode import DecodeError
from alexnet.data.loading.loader import Loader
from alexnet.data.loading.stored import Listing, StoredDataset, open_listing
from alexnet.data.loading.stores import Files, Members
from alexnet.data.loading.workers import Workers
from alexnet.data.readers.archives import members
from alexnet.data.readers.folder import list_folder
from alexnet.errors import InputError

CPU = torch.device("cpu")
Sets = tuple[StoredDataset, StoredDataset]


def streamed(listing: Listing) -> StoredDataset:
    dataset = open_listing(listing, {"channels": 3, "size": (12, 16), "fit": "crop"}, examine=False)[0]["train"]
    assert isinstance(dataset, StoredDataset)
    return dataset


@pytest.fixture(scope="module")
def processes() -> Iterator[Workers]:
    """Two, which all tests of this file share: they take two seconds to begin."""
    shared = Workers(2, pinned=False)
    yield shared
    running = _children(shared)
    shared.end()
    assert not any(map(_alive, running))


@pytest.fixture
def sets(tmp_path: Path, random: np.random.Generator) -> Sets:
    """70 images, as files and in two archives."""
    content = [jpeg(random.integers(0, 256, (13, 17, 3), np.uint8)) for _ in range(70)]
    for index, one in enumerate(content):
        path = tmp_path / f"class{index % 2}" / f"{index:02}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(one)
    files = list_folder(tmp_path)
    archives, places = [], []
    for number in (0, 1):
        split = files.splits["train"]
        inside = {name: (tmp_path / name).read_bytes() for name in split.names[35 * number : 35 * (number + 1)]}
        archives.append(tar(tmp_path / f"{number}.tar", inside))
        places += [(number, one.offset, one.size) for one in members(archives[-1])]
    packed = Listing(tmp_path, files.classes, {"train": files.splits["train"]})
    plain = streamed(files)
    packed.splits["train"].store = Members(archives, places)
    return plain, streamed(packed)


def test_processes_give_the_batches_of_threads_in_whatever_order(sets: Sets, processes: Workers) -> None:
    order = torch.randperm(70, generator=torch.Generator().manual_seed(0))
    wanted = list(Loader(sets[0], CPU, 0).batches(order, 32))
    for dataset in sets:
        own = Loader(dataset, CPU, processes)
        next(own.batches(order, 8))  # what is left of it must not come later
        for first in (0, 1):
            found = list(own.batches(order, 32, first))
            assert [len(labels) for _, labels in found] == [32, 32, 6][first:]
            for (images, labels), (images_wanted, labels_wanted) in zip(found, wanted[first:], strict=True):
                assert torch.equal(images, images_wanted)
                assert torch.equal(labels, labels_wanted)


def test_what_is_sent_is_small(sets: Sets) -> None:
    for dataset in sets:
        assert len(pickle.dumps(dataset.part(np.arange(4)))) < 1000


def test_an_image_that_was_damaged_meanwhile_is_named(sets: Sets, processes: Workers) -> None:
    files = sets[0]
    assert isinstance(files.store, Files)
    (files.store.root / files.names[40]).write_bytes(b"\xff\xd8 no more")
    with pytest.raises(
        DecodeError, match=rf"^{files.names[40]}: was changed or replaced since it was opened"
    ) as caught:
        list(Loader(files, CPU, processes).batches(torch.arange(70), 32))
    assert "\n" not in str(caught.value)
    assert len(list(Loader(files, CPU, processes).batches(torch.arange(40), 32))) == 2


def test_a_process_that_is_killed_ends_the_run_in_one_line_and_others_begin(sets: Sets, processes: Workers) -> None:
    loader = Loader(sets[0], CPU, processes)
    batches = loader.batches(torch.arange(70), 8)
    next(batches)
    os.kill(_children(processes)[0], signal.SIGKILL)
    with pytest.raises(InputError, match=r"ended from outside, .* fewer data.workers need less, 0 decodes in threads"):
        list(batches)
    assert len(list(loader.batches(torch.arange(70), 32))) == 3


def test_no_shared_memory_is_told(sets: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: torch.Tensor) -> None:
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    told = workers._Decoder()[sets[0].part(np.arange(2))]
    assert isinstance(told, InputError)
    assert "enlarge /dev/shm, or decode in threads: data.workers=0" in str(told)


def test_no_shared_memory_to_begin_with_is_told(sets: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a traceback printed of torch's half-made iterator: pytest would take it for an error."""
    context = multiprocessing.get_context("spawn")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(context, "Queue", full)
    monkeypatch.setattr(workers, "_context", lambda: context)
    with pytest.raises(InputError, match="enlarge /dev/shm"):
        list(Workers(1, pinned=False).decoded([sets[0].part(np.arange(2))]))
    gc.collect()


def test_as_many_as_are_worthwhile(sets: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    def count(cores: int, asked: int | None = None) -> int:
        monkeypatch.setattr(workers, "threads", lambda: cores)
        found = workers.chosen(asked, sets[0], CPU)
        return found.count if isinstance(found, Workers) else found

    assert (count(2, 3), count(64, 0), count(64)) == (3, 0, 0)
    monkeypatch.setattr(workers, "MANY_IMAGES", 70)
    assert (count(2), count(64)) == (0, 64)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert (count(32), count(64)) == (0, 8)


SCRIPT = """
import sys, time
from pathlib import Path
import torch
from alexnet.data.readers.folder import list_folder
from alexnet.data.loading.loader import Loader
from alexnet.data.loading.stored import open_listing
form = {"channels": 3, "size": (12, 16), "fit": "crop"}
images = open_listing(list_folder(Path(sys.argv[1])), form, examine=False)[0]["train"]
loader = Loader(images, torch.device("cpu"), 1)
batches = loader.batches(torch.arange(70), 8)
next(batches)
print(loader.workers._loader._iterator._workers[0].pid, flush=True)
sys.stdin.read(1)
print(len(list(batches)), flush=True)
time.sleep(60)
"""


def test_a_process_goes_on_when_all_are_told_to_end_and_ends_with_the_program(sets: Sets) -> None:
    """Of a program without a main guard, which must not be run again in its processes."""
    store = sets[0].store
    assert isinstance(store, Files)
    (script := store.root / "script.py").write_text(SCRIPT)
    command = [sys.executable, script, store.root]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdin is not None
        child = int(program.stdout.readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(child, number)
        program.stdin.write("x")
        program.stdin.flush()
        assert program.stdout.readline() == "8\n"
        program.kill()
    for _ in range(100):
        if not _alive(child):
            break
        time.sleep(0.1)
    assert not _alive(child)


def _children(processes: Workers) -> list[int]:
    assert processes._loader is not None
    return [child.pid for child in processes._loader._iterator._workers]  # pyright: ignore


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
