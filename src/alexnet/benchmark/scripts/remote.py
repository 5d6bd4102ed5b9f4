"""Images a second of an epoch from a server on this machine: alexnet's shards, and the same JPEGs by webdataset, Mosaic
Streaming and litdata.

    python -m alexnet.benchmark.scripts.remote [--images 4000] [--rounds 3] [--sides alexnet,webdataset]

Runs where the peers are installed: webdataset, mosaicml-streaming, litdata. alexnet and webdataset read the same shards
over HTTP; the two others have formats of their own and know no HTTP: Mosaic Streaming fetches from a folder, litdata
reads there. Each decodes 256 × 256 pixels in batches of 64: alexnet in threads, the others with Pillow in two processes
of a DataLoader. They take turns, each in a process of its own; cold: nothing was fetched before; warm: everything was.
"""

import argparse
import functools
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from alexnet.benchmark.scripts.input import CROP, make_images

BATCH, SHARD, CHUNK = 64, 500, 20_000_000


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """One who asks for a length only closes the connection."""


def prepare(root: Path, count: int) -> None:
    """Images, and the shards of them that are served."""
    from alexnet.data.pack import pack
    from alexnet.data.readers.folder import list_folder

    make_images(root / "images", count)
    form: Any = {"channels": 3, "size": (CROP, CROP), "fit": "crop"}
    pack(list_folder(root / "images"), form, root / "www", images=SHARD)


def samples(root: Path) -> Iterator[dict[str, Any]]:
    """The JPEGs of the shards."""
    from alexnet.data.readers.shards import read_shards

    train: Any = read_shards(root / "www").splits["train"]
    for row in range(len(train)):
        yield {"x": train.store.read(row), "y": train.target(row)}


def decoded(sample: dict[str, Any]) -> tuple[np.ndarray, int]:
    return np.asarray(Image.open(io.BytesIO(sample["x"])).convert("RGB")), sample["y"]


def ours(root: Path, url: str, cache: Path) -> Iterable[Any]:
    import torch

    from alexnet.data.loading.loader import Loader
    from alexnet.data.sources import open_splits

    os.environ["ALEXNET_CACHE"] = str(cache)
    loader = Loader(open_splits(None, url, validation=None).train, torch.device("cpu"))
    order = torch.randperm(len(loader.dataset), generator=torch.Generator().manual_seed(0))
    return loader.batches(order, BATCH)


def webdataset(root: Path, url: str, cache: Path) -> Iterable[Any]:
    import webdataset as wds  # pyright: ignore[reportMissingImports]
    from torch.utils.data import DataLoader

    shards = [url + path.name for path in sorted((root / "www").glob("*.tar"))]
    read = wds.WebDataset(shards, shardshuffle=100, cache_dir=str(cache)).shuffle(2000).decode("rgb8")
    return DataLoader(read.to_tuple("jpg", "cls").batched(BATCH), batch_size=None, num_workers=2)


def streaming(root: Path, url: str, cache: Path) -> Iterable[Any]:
    from streaming import MDSWriter, StreamingDataset  # pyright: ignore[reportMissingImports]
    from torch.utils.data import DataLoader

    class Decoded(StreamingDataset):
        def __getitem__(self, at: int) -> tuple[np.ndarray, int]:
            return decoded(super().__getitem__(at))

    if not (root / "mds").exists():
        with MDSWriter(out=str(root / "mds"), columns={"x": "bytes", "y": "int"}, size_limit=CHUNK) as out:
            for sample in samples(root):
                out.write(sample)
    return DataLoader(
        Decoded(remote=str(root / "mds"), local=str(cache), shuffle=True, batch_size=BATCH),
        batch_size=BATCH,
        num_workers=2,
    )


def litdata(root: Path, url: str, cache: Path) -> Iterable[Any]:
    import litdata as lit  # pyright: ignore[reportMissingImports]
    from litdata.streaming.cache import Cache  # pyright: ignore[reportMissingImports]

    class Decoded(lit.StreamingDataset):
        def __getitem__(self, at: int) -> tuple[np.ndarray, int]:
            return decoded(super().__getitem__(at))

    if not (root / "lit").exists():
        chunks = Cache(str(root / "lit"), chunk_bytes=CHUNK)
        for row, sample in enumerate(samples(root)):
            chunks[row] = sample
        chunks.done()
        chunks.merge()
    return lit.StreamingDataLoader(Decoded(str(root / "lit"), shuffle=True), batch_size=BATCH, num_workers=2)


SIDES: dict[str, Callable[[Path, str, Path], Iterable[Any]]] = {
    "alexnet": ours,
    "webdataset": webdataset,
    "streaming": streaming,
    "litdata": litdata,
}


def turn(side: str, root: Path, url: str, cache: Path) -> None:
    """Prints seconds until the first batch, and images a second."""
    from alexnet.data import dataset as sets

    sets.MEMORY_LIMIT = 0
    if side in ("streaming", "litdata"):
        SIDES[side](root, url, root / "unused")  # its copy is written before the clock runs
    begin, first, count = time.perf_counter(), 0.0, 0
    for images, _ in SIDES[side](root, url, cache):
        first = first or time.perf_counter() - begin
        count += len(images)
    print(first, count / (time.perf_counter() - begin), flush=True)
    os._exit(0)  # what the peers leave running is not waited for


def measure(images: int, rounds: int, sides: list[str]) -> dict[tuple[str, str], list[tuple[float, float]]]:
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        prepare(root, images)
        server = _Server(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(root / "www")))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        for number in range(rounds):
            for side in sides:
                cache = root / f"{side}-{number}"
                cache.mkdir()
                for state in ("cold", "warm"):
                    command = [
                        sys.executable,
                        "-W",
                        "ignore",
                        "-m",
                        __spec__.name,
                        "--turn",
                        side,
                        name,
                        url,
                        str(cache),
                    ]
                    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                    first, rate = said.split("\n")[-2].split()
                    found.setdefault((side, state), []).append((float(first), float(rate)))
                shutil.rmtree(cache)
        server.shutdown()
        server.server_close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--turn", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.turn:
        side, root, url, cache = arguments.turn
        turn(side, Path(root), url, Path(cache))
    for (side, state), values in measure(arguments.images, arguments.rounds, arguments.sides.split(",")).items():
        first, rates = statistics.median(each for each, _ in values), [rate for _, rate in values]
        print(
            f"{side:11} {state}  first batch after {first:.2f} s  {statistics.median(rates):6,.0f} images/s "
            f"({min(rates):,.0f}–{max(rates):,.0f})"
        )


if __name__ == "__main__":
    main()
