"""Processes that decode images ahead of the one that trains."""

import atexit
import contextlib
import errno
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import types
import warnings
import weakref
from collections.abc import Iterable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.context import BaseContext

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from alexnet.data.dataset import Dataset, threads
from alexnet.data.loading.decode import DecodeError
from alexnet.data.loading.stored import Part, StoredDataset
from alexnet.errors import InputError
from alexnet.process.memory import keep_freed_memory

AHEAD = 3  # batches that are decoded while the device works; more only costs memory
MANY_CORES, MANY_IMAGES = 5, 5_000  # from so many on, processes are worth the seconds that they take to begin
_SIGNALS = {signal.SIGINT, signal.SIGTERM}
_MASKS = hasattr(signal, "pthread_sigmask")
_LOST = "DataLoader worker (pid"  # how torch begins to tell that one is gone, where no pipe breaks first
_GRACE = 20  # seconds that one works on when it is asked to end


class Workers:
    """`count` processes, started when images are first asked for; they end with this object, or with the program.

    torch's DataLoader runs them. They are told where the images of a part of a batch lie, so that a set of a million
    images never travels, and one set's processes serve another's. Their results come through shared memory.
    """

    def __init__(self, count: int, pinned: bool):
        """`pinned`: results lie in page-locked memory, for a GPU."""
        self.count, self.pinned = count, pinned
        self._parts = _Parts()
        self._loader: DataLoader[object] | None = None
        self._results: Iterator[object] = iter(())
        self._turn = 0

    def decoded(self, parts: Iterable[Part]) -> Iterator[Tensor]:
        """Each part's images (uint8 N×H×W×C), in order. What is left of an earlier call's is dropped.

        Raises DecodeError, and InputError when a process is gone.
        """
        self._turn += 1
        turn, self._parts.waiting = self._turn, parts
        begun = False
        while True:
            assert turn == self._turn, "the processes have gone on to something else"
            try:
                if not begun:
                    self._begin()
                begun, result = True, next(self._results)
            except StopIteration:
                return
            except (RuntimeError, ConnectionError, FileNotFoundError, EOFError) as error:
                if isinstance(error, RuntimeError) and not str(error).startswith(_LOST):
                    raise
                break
            if isinstance(result, InputError):
                raise result
            assert isinstance(result, Tensor)
            yield result
        self.end()
        raise InputError(
            "a process that decodes images was ended from outside, perhaps for want of memory: fewer data.workers "
            "need less, 0 decodes in threads; --resume goes on from what was saved last"
        )

    def end(self) -> None:
        """Ends the processes; asked again for images, others begin."""
        self._loader, self._results = None, iter(())

    def _begin(self) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This DataLoader will create")  # more than cores: as was asked
            self._start()

    def _start(self) -> None:
        if self._loader is None:
            self._loader = DataLoader(
                _Decoder(),  # pyright: ignore[reportArgumentType]  # its indices are parts, not numbers
                batch_size=None,
                sampler=self._parts,
                num_workers=self.count,
                prefetch_factor=AHEAD,
                persistent_workers=True,
                pin_memory=self.pinned,
                generator=torch.Generator(),
                worker_init_fn=_prepare,
                multiprocessing_context=_context(),
            )
            atexit.register(_end, weakref.ref(self))  # else Python would wait for them
        with _starting():
            try:
                self._results = iter(self._loader)
            except OSError as error:
                self._loader = None
                _abandon(error)
                if error.errno == errno.ENOSPC:
                    raise _no_shared_memory(error.strerror) from None
                raise


def _end(workers: "weakref.ref[Workers]") -> None:
    if known := workers():
        known.end()


def chosen(asked: int | None, dataset: Dataset, device: torch.device) -> Workers | int:
    """The processes for a set that is decoded when it is needed; 0: threads. `asked` None: as many as are worthwhile.

    Decoding holds Python's lock for a seventh of its time (docs/DATA.md), and training needs the lock too: a few cores
    do as well with threads, many do not. The processes of a distributed run share this machine's cores.
    """
    if not isinstance(dataset, StoredDataset):
        return 0
    if asked is None:
        cores = threads() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        asked = cores if cores >= MANY_CORES and len(dataset) >= MANY_IMAGES else 0
    return Workers(asked, device.type == "cuda") if asked else 0


class _Parts(Sampler[Part]):
    """What the processes are to do next."""

    waiting: Iterable[Part] = ()

    def __iter__(self) -> Iterator[Part]:
        return iter(self.waiting)


class _Decoder:
    """Runs in a process; what goes wrong is a result too: torch would tell it with a traceback."""

    def __getitem__(self, part: Part) -> Tensor | InputError:
        try:
            dataset = torch.from_numpy(part.decoded())
        except DecodeError as error:
            return error
        try:
            return dataset.share_memory_()
        except RuntimeError as error:
            return _no_shared_memory(str(error).partition("\n")[0])


def _no_shared_memory(told: str | None) -> InputError:
    return InputError(f"no shared memory ({told}): enlarge /dev/shm, or decode in threads: data.workers=0")


def _abandon(error: BaseException) -> None:
    """Ends what torch's iterator had started when `error` ended its __init__; its __del__ would print a traceback."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        made = frame.f_locals.get("self")
        if isinstance(made, _MultiProcessingDataLoaderIter):
            made._shutdown = True
            for process in getattr(made, "_workers", ()):
                process.terminate()


def _prepare(number: int) -> None:
    # Ctrl-C, and where all processes of a job are told to end, SIGTERM: the one that trains ends its step and saves,
    # for which it may wait for images; then it ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_GRACE))
    if _MASKS:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    threading.Thread(target=_follow, daemon=True).start()
    keep_freed_memory()


def _follow() -> None:
    """Ends this process when the one that trains is gone; torch looks for its parent, which is the fork server."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _context() -> BaseContext:
    """Processes that begin bare: a copy of this one (fork) would hold the locks that its threads held."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # torch is imported once for all
    return context


@contextlib.contextmanager
def _starting() -> Iterator[None]:
    """While processes begin: what could end them before they are ready is held back (they inherit that), and they do
    not run the program's main file first, which would train once more where it has no guard."""
    main = sys.modules["__main__"]
    before = None
    if _MASKS:
        resource_tracker.ensure_running()  # or it would be started meanwhile, and let signals pass
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
