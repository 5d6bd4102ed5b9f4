"""Batches of pictures on the device, in a given order."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from alexnet.data.pictures import ArrayPictures, PictureSet

_AHEAD = 3  # batches that are decoded while the device works; more only costs memory


class Loader:
    """Gives batches of a picture set as tensors on `device`.

    A set in memory is moved to the device once, whole, as uint8; a larger one is decoded ahead in threads (the decoder
    releases the interpreter lock).
    """

    def __init__(self, pictures: PictureSet, device: torch.device):
        self.pictures = pictures
        self.device = device
        self.labels = torch.from_numpy(np.ascontiguousarray(pictures.labels)).to(device)
        self._images: Tensor | None = None
        if isinstance(pictures, ArrayPictures):
            # A copy only of what torch cannot share: arrays that are read-only or run backwards.
            self._images = torch.from_numpy(np.require(pictures.images, requirements=["C", "W"])).to(device)

    def batches(
        self, order: Tensor, batch_size: int, first: int = 0, part: Callable[[Tensor], Tensor] = lambda batch: batch
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """(uint8 N×H×W×C, int64 N) for consecutive slices of `order` (int64, CPU), from slice number `first` on.

        `part` takes from each slice what this process is to have of it.
        """
        slices = [part(each) for each in order.split(batch_size)[first:] if len(each)]
        if self._images is not None:
            for indices in slices:
                indices = indices.to(self.device, non_blocking=True)
                yield self._images[indices], self.labels[indices]
            return
        yield from self._decoded(slices)

    def _decoded(self, slices: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        with ThreadPoolExecutor(2) as pool:  # two batches at a time: the second fills the gaps that the first leaves
            pending = [pool.submit(self.pictures.batch, s.numpy()) for s in slices[:_AHEAD]]
            for number, indices in enumerate(slices):
                images = torch.from_numpy(pending.pop(0).result())
                if number + _AHEAD < len(slices):
                    pending.append(pool.submit(self.pictures.batch, slices[number + _AHEAD].numpy()))
                yield images.to(self.device, non_blocking=True), self.labels[indices.to(self.device)]
