"""Images a second from disk to 256-pixel training crops: alexnet's folder and packed shards against tf.data, and the
folder decoded by as many processes.

    .venv-parity/bin/python -m alexnet.benchmark.scripts.input [--images 300] [--rounds 3] [--threads 2] [--json]

Runs where both alexnet and TensorFlow are installed (`make parity` sets such an environment up). The images are made
here: 500 × 375 JPEGs of the size that ImageNet's have, smooth shapes under noise. The contestants take turns, each
with the same threads, after one round that does not count; medians, and beside them the least processor time that an
image took in one process, which other programs disturb less. All read from the system's cache of files.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (500, 375)
CROP = 256
BATCH = 100
PROCESSES = "alexnet, folder, processes"


def make_images(root: Path, count: int, distinct: int = 1000) -> int:
    """Writes `count` images into ten class folders, from number `distinct` on as links to those before; returns their
    bytes."""
    random = np.random.default_rng(0)
    total, made = 0, list[Path]()
    for index in range(count):
        path = root / f"class{index % 10}" / f"{index:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        made.append(path)
        if index >= distinct:
            path.hardlink_to(made[index % distinct])
            total += path.stat().st_size
            continue
        shapes = Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)
        noise = random.normal(0, 10, (SIZE[1], SIZE[0], 1)) + random.normal(0, 4, (SIZE[1], SIZE[0], 3))
        Image.fromarray((np.asarray(shapes) + noise).clip(0, 255).astype(np.uint8)).save(path, quality=90)
        total += path.stat().st_size
    return total


def contestants(root: Path, threads: int) -> dict[str, Callable[[], int]]:
    """Each reads every image once, as batches of crops, and returns how many there were."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf  # pyright: ignore[reportMissingModuleSource]
    import torch

    from alexnet.data import dataset as sets
    from alexnet.data.loading.loader import Loader
    from alexnet.data.pack import pack
    from alexnet.data.readers.folder import list_folder
    from alexnet.data.sources import open_splits
    from alexnet.process.memory import keep_freed_memory

    keep_freed_memory()  # as training does
    torch.set_num_threads(1)
    sets.MEMORY_LIMIT = 0
    form = {"size": (CROP, CROP), "validation": None}
    pack(list_folder(root / "images"), {"channels": 3, "size": (CROP, CROP), "fit": "crop"}, root / "shards")

    def ours(path: Path, workers: int = 0) -> Callable[[], int]:
        loader = Loader(open_splits(None, path, **form).train, torch.device("cpu"), workers)

        def read() -> int:
            order = torch.randperm(len(loader.dataset), generator=torch.Generator().manual_seed(0))
            return sum(len(images) for images, _ in loader.batches(order, BATCH))

        return read

    def decoded(path: "tf.Tensor") -> "tf.Tensor":
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.cast(tf.image.resize(image, (CROP, CROP)), tf.uint8)

    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    paths = sorted(map(str, (root / "images").rglob("*.jpg")))
    peer = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths), seed=0)
    peer = peer.map(decoded, tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE).with_options(options)
    return {
        "tf.data, folder": lambda: sum(len(batch) for batch in peer),
        "alexnet, folder": ours(root / "images"),
        PROCESSES: ours(root / "images", threads),
        "alexnet, shards": ours(root / "shards"),
    }


def measure(images: int, rounds: int, threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        kilobytes = make_images(Path(name) / "images", images) / images / 1e3
        rates: dict[str, list[float]] = {}
        cpu: dict[str, list[float]] = {}
        runners = contestants(Path(name), threads)
        for turn in range(rounds + 1):
            for who, read in runners.items():
                begin, used = time.perf_counter(), time.process_time()
                count = read()
                if turn:
                    rates.setdefault(who, []).append(count / (time.perf_counter() - begin))
                    cpu.setdefault(who, []).append((time.process_time() - used) / count * 1e3)
    medians = {who: statistics.median(values) for who, values in rates.items()}
    peer = medians["tf.data, folder"]
    return {
        "images": images,
        "kilobytes": round(kilobytes, 1),
        "threads": threads,
        "rounds": rounds,
        "images_per_second": {who: round(rate) for who, rate in medians.items()},
        "times_tf_data": {who: round(rate / peer, 2) for who, rate in medians.items()},
        "cpu_milliseconds": {who: round(min(values), 2) for who, values in cpu.items() if who != PROCESSES},
        "all": {who: [round(rate) for rate in values] for who, values in rates.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    found = measure(arguments.images, arguments.rounds, arguments.threads)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found['images']} JPEGs of {found['kilobytes']} kB, {found['threads']} threads, {found['rounds']} rounds")
    for who, rate in found["images_per_second"].items():
        cpu = f", {found['cpu_milliseconds'][who]:.2f} ms of a core each" if who != PROCESSES else ""
        print(f"{who:26} {rate:6,} images/s   {found['times_tf_data'][who]:.2f} × tf.data{cpu}")


if __name__ == "__main__":
    main()
