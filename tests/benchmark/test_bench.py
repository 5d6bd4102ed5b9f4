"""`alexnet bench`: what is timed, what is printed, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from alexnet.benchmark import bench, workload
from alexnet.benchmark.step import PHASES
from alexnet.errors import InputError
from alexnet.models.catalog import CATALOG
from alexnet.recipes import recipe as recipes


def test_a_network_and_a_recipe_at_two_precisions(tmp_path: Path, command: Callable) -> None:
    words = ("--batch", "8", "--precision", "fp32,bf16", "--steps", 2, "--out", tmp_path / "new" / "out")
    said = json.loads(command("bench", "alexnet-digits", "digits", *words, "--json").out)
    assert json.loads((tmp_path / "new" / "out" / "bench.json").read_text()) == said
    rows = said["rows"]
    assert [(row["name"], row["precision"]) for row in rows] == [
        ("alexnet-digits", "fp32"), ("alexnet-digits", "bf16"), ("digits", "fp32"), ("digits", "bf16"),
    ]  # fmt: skip
    assert said["peaks"]["flops"].keys() == {"fp32", "bf16"}
    for row in rows:
        assert (row["network"], row["batch"], row["steps"]) == ("alexnet-digits", 8, 2)
        assert tuple(row["phases"]) == PHASES
        assert all(seconds > 0 for seconds in row["phases"].values())
        work = row["training"]
        assert work["images_per_second"] == pytest.approx(8 / work["seconds"])
        assert work["share_of_peak"] == pytest.approx(
            work["cost"]["flops"] / work["seconds"] / said["peaks"]["flops"][row["precision"]]
        )
    with Image.open(tmp_path / "new" / "out" / "roofline.png") as image:
        assert image.size > (400, 400)


def test_the_tables_say_what_machine_it_was(command: Callable) -> None:
    plain = command("bench", "digits", "--steps", 1, "--batch", "8").out
    assert "matrix peak" in plain
    assert "copy bandwidth" in plain
    assert plain.count("inference") == 1
    assert all(phase in plain for phase in PHASES)


def test_what_cannot_be_timed_is_refused(refused: Callable, tmp_path: Path) -> None:
    assert "alexnet-digits" in refused("bench", "alexnet-digit")
    assert "choose one of: auto, fp32, bf16" in refused("bench", "digits", "--precision", "fp64")
    assert "such as 64 or 64,128" in refused("bench", "digits", "--batch", "many")
    assert "such as 64 or 64,128" in refused("bench", "digits", "--batch", "0")
    (tmp_path / "file").touch()
    assert "cannot be a folder" in refused("bench", "digits", "--out", tmp_path / "file")


def test_networks_have_their_published_optimizers() -> None:
    assert all(recipes.load(recipe).model.name in CATALOG for recipe in workload.PUBLISHED.values())
    assert workload.of_network("alexnet-caltech", 8).optimizer == recipes.load("caltech256-as-published").optimizer
    assert workload.of_network("alexnet-owt", 8).optimizer.name == "sgd"
    with pytest.raises(InputError, match="unknown network"):
        workload.of_network("alexnet", 8)


def test_a_session_makes_the_steps_that_it_times() -> None:
    with workload.Session(workload.of_network("alexnet-digits", 4), device="cpu") as session:
        assert len(session.seconds(3)) == 3
        assert session.learner.done == 3


def test_progress_ends_at_its_end() -> None:
    seen: list[tuple[int, int]] = []
    bench.run(["alexnet-digits"], [2, 4], ["fp32"], steps=1, device="cpu", progress=lambda *each: seen.append(each))
    assert seen[-1][0] == seen[-1][1] == len(seen)
