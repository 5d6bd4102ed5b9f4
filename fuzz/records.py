"""What a run leaves, what a user writes, and features, as they are fuzzed."""

import contextlib
import io
import json
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

Files = dict[str, bytes]


@lru_cache
def run() -> Files:
    """Every kind of file of a run that was trained for one epoch on a few synthetic images."""
    from unittest import mock

    import alexnet

    settings = {"data.name": "synthetic", "data.synthetic_images": 40, "data.resize": 8}
    with tempfile.TemporaryDirectory() as root, contextlib.ExitStack() as stack:
        for name in ("train.draw_samples", "finish.draw", "finish.write_report"):  # slow, and not read
            stack.enter_context(mock.patch(f"alexnet.experiments.{name}"))
        made = alexnet.train("digits", out=Path(root) / "run", epochs=1, settings=settings)
        names = ("recipe.toml", "card.json", "metrics.jsonl", "split.json", "predictions.npz")
        files = {name: (made.path / name).read_bytes() for name in (*names, "state.pt", "best.safetensors")}
    finding = {"kind": "x", "epoch": 1, "step": 2, "seen": "a", "cause": "b", "fix": "c"}
    return files | {"skipped.txt": b"a.png\tis damaged\n", "findings.jsonl": json.dumps(finding).encode() + b"\n"}


def card() -> Files:
    return {name: content for name, content in run().items() if name in ("card.json", "best.safetensors")}


def read_run(path: Path) -> None:
    """All that verbs read of a run."""
    from alexnet.artifacts.run import Run
    from alexnet.training import checkpoint

    found = Run(path)
    for name in ("recipe", "card", "metrics", "findings", "skipped", "split", "predictions"):
        getattr(found, name)
    found.opens("/")
    checkpoint.load(found.state)


def read_model(path: Path) -> None:
    import alexnet

    alexnet.load(path)


def recipe() -> Files:
    from alexnet.recipes import recipe as recipes

    return {"own.toml": recipes.to_toml(recipes.load("digits")).encode()}


def read_recipe(path: Path) -> None:
    from alexnet.recipes import recipe as recipes

    recipes.load(path)


def hub() -> Files:
    """As `alexnet export --format hub` writes it, less the card: the one within the weights is read."""
    return {"model.safetensors": run()["best.safetensors"]}


@lru_cache
def graph() -> Files:
    from alexnet.export import formats

    with _model() as opened, tempfile.TemporaryDirectory() as root:
        formats.export(opened.model, "onnx", Path(root) / "file.onnx")
        return {"file.onnx": (Path(root) / "file.onnx").read_bytes()}


@contextlib.contextmanager
def _model() -> Iterator[Any]:
    """The model of `run`, opened from a folder that is there for a while."""
    from alexnet.inference.opening import open_model

    with tempfile.TemporaryDirectory() as root:
        for name, content in card().items():
            (Path(root) / name).write_bytes(content)
        yield open_model(Path(root))


def read_graph(path: Path) -> None:
    from alexnet.inference.exported import open_exported

    open_exported(path)


def label_predictions() -> Files:
    from alexnet.artifacts.label_predictions import LabelPredictions

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 4, 4, 3), np.uint8)
    targets, probabilities = rng.integers(0, 2, (5, 3), np.uint8), rng.random((5, 3), np.float32)
    rest = {"thresholds": np.full(3, 0.5, np.float32), "shown": np.arange(2), "samples": images}
    made = LabelPredictions(
        "test", tuple("abcde"), targets, probabilities, rng.random(5, np.float32), thumbnails=images,
        sample_labels=targets[:2], **rest,
    )  # fmt: skip
    return {"predictions.npz": made.packed()}


def read_label_predictions(path: Path) -> None:
    from alexnet.artifacts.label_predictions import parse

    parse(path.read_bytes(), "predictions.npz")


def image_list() -> Files:
    return {"list.txt": b"a.png\n\xff/b.jpg\r\n\n/nowhere/c d.webp\n"}


def read_image_list(path: Path) -> None:
    from alexnet.inference.gather import Gathered
    from alexnet.inference.predict import stream

    for _ in stream(_opened(run()["best.safetensors"]).model, Gathered([str(path)])):
        pass


@lru_cache
def _opened(_: bytes) -> Any:
    with _model() as opened:
        return opened


def _images() -> Any:
    from alexnet.inference.images import Images

    def read(row: int, how: Any) -> tuple[np.ndarray, bytes]:
        return np.full((*how.size, how.channels), 50 * row, np.uint8), bytes(32)

    return Images(tuple("abcd"), read, np.arange(4))


@lru_cache
def index() -> Files:
    """Features with their record and their principal components."""
    from alexnet.inference.extract import extract
    from alexnet.inference.features import want
    from alexnet.inference.rows import Transform

    with _model() as opened, tempfile.TemporaryDirectory() as root:
        wanted = want(opened.model, ["fc7"])
        extract(opened, _images(), wanted, Path(root) / "f.npy", transform=Transform(center=True, pca=2))
        files = {each.name: each.read_bytes() for each in Path(root).iterdir()}
    return {**card(), **files}


def read_index(path: Path) -> None:
    """What `alexnet similar --index` and `alexnet features --check` read."""
    from alexnet.inference.recheck import recheck
    from alexnet.insight.similar import Index

    opened = _opened(run()["best.safetensors"])
    found = Index.load(path / "f.npy", opened)
    found.search(found.describe(_images())[0], 2)
    recheck(opened, _images(), path / "f.npy", 2)


def features(suffix: str) -> Files:
    """Features of four images from two layers, as `alexnet features` writes them, or bare where it has no room."""
    values = {"fc6": np.arange(12, dtype=np.float32).reshape(4, 3), "fc7": np.ones((4, 2), np.float32)}
    if suffix in ("h5", "parquet"):
        return _written(suffix, values)
    record = {"names": np.array([f"{i}.png" for i in range(4)]), "labels": np.arange(4)}
    content = io.BytesIO()
    if suffix == "npz":
        np.savez(content, provenance=json.dumps({"model": "x"}), **values, **record)  # pyright: ignore
    elif suffix == "npy":
        np.save(content, values["fc6"])
    elif suffix == "csv":
        np.savetxt(content, values["fc6"], delimiter=",")
    elif suffix == "mat":
        from scipy.io import savemat

        savemat(content, values | {"labels": record["labels"]})
    elif suffix == "pt":
        import torch

        torch.save({"features": {name: torch.from_numpy(value) for name, value in values.items()}}, content)
    files = {f"file.{suffix}": content.getvalue()}
    return files | ({"file.json": json.dumps({"names": list("abcd")}).encode()} if suffix in ("npy", "csv") else {})


def _written(suffix: str, values: dict[str, np.ndarray]) -> Files:
    from alexnet.inference import feature_write
    from alexnet.inference.feature_table import Table, in_memory

    layers = {name: in_memory(value) for name, value in values.items()}
    names, digests = [f"{i}.png" for i in range(4)], np.zeros((4, 32), np.uint8)
    table = Table(layers, names, np.arange(4), tuple("abcd"), digests, {"model": "x"})
    with tempfile.TemporaryDirectory() as root:
        feature_write.write(Path(root) / f"file.{suffix}", table)
        return {f"file.{suffix}": (Path(root) / f"file.{suffix}").read_bytes()}


def read_features(path: Path) -> None:
    from alexnet.inference.feature_read import read

    found = read(path)
    for layer in found.layers.values():
        np.asarray(layer).sum()
