"""What the orders of images cost where the shards do not fit on the disk, and how well they shuffle.

    python -m alexnet.benchmark.scripts.shuffle [--images 16000] [--shards 32] [--share 4] [--batch 64]
    OMP_NUM_THREADS=1 python -m alexnet.benchmark.scripts.shuffle --accuracy 3

Packs images of 64 classes, sorted by class as `alexnet pack` does, serves them on this machine, and reads epochs in
each order with a folder for fetched shards that has room for one in `--share` of them. Prints the bytes that were
fetched, as a multiple of the set's; by the order alone, the mean number of shards and of classes in a batch and the
largest share of one class, and what each of several processes on machines of their own needs; the same for shards that
`alexnet pack --shuffle` writes.

With --accuracy: test accuracy on MNIST (in $ALEXNET_DATA; 6,000 images to train, 2,000 to test, of 8 × 8 pixels) after
five epochs from such shards in each order, with so many seeds.
"""

import argparse
import functools
import io
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import alexnet
from alexnet.benchmark.scripts.remote import _Quiet, _Server
from alexnet.data import dataset as sets
from alexnet.data.loading.loader import Loader
from alexnet.data.loading.order import order
from alexnet.data.loading.shard_order import chosen, shards_of, window_of
from alexnet.data.pack import pack, shuffled
from alexnet.data.readers.folder import list_folder
from alexnet.data.sources import open_splits
from alexnet.process.group import World

CLASSES, SIDE = 64, 32
SMALL = {"model.name": "alexnet-digits", "data.resize": 8, "train.least_steps": 0}


class _Counting(_Quiet):
    sent = 0

    def copyfile(self, source: Any, outputfile: Any) -> None:
        content = source.read()
        outputfile.write(content)
        _Counting.sent += len(content)  # of an answer that was read to its end


def prepare(root: Path, images: int, shards: int) -> None:
    random = np.random.default_rng(0)
    for number in range(images):
        path = root / "images" / f"class{number % CLASSES:02}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(content, "JPEG")
        path.write_bytes(content.getvalue())
    form: Any = {"channels": 3, "size": (SIDE, SIDE), "fit": "crop"}
    listing = list_folder(root / "images")
    pack(listing, form, root / "www", images=-(-images // shards))
    pack(shuffled(listing), form, root / "shuffled", images=-(-images // shards))


def accuracies(root: Path, shards: int, share: int, seeds: int) -> None:
    """Prints test accuracies after training on shards sorted by class, in each order, and on shuffled ones."""
    for split, count in (("train", 6000), ("test", 2000)):
        whole = alexnet.dataset("mnist", split=split)
        for number in range(count):
            image, label = whole[number]
            place = root / "images" / split / whole.classes[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.squeeze()).save(place / f"{number:05}.png")
    form: Any = {"channels": 3, "size": (SIDE, SIDE), "fit": "crop"}
    listing = list_folder(root / "images")
    for name, packed in (("sorted", listing), ("shuffled", shuffled(listing))):
        pack(packed, form, root / name, images=-(-6000 // shards))
    window = f"shards-{shards // share}"
    for name, shuffle in (("sorted", "epoch"), ("sorted", window), ("shuffled", window)):
        found = []
        for seed in range(seeds):
            out, settings = root / f"{name}-{shuffle}-{seed}", {**SMALL, "data.shuffle": shuffle, "train.seed": seed}
            run = alexnet.train("folder", data=root / name, out=out, epochs=5, settings=settings)
            found.append(run.card.figures.to_json()["test"]["top1"])
        print(f"{name:9} {shuffle:10} test accuracy {' '.join(f'{each:.4f}' for each in found)}", flush=True)


def drawn(epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(epoch)


def quality(taken: np.ndarray, shards: np.ndarray, labels: np.ndarray, batch: int) -> str:
    cuts = np.split(taken, range(batch, len(taken), batch))
    of_shards = np.mean([len(np.unique(shards[each])) for each in cuts])
    counts = [np.bincount(labels[each]) for each in cuts]
    distinct, most = np.mean([np.count_nonzero(each) for each in counts]), np.mean([each.max() for each in counts])
    return f"{of_shards:.1f} shards, {distinct:.1f} classes, {100 * most / batch:.1f} % of one class"


def needed(taken: torch.Tensor, shards: np.ndarray, batch: int, size: int) -> list[float]:
    """The share of the set whose shards each of `size` processes reads."""
    sizes = np.bincount(shards) / len(shards)
    parts = [torch.cat([World(rank, size).part(each) for each in taken.split(batch)]) for rank in range(size)]
    return [float(sizes[np.unique(shards[part])].sum()) for part in parts]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=16_000)
    parser.add_argument("--shards", type=int, default=32)
    parser.add_argument("--share", type=int, default=4, help="one in so many shards fits")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--accuracy", type=int, default=0, metavar="SEEDS", help="train with so many seeds instead")
    asked = parser.parse_args()
    sets.MEMORY_LIMIT = 0
    if asked.accuracy:
        with tempfile.TemporaryDirectory() as name:
            accuracies(Path(name), asked.shards, asked.share, asked.accuracy)
        return
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        prepare(root, asked.images, asked.shards)
        server = _Server(("127.0.0.1", 0), functools.partial(_Counting, directory=str(root / "www")))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        whole = sum(path.stat().st_size for path in (root / "www").glob("*.tar"))
        room = int(1.02 * whole / asked.share)  # the shards are not all of one length
        os.environ |= {"ALEXNET_CACHE": str(root / "cache"), "ALEXNET_CACHE_BYTES": str(room)}
        splits = open_splits("shards", f"http://127.0.0.1:{server.server_port}/", validation=None)
        shards, labels = shards_of(splits.train), splits.train.labels
        assert shards is not None
        loader, own = Loader(splits.train, torch.device("cpu"), 0), chosen("shards", splits, asked.batch)
        print(f"{len(labels):,} images, {asked.shards} shards of {whole:,} bytes, room for {room:,}")
        buffer = f"buffer-{(window_of(own) or 1) * len(labels) // asked.shards}"
        for shuffle in (own, buffer, "epoch"):
            taken = order(len(labels), shuffle, 0, drawn, shards, asked.batch)
            print(f"{shuffle:12} of a batch: {quality(taken.numpy(), shards, labels, asked.batch)}")
            for size in (2, 4, 8):
                parts = needed(taken, shards, asked.batch, size)
                print(f"{shuffle:12} {size} processes need {np.mean(parts):.2f} sets each, at most {max(parts):.2f}")
        mixed = open_splits("shards", str(root / "shuffled"), validation=None).train
        if (places := shards_of(mixed)) is not None:
            taken = order(len(labels), own, 0, drawn, places, asked.batch)
            print(f"{own:12} of a batch, shuffled shards: {quality(taken.numpy(), places, mixed.labels, asked.batch)}")
        for shuffle, epoch in ((own, 0), (own, 1), (own, 2), ("epoch", 0)):
            _Counting.sent, begin = 0, time.perf_counter()
            taken = order(len(labels), shuffle, epoch, drawn, shards, asked.batch)
            for _ in loader.batches(taken, asked.batch):
                pass
            told = f"{_Counting.sent / whole:.2f} sets fetched in {time.perf_counter() - begin:.1f} s"
            print(f"{shuffle:12} epoch {epoch}: {told}", flush=True)
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    main()
