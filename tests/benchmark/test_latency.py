"""Inference as `predict` does it, against plain PyTorch."""

import json
from collections.abc import Callable

import pytest

from alexnet.artifacts.run import Run


def test_a_trained_model_and_a_network(command: Callable, trained: Run) -> None:
    words = ("--batch", "1,4", "--precision", "bf16", "--rounds", 2)
    said = json.loads(command("bench", "--latency", trained.path, "alexnet-digits", *words, "--json").out)["models"]
    assert [each["name"] for each in said] == [str(trained.path), "alexnet-digits"]
    for each in said:
        assert [row["batch"] for row in each["rows"]] == [1, 4]
        assert all(row["plain"] > 0 and row["quick"] > 0 and len(row["ratios"]) == 2 for row in each["rows"])
    found = said[0]["agreement"]
    assert found["images"] == 359
    assert found["same_top1"] > 0.98
    assert 0 < found["mean_difference"] < found["largest_difference"] < 0.05
    assert said[1]["agreement"] is None
    plain = command("bench", "--latency", trained.path, *words).out
    assert "359 images, top-1 the same on" in plain


@pytest.mark.parametrize("what", ["alexnet-nothing", "/nowhere"])
def test_what_is_neither_is_refused(refused: Callable, what: str) -> None:
    assert "neither a run's folder nor" in refused("bench", "--latency", what)
