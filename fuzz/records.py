"""What a run leaves, what a user writes, and features, as they are fuzzed."""

import contextlib
import io
import json
import tempfile
from functools import lru_cache
from pathlib import Path

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


def features(suffix: str) -> Files:
    """Features of four images from two layers, as `alexnet features` writes them, or bare where it has no room."""
    values = {"fc6": np.arange(12, dtype=np.float32).reshape(4, 3), "fc7": np.ones((4, 2), np.float32)}
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
    elif suffix == "h5":
        import h5py

        with h5py.File(content, "w") as file:
            for name, value in values.items():
                file[name] = value
    elif suffix == "pt":
        import torch

        torch.save({"features": {name: torch.from_numpy(value) for name, value in values.items()}}, content)
    files = {f"file.{suffix}": content.getvalue()}
    return files | ({"file.json": json.dumps({"names": list("abcd")}).encode()} if suffix in ("npy", "csv") else {})


def read_features(path: Path) -> None:
    from alexnet.inference.feature_read import read

    found = read(path)
    for layer in found.layers.values():
        np.asarray(layer).sum()
