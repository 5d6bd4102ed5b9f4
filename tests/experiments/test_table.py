import json
import shutil
from pathlib import Path

import pytest

from alexnet.artifacts.figures import score
from alexnet.artifacts.run import Run
from alexnet.experiments import table
from alexnet.experiments.published import choose


def test_a_set_without_test_images_gives_its_validation_figure(trained: Run) -> None:
    arm = table.Arm("digits", [trained]).to_json()
    assert arm["values"] == [score(trained.card.figures.final)]
    assert (arm["n"], arm["std"], arm["low"], arm["epochs"]) == (1, None, None, 3)
    assert arm["seconds"] == trained.card.figures.seconds
    assert "torch" in arm["hardware"][0]


def test_several_seeds_have_a_deviation_and_an_interval(trained: Run, tmp_path: Path) -> None:
    runs = [Run(tmp_path / str(seed)) for seed in range(3)]
    for seed, run in enumerate(runs):
        shutil.copytree(trained.path, run.path)
        card = json.loads((run.path / "card.json").read_text())
        (run.path / "card.json").write_text(json.dumps(card | {"sha256": {"best": f"{seed:064}"}}))
        run.write_rows("metrics.jsonl", [row | {"train_loss": 1.0 + seed} for row in trained.metrics])
    arm = table.Arm("digits", runs).to_json()
    assert (arm["n"], arm["std"], arm["left_out"]) == (3, 0, [])
    assert arm["low"] == pytest.approx(arm["mean"]) == arm["high"]


def test_a_run_and_its_copy_are_one_seed(trained: Run, tmp_path: Path) -> None:
    shutil.copytree(trained.path, tmp_path / "copy")
    arm = table.Arm("digits", [trained, Run(tmp_path / "copy"), trained]).to_json()
    assert (arm["n"], arm["std"], arm["low"], len(arm["seeds"]), len(arm["values"])) == (1, None, None, 1, 1)
    name = trained.path.name
    told = f"copy has the weights of {name}, so that it is no other seed; they count once"
    assert arm["left_out"] == [told, f"{name} is named twice; it counts once"]


def test_lines_number_their_machines(trained: Run) -> None:
    (experiment,) = choose(["cifar100"])
    row = table.Row(experiment, {"ours": table.Arm("cifar100", [trained], ["seed 1 diverged"])})
    lines, machines = table.cells([row.to_json()])
    cells = dict(zip(table.HEAD[:6], lines[0], strict=False))
    assert (cells["experiment"], cells["published"], cells["as published, by us"]) == ("cifar100", ".1143", "–")
    assert lines[0][-1] == "1"
    assert len(machines) == 1
    text = table.markdown([row.to_json()])
    assert f"Hardware 1: {machines[0]}." in text
    assert text.endswith("Not run:\n\n- cifar100: seed 1 diverged\n")
