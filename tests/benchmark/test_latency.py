"""Inference as `predict` does it, against plain PyTorch."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from alexnet.artifacts.run import Run
from alexnet.graphs import runtimes


def test_a_trained_model_and_a_network(command: Callable, trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--batch", "1,4", "--precision", "bf16", "--rounds", 2)
    everything = json.loads(command("bench", "--latency", trained.path, "alexnet-digits", *words, "--json").out)
    said = everything["models"]
    assert [each["name"] for each in said] == [str(trained.path), "alexnet-digits"]
    for each in said:
        assert [row["batch"] for row in each["rows"]] == [1, 4]
        assert all(row["plain"] > 0 and row["quick"] > 0 and len(row["ratios"]) == 2 for row in each["rows"])
    forms = [" ".join(peer) for peer in everything["peers"]]
    assert [found["form"] for found in said[0]["agreements"]] == ["torch bf16", *forms]
    for found in said[0]["agreements"]:
        assert found["images"] == 359
        assert found["same_top1"] > 0.98
        assert 0 < found["mean_difference"] < found["largest_difference"] < 0.05
    assert said[1]["agreements"] == []
    assert all(len(row["peers"]) == len(forms) for each in said for row in each["rows"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    plain = command("bench", "--latency", trained.path, *words).out
    assert "359 images, top-1 the same on" in plain
    assert (
        "openvino needs onnx and onnxscript and onnxruntime and openvino: pip install 'alexnet[onnx,openvino]'" in plain
    )
    assert "onnxruntime needs onnx and onnxscript and onnxruntime: pip install 'alexnet[onnx]'" in plain


@pytest.mark.parametrize("what", ["alexnet-nothing", "/nowhere"])
def test_what_is_neither_is_refused(refused: Callable, what: str) -> None:
    assert "no run folder or model file" in refused("bench", "--latency", what)


def test_runtimes_are_timed_where_they_are_installed(monkeypatch: pytest.MonkeyPatch, command: Callable) -> None:
    """In our precision where they have it, else in fp32, and in int8; at batch 1, 8 and 64, in one table."""
    opened, sizes = [], []

    class Stub:
        def __init__(self, content: bytes, name: str, precision: str):
            opened.append((content, name, precision))

        def __call__(self, inputs: np.ndarray) -> None:
            sizes.append(len(inputs))

    monkeypatch.setattr(runtimes, "missing", lambda name: None)
    monkeypatch.setattr(runtimes, "precisions", lambda name: ("fp32", "bf16", "int8")[: 3 if name == "openvino" else 1])
    monkeypatch.setattr(runtimes, "graph_of", lambda network: b"graph")
    monkeypatch.setattr(runtimes, "Runner", Stub)
    out = command("bench", "--latency", "alexnet-digits", "--precision", "bf16", "--rounds", 1).out
    assert opened == [(b"graph", "onnxruntime", "fp32"), (b"graph", "openvino", "bf16"), (b"graph", "openvino", "int8")]
    assert sorted(set(sizes)) == [1, 8, 64]
    assert "onnxruntime fp32 ms" in out
    assert "openvino bf16 ms" in out
    assert "openvino int8 ms" in out
