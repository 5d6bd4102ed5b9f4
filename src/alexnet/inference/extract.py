"""Features of many images to a file: streamed, resumable, atomic, with their provenance.

Rows go to a folder `F.partial` beside the file F as they are computed, so that memory stays constant and a killed
extraction can be resumed; at the end F is written from there in one atomic step.
"""

import contextlib
import glob
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from alexnet.artifacts.card import lrn_constants
from alexnet.device import environment, own_settings
from alexnet.errors import InputError, agreeing, counted
from alexnet.files import check_new, make_folder, read_lines, read_object, whole_object, write_json
from alexnet.inference import feature_read, feature_write
from alexnet.inference.feature_table import ROWS, Layer, Table, digest
from alexnet.inference.features import BATCH, Chunk, Wanted, network_of, run, shapes_of
from alexnet.inference.images import Images
from alexnet.inference.opening import Opened
from alexnet.inference.rows import NOTHING, Fitted, Transform, beside, check_components, fit
from alexnet.process.group import ALONE, World

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Extracted:
    """What was written."""

    files: tuple[Path, ...]
    count: int
    failed: tuple[tuple[str, str], ...]
    """Images that could not be read and have no row: (name, reason)."""
    shapes: dict[str, tuple[int, ...]]
    resumed: int = 0
    """Images that an earlier, interrupted extraction had done."""


@own_settings()
def extract(
    opened: Opened,
    images: Images,
    wanted: Wanted,
    out: Path | str,
    *,
    transform: Transform = NOTHING,
    batch_size: int = BATCH,
    resume: bool = False,
    force: bool = False,
    command: str | None = None,
    progress: Progress | None = None,
    world: World = ALONE,
) -> Extracted:
    """Writes the features of `images` to `out`, whose extension names the format.

    Several processes share the images, in the batches that one would make; the first writes the file, and the others
    return what they did of it.

    resume: continue an extraction that was interrupted, of the same network, weights, layers, preprocessing and
    images. force: replace what is there. Images that cannot be read are left out and reported. InputError when `out`
    exists, holds an extraction of something else, or when no image can be read.
    """
    out = Path(out)
    identity = world.each(lambda: _wanted(opened, images, wanted, out))
    world.same({"network, layers, runtime or images": _digest(identity, transform)[:16]})
    if out.exists() and resume and not force and not _begun(out):
        return world.each(lambda: _complete(out, identity, transform))
    if out.exists() or not _begun(out):  # what was begun has written nothing but, at its end, what lies beside `out`
        world.each(lambda: check_new([*feature_write.targets(out), beside(out)], force))
    shapes = shapes_of(opened.model, wanted)
    for name, shape in shapes.items() if transform.pca else ():
        check_components(name, shape, transform.pca or 0, len(images))
    shares = [World(rank, world.size).stretch(len(images), batch_size) for rank in range(world.size)]
    folders = [partial_folder(out, rank, world.size) for rank in range(world.size)]
    partials = [_Partial(folder, identity, wanted, shapes) for folder in folders]
    own, share = partials[world.rank], shares[world.rank]
    done = world.each(lambda: own.begin(resume, force, _begun(out)))
    try:
        for chunk in run(opened.model, images.subset(share) if world.size > 1 else images, wanted, batch_size, done):
            own.add(chunk)
            if progress:
                progress(chunk.rows.stop, len(share))
    finally:
        own.close()
    (resumed,) = world.sum(torch.tensor(done))
    if not world.is_writer:
        return Extracted((), len(share), (), {}, done)
    logs = [partial.log() for partial in partials]
    rows = [share.start + row for share, log in zip(shares, logs, strict=True) for row in log[0]]
    failed = [(share.start + row, why) for share, log in zip(shares, logs, strict=True) for row, why in log[2]]
    digests = np.concatenate([log[1] for log in logs])
    if not rows:
        raise InputError(f"0 of {counted(len(images), 'image')} can be read; the first: {failed[0][1]}")
    counts = [len(log[0]) for log in logs]
    layers = {layer: _joined([p.layer(layer, n) for p, n in zip(partials, counts, strict=True)]) for layer in shapes}
    layers, fitted = fit(layers, transform, len(rows))
    table = Table(
        layers, [images.names[row] for row in rows], images.labels[rows].astype(np.int64), images.classes, digests
    )
    failures = [(images.names[row], reason) for row, reason in failed]
    table.provenance = _provenance(opened, images, wanted, transform, fitted, table, failures, command, batch_size)
    written = feature_write.write(out, table)
    if fitted.arrays:
        written.append(fitted.save(out))
    for partial in partials:
        partial.remove()
    ends = {layer: each.shape for layer, each in layers.items()}
    return Extracted(tuple(written), len(rows), tuple(failures), ends, int(resumed))


def _wanted(opened: Opened, images: Images, wanted: Wanted, out: Path) -> dict[str, Any]:
    feature_write.check(out, len(wanted.layers))
    if not len(images):
        raise InputError("there is no image to take features of")
    return _identity(opened, images, wanted)


def _begun(out: Path) -> list[Path]:
    """The folders of an interrupted extraction to `out`, by however many processes."""
    return sorted(out.parent.glob(f"{glob.escape(out.name)}.partial*"))


def _joined(parts: Sequence[Layer]) -> Layer:
    return Layer(parts[0].shape, lambda: itertools.chain.from_iterable(part.blocks() for part in parts))


def partial_folder(out: Path, rank: int = 0, size: int = 1) -> Path:
    """Where the rows of an extraction to `out`, or a process's share of them, lie until it is complete."""
    return out.with_name(f"{out.name}.partial" + (f"-{rank + 1}-of-{size}" if size > 1 else ""))


def _complete(out: Path, identity: dict[str, Any], transform: Transform) -> Extracted:
    """What a finished extraction wrote, if it is the one that is asked for."""
    found = feature_read.read(out)
    said = found.provenance or {}
    if said.get("identity") != _digest(identity, transform):
        raise InputError(f"{str(out)!r} holds other features than are asked for; --force replaces it")
    failed = tuple((str(name), str(reason)) for name, reason in said["images"]["skipped"])
    shapes = {layer: values.shape[1:] for layer, values in found.layers.items()}
    count = int(said["images"]["rows"])
    return Extracted((out,), count, failed, shapes, count + len(failed))


def _digest(identity: dict[str, Any], transform: Transform) -> str:
    return hashlib.sha256(json.dumps([identity, asdict(transform)], sort_keys=True).encode()).hexdigest()


def _identity(opened: Opened, images: Images, wanted: Wanted) -> dict[str, Any]:
    """What two extractions must share for the one to continue the other."""
    names = hashlib.sha256()
    for name, label in zip(images.names, images.labels, strict=True):
        names.update(f"{name}\0{label}\n".encode(errors="surrogateescape"))
    return {
        "network": opened.model.card.name,
        "weights": opened.weights,
        "lrn": lrn_constants(opened.model.module),
        "layers": list(wanted.layers),
        "preprocessing": json.loads(json.dumps(wanted.preprocessing.to_json())),
        "pool": wanted.pool,
        "flatten": wanted.flatten,
        "precision": wanted.precision,
        **({} if wanted.runtime == "torch" else {"runtime": wanted.runtime}),
        "images": {"place": images.place, "count": len(images), "names_sha256": names.hexdigest()},
    }


def _provenance(
    opened: Opened,
    images: Images,
    wanted: Wanted,
    transform: Transform,
    fitted: Fitted,
    table: Table,
    failed: list[tuple[str, str]],
    command: str | None,
    batch_size: int,
) -> dict[str, Any]:
    identity = _identity(opened, images, wanted)
    card = opened.model.card
    device = next(network_of(opened.model).parameters()).device
    described = {
        layer: {"tap": tap, "shape": list(table.layers[layer].shape)}
        for layer, tap in zip(wanted.layers, wanted.taps, strict=True)
    }
    return {
        "kind": "alexnet features",
        "identity": _digest(identity, transform),
        **identity,
        "untrained_layers": list(opened.missing),
        "model": str(opened.model.path),
        "license": card.license,
        "layers": described,
        "transform": {**asdict(transform), **fitted.said},
        "images": identity["images"] | {"rows": len(table), "skipped": [list(each) for each in failed]},
        "batch_size": batch_size,
        "environment": environment(device, wanted.precision),
        "command": command,
        "sha256": {name: digest(layer.blocks()) for name, layer in table.layers.items()},
    }


class _Partial:
    """The rows that were computed so far: raw float32 per layer, and a line for each image."""

    def __init__(self, path: Path, identity: dict[str, Any], wanted: Wanted, shapes: dict[str, tuple[int, ...]]):
        self.path, self.identity, self.shapes = path, identity, shapes
        self.places = {layer: path / f"{number}.f32" for number, layer in enumerate(wanted.layers)}
        self._open = contextlib.ExitStack()
        self._files: dict[str, BinaryIO] = {}
        self._log: BinaryIO | None = None

    def begin(self, resume: bool, force: bool, begun: Sequence[Path] = ()) -> int:
        """Opens the folder; returns the images that are done already. begun: all folders of this extraction."""
        others = [path for path in begun if path.name.rpartition("-of-")[1:] != self.path.name.rpartition("-of-")[1:]]
        if others and not force:
            raise InputError(
                f"{str(others[0])!r} holds an extraction by another number of processes; resume it with as many, or "
                "--force starts anew"
            )
        for path in others:
            shutil.rmtree(path, ignore_errors=True)  # another process may be removing it too
        if self.path.exists() and not resume:
            if not force:
                raise InputError(
                    f"{str(self.path)!r} holds an interrupted extraction; --resume continues it, --force starts anew"
                )
            self.remove()
        if self.path.exists():
            said = read_object(self.path / "identity.json", self.identity)
            different = [key for key, value in self.identity.items() if said[key] != value]
            if different:
                raise InputError(
                    f"{str(self.path)!r} is the extraction of something else: "
                    f"{agreeing(different, 'differs', 'differ')}; choose another --out, or --force to start anew"
                )
        else:
            make_folder(self.path)
            write_json(self.path / "identity.json", self.identity)
        done = self._trim()
        for layer, place in self.places.items():
            self._files[layer] = self._open.enter_context(place.open("ab"))
        self._log = self._open.enter_context((self.path / "rows.jsonl").open("ab"))
        return done

    def add(self, chunk: Chunk) -> None:
        """Appends a batch: the numbers first, so that what the log names is there."""
        assert self._log
        for layer, values in chunk.layers.items():
            self._files[layer].write(np.ascontiguousarray(values, "<f4").data)
            self._files[layer].flush()
        good = dict(zip(chunk.good, chunk.digests, strict=True))
        failed = dict(chunk.failed)
        lines = [
            json.dumps({"row": row, "sha256": good[row].hex()} if row in good else {"row": row, "failed": failed[row]})
            for row in chunk.rows
        ]
        self._log.write("".join(f"{line}\n" for line in lines).encode())
        self._log.flush()

    def close(self) -> None:
        for file in (*self._files.values(), *([self._log] if self._log else [])):
            file.flush()
            os.fsync(file.fileno())
        self._open.close()

    def log(self) -> tuple[list[int], np.ndarray, list[tuple[int, str]]]:
        """Rows that were read, the digests of their images (uint8 n × 32), and rows that failed, with reasons."""
        lines = read_lines(self.path / "rows.jsonl")
        good = [line for line in lines if "sha256" in line]
        failed = [(line["row"], line["failed"]) for line in lines if "failed" in line]
        digests = np.frombuffer(b"".join(bytes.fromhex(line["sha256"]) for line in good), np.uint8).reshape(-1, 32)
        return [line["row"] for line in good], digests, failed

    def layer(self, layer: str, count: int) -> Layer:
        """What was computed of a layer, read from the disk."""
        shape = self.shapes[layer]
        width, widest = int(np.prod(shape)), max(int(np.prod(each)) for each in self.shapes.values())
        step = max(1, min(ROWS, 2**24 // widest))  # 64 MiB at a time; the same rows of every layer

        def blocks() -> Iterator[np.ndarray]:
            with open(self.places[layer], "rb") as file:
                for start in range(0, count, step):
                    rows = min(step, count - start)
                    yield np.fromfile(file, "<f4", rows * width).reshape(rows, *shape)

        return Layer(shape, blocks)

    def remove(self) -> None:
        shutil.rmtree(self.path)

    def _trim(self) -> int:
        """Cuts off what a kill left half written; returns the images that are done."""
        log = self.path / "rows.jsonl"
        content = log.read_bytes() if log.is_file() else b""
        most = min(self._rows(layer) for layer in self.places)
        kept, good = [], 0
        for number, line in enumerate(content.splitlines(keepends=True)):
            said = whole_object(line)
            if said is None or said.get("row") != number or ("sha256" in said and good == most):
                break
            good += "sha256" in said
            kept.append(line)
        if content:
            with open(log, "rb+") as file:
                file.truncate(sum(map(len, kept)))
        for layer, place in self.places.items():
            if place.is_file():
                with open(place, "rb+") as file:
                    file.truncate(good * 4 * int(np.prod(self.shapes[layer])))
        return len(kept)

    def _rows(self, layer: str) -> int:
        place = self.places[layer]
        return place.stat().st_size // (4 * int(np.prod(self.shapes[layer]))) if place.is_file() else 0
