"""Batches of images on the device, in a given order."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from alexnet.data.dataset import ArrayDataset, Dataset
from alexnet.data.loading.ahead import ahead
from alexnet.data.loading.stored import StoredDataset
from alexnet.data.loading.workers import AHEAD, Workers, chosen
from alexnet.data.remote.store import RemoteMembers

_LEAST = 8  # images that a process decodes at a time: fewer are hardly worth handing over


class Loader:
    """Gives batches of a dataset as tensors on `device`.

    A set in memory is moved to the device once, whole, as uint8; a larger one is decoded ahead, in threads (the decoder
    releases the interpreter lock) or in processes.
    """

    def __init__(self, dataset: Dataset, device: torch.device, workers: Workers | int | None = None):
        """`workers`: so many processes, another loader's `workers`, 0: threads; None: whatever is quicker."""
        self.dataset = dataset
        self.device = device
        self.labels = torch.from_numpy(np.ascontiguousarray(dataset.targets)).to(device)
        self.workers = workers if isinstance(workers, Workers) else chosen(workers, dataset, device)
        self._images: Tensor | None = None
        if isinstance(dataset, ArrayDataset):
            # A copy only of what torch cannot share: arrays that are read-only or run backwards.
            self._images = torch.from_numpy(np.require(dataset.images, requirements=["C", "W"])).to(device)

    def batches(
        self, order: Tensor, batch_size: int, first: int = 0, part: Callable[[Tensor], Tensor] = lambda batch: batch
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """(uint8 N×H×W×C, int64 N or, of several labels an image, uint8 N×K) for consecutive slices of `order` (int64,
        CPU), from slice number `first` on.

        `part` takes from each slice what this process is to have of it.
        """
        whole = [each for each in order.split(batch_size)[first:] if len(each)]
        slices = [part(each) for each in whole]
        if self._images is not None:
            for indices in slices:
                indices = indices.to(self.device, non_blocking=True)
                yield self._images[indices], self.labels[indices]
            return
        if isinstance(self.workers, Workers) and isinstance(self.dataset, StoredDataset):
            decoded = self._by_processes(slices, self.workers, self.dataset)
        else:
            decoded = self._by_threads(slices)
        with self._fetching(whole, slices) as reached:
            for number, (indices, images) in enumerate(zip(slices, decoded, strict=True)):
                reached(number)
                yield images, self.labels[indices.to(self.device)]

    def _fetching(
        self, whole: Sequence[Tensor], slices: Sequence[Tensor]
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Shards that lie elsewhere are fetched before they are read."""
        store = self.dataset.store if isinstance(self.dataset, StoredDataset) else None
        if isinstance(store, RemoteMembers):
            return store.ahead([each.numpy() for each in whole], [each.numpy() for each in slices])
        return contextlib.nullcontext(lambda number: None)

    def _by_threads(self, slices: Sequence[Tensor]) -> Iterator[Tensor]:
        with ThreadPoolExecutor(2) as pool:  # two batches at a time: the second fills the gaps that the first leaves
            for _, images in ahead(lambda each: pool.submit(self.dataset.batch, each.numpy()).result, slices, AHEAD):
                yield torch.from_numpy(images).to(self.device, non_blocking=True)

    def _by_processes(self, slices: Sequence[Tensor], workers: Workers, dataset: StoredDataset) -> Iterator[Tensor]:
        """Every process decodes a part of each batch."""
        steps = [max(_LEAST, -(-len(each) // workers.count)) for each in slices]
        decoded = workers.decoded(
            dataset.part(part.numpy()) for each, step in zip(slices, steps, strict=True) for part in each.split(step)
        )
        for indices, step in zip(slices, steps, strict=True):
            images = torch.empty((len(indices), *dataset.size, dataset.channels), dtype=torch.uint8, device=self.device)
            for part in images.split(step):
                part.copy_(next(decoded), non_blocking=True)
            yield images
