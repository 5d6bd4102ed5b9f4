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


def test_several_seeds_have_a_deviation_and_an_interval(trained: Run) -> None:
    arm = table.Arm("digits", [trained, trained, trained]).to_json()
    assert (arm["n"], arm["std"]) == (3, 0)
    assert arm["low"] == pytest.approx(arm["mean"]) == arm["high"]


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
