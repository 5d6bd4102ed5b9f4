import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import alexnet
from alexnet.artifacts import store
from alexnet.artifacts.run import Run
from alexnet.errors import InputError, MissingData
from alexnet.experiments.train import _preprocessing
from alexnet.files import write_json
from alexnet.models import catalog
from alexnet.recipes import recipe as recipes
from alexnet.recipes.schema import Recipe
from alexnet.training import optim
from alexnet.training.finetune import Freezing, anchored, by_layer


def freezing(network: Any, unfreeze: tuple[float, ...] = (), freeze: tuple[str, ...] = ("conv1..conv5",)) -> Freezing:
    return Freezing(
        recipes.load("digits", {"model.freeze": list(freeze), "schedule.unfreeze": list(unfreeze)}), network
    )


def test_nothing_flows_back_into_frozen_layers():
    network = catalog.create("alexnet-digits")
    freezing(network).train(0)
    seen: list[str] = []

    def watch(part: Any, name: str) -> None:
        def note(_: Any, __: Any, out: Any) -> None:
            if out.grad_fn is not None:
                seen.append(name)

        part.register_forward_hook(note)

    for name, part in network.named_children():
        watch(part, name)
    network(torch.randn(2, 1, 8, 8)).sum().backward()
    assert seen[0] == "fc6"  # what stands before it has no backward pass at all
    assert all(p.grad is None for name, p in network.named_parameters() if name.startswith("conv"))
    assert all(p.grad is not None for name, p in network.named_parameters() if name.startswith("fc"))


def test_frozen_batch_norms_keep_their_statistics():
    network = catalog.create("alexnet-caltech", classes=3, size=95)
    freezing(network, freeze=("conv1..bn2",)).train(0)
    before = network.get_buffer("bn1.running_mean").clone()
    network(torch.randn(2, 3, 95, 95))
    assert torch.equal(network.get_buffer("bn1.running_mean"), before)
    assert network.get_submodule("drop6").training


def test_layers_begin_to_learn_from_the_last_to_the_first():
    network = catalog.create("alexnet-caltech")
    steps = freezing(network, unfreeze=(1, 2.5, 4), freeze=("conv1..conv3",))
    assert steps.frozen(0) == ["conv1", "bn1", "conv2", "bn2", "conv3"]
    assert steps.frozen(2) == ["conv1", "bn1", "conv2", "bn2"]
    assert steps.frozen(3) == ["conv1", "bn1"]
    assert steps.frozen(4) == []
    steps.train(4)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_layers_stop_learning_after_their_epochs():
    network = catalog.create("alexnet-digits")
    steps = Freezing(recipes.load("digits", {"schedule.freeze": {"conv1..conv2": 2, "conv3": 4}}), network)
    frozen = [[layer for layer in steps.frozen(epoch) if layer.startswith("conv")] for epoch in range(5)]
    assert frozen == [[], [], ["conv1", "conv2"], ["conv1", "conv2"], ["conv1", "conv2", "conv3"]]
    with pytest.raises(InputError, match=r"schedule\.freeze freezes every layer of alexnet-digits"):
        Freezing(recipes.load("digits", {"schedule.freeze.conv1..fc8": 2}), network)


def test_biases_have_their_own_rate():
    """2012 and Caffe: twice the weights' rate, and no decay."""
    network = catalog.create("alexnet-digits")
    changes = {"optimizer.bias_lr": 2, "optimizer.layer_lr.fc8": 10, "optimizer.lr": 0.01}
    groups = optim.build(
        recipes.load("digits", changes | {"optimizer.weight_decay": 5e-4}).optimizer, network
    ).param_groups
    found = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    wanted = {"conv1.weight": (0.01, 5e-4), "conv1.bias": (0.02, 0), "fc8.weight": (0.1, 5e-4), "fc8.bias": (0.2, 0)}
    for name, (rate, decay) in wanted.items():
        assert found[id(network.get_parameter(name))] == (pytest.approx(rate), decay)
    assert len(found) == len(list(network.parameters()))


def test_something_must_be_left_to_learn():
    with pytest.raises(InputError, match="freezes every layer"):
        freezing(catalog.create("alexnet-digits"), freeze=("conv1..fc8",))
    with pytest.raises(InputError, match="unknown layer of alexnet-digits 'fc9'"):
        freezing(catalog.create("alexnet-digits"), freeze=("fc9",))


def test_each_layer_has_its_learning_rate():
    network = catalog.create("alexnet-digits")
    assert by_layer({"conv1..conv2": 0.1, "fc8": 10, "conv2": 0.5}, network)["conv2"] == 0.5
    settings = recipes.load("digits", {"optimizer.layer_lr.fc8": 10, "optimizer.lr": 0.01}).optimizer
    groups = optim.build(settings, network).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert rates[id(network.get_parameter("fc8.bias"))] == pytest.approx(0.1)
    assert rates[id(network.get_parameter("fc7.weight"))] == pytest.approx(0.01)
    assert len(rates) == len(list(network.parameters()))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model.skip": ["fc8"]}, "which is not set"),
        ({"schedule.unfreeze": [1]}, "needs model.freeze"),
        ({"model.freeze": ["conv1"], "schedule.unfreeze": [2, 1]}, "schedule.unfreeze must be in ascending order"),
        ({"optimizer.layer_lr": ["fc8"]}, "takes a table, not"),
        ({"optimizer.layer_lr.fc8": "much"}, "'optimizer.layer_lr.fc8' takes a number, not 'much'"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(settings: dict[str, Any], said: str):
    with pytest.raises(InputError, match=said):
        recipes.load("digits", settings)


def test_a_run_begins_with_weights_and_leaves_the_frozen_ones_as_they_are(
    trained: Run, tmp_path: Path, bare: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(trained.path.parent)
    settings = {
        "model.weights": trained.path.name,
        "model.skip": ["fc8"],
        "model.freeze": ["conv1..conv5"],
        "optimizer.layer_lr.fc8": 10,
        "schedule.unfreeze": [1],
    }
    run = alexnet.train("digits", out=tmp_path / "run", epochs=2, stop_after=None, settings=settings)
    first, second = (
        store.load_tensors(trained.path / "best.safetensors"),
        store.load_tensors(run.path / "last.safetensors"),
    )
    assert torch.equal(first["conv4.weight"], second["conv4.weight"])
    assert not torch.equal(first["conv5.weight"], second["conv5.weight"])  # let go after the first epoch
    assert not torch.equal(first["fc7.weight"], second["fc7.weight"])
    assert run.card.pretrained is not None
    told = run.card.pretrained.to_json()
    assert (told.pop("license"), told.pop("source")) == ("unknown", "run of recipe digits, seed 0")
    assert told.pop("layers")["conv1"] == "conv1"
    assert told == {
        "file": "best.safetensors",
        "kind": "own",
        "sha256": trained.card.sha256["best"],
        "taken": "",
        "left_out": (),
        "missing": (),
        "skipped": ("fc8",),
    }
    assert run.recipe.model.weights == str(trained.path)
    assert run.card.preprocessing == trained.card.preprocessing


def test_a_resumed_run_ends_like_an_unbroken_one(trained: Run, tmp_path: Path, bare: None):
    from alexnet.training.interrupts import Interrupted

    settings = {"model.weights": str(trained.path), "model.freeze": ["conv1..fc6"], "schedule.unfreeze": [1]}

    def train(out: Path, **more: Any) -> None:
        alexnet.train("digits", out=out, epochs=2, settings=settings, **more)

    train(tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", stop_after=1)
    alexnet.train(out=tmp_path / "parts", resume_run=True)
    whole, parts = (store.load_tensors(tmp_path / name / "last.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


def test_the_path_to_the_weights_outlives_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pth").touch()
    assert anchored(recipes.load("digits")).model.weights is None
    assert anchored(recipes.load("digits", {"model.weights": "w.pth"})).model.weights == str(tmp_path / "w.pth")


def test_the_command_line_says_the_same(command: Callable[..., Any], trained: Run, tmp_path: Path, bare: None):
    ended = command(
        "train", "digits", "--epochs", 1, "--out", tmp_path / "run", "--weights", trained.path, "--skip", "fc8",
        "--freeze", "conv1..conv5",
    )  # fmt: skip
    assert ended.code == 0
    assert (
        f"pretrained weights {trained.path / 'best.safetensors'}; with their own colors, scale and mean, "
        "size and fit of the recipe" in ended.out
    )
    run = Run(tmp_path / "run")
    assert run.card.preprocessing == trained.card.preprocessing
    assert run.recipe.data.normalize == "network"  # where the recipe of the digits says "data"
    model = run.recipe.model
    assert (model.skip, model.freeze) == (("fc8",), ("conv1..conv5",))
    ended = command("train", "digits", "--out", tmp_path / "none", "--weights", tmp_path / "none.h5")
    assert ended.code == 2
    assert "no weights '" in ended.err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("recipe", "changes", "expected"),
    [
        ("folder", {"model.weights": "w.pth"}, "network"),
        ("folder", {"model.weights": "w.pth", "data.normalize": "data"}, None),
        ("folder", {}, None),
        (Recipe(), {"model.weights": "w.pth"}, None),
        (Path("mine.toml"), {"model.weights": "w.pth"}, None),
    ],
)
def test_weights_bring_their_preprocessing_unless_the_user_says_otherwise(
    recipe: Any, changes: dict[str, Any], expected: str | None
):
    assert _preprocessing(recipe, changes).get("data.normalize") == expected


def test_frozen_layers_get_the_inputs_that_they_know(trained: Run, tmp_path: Path, bare: None):
    """Weights trained on other numbers than the recipe would make of the images."""
    shutil.copy(trained.path / "best.safetensors", tmp_path / "w.safetensors")
    card = trained.card.to_json()
    card["preprocessing"] |= {"scale": 1.0, "mean": [104.0], "std": [1.0]}
    write_json(tmp_path / "w.json", card)
    options: dict[str, Any] = {"model__weights": str(tmp_path / "w.safetensors"), "steps": 1}
    taken = alexnet.train("digits", out=tmp_path / "taken", **options).card.preprocessing
    assert (taken.scale, taken.mean, taken.std) == (1.0, (104.0,), (1.0,))
    said = alexnet.train("digits", out=tmp_path / "said", data__normalize="data", **options).card.preprocessing
    assert said.mean != (104.0,)


def test_weights_are_found_where_fetched_ones_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path))
    kept = tmp_path / "weights"
    kept.mkdir()
    with pytest.raises(MissingData, match=r"torchvision' fetches them, or put alexnet-owt-7be5be79\.pth there"):
        anchored(recipes.load(Recipe(), {"model.weights": "torchvision"}))
    for name in ("torchvision-part.safetensors", "alexnet-owt-7be5be79.pth"):  # the public file is taken before a part
        (kept / name).touch()
        for asked in ("torchvision", name):
            assert anchored(recipes.load(Recipe(), {"model.weights": asked})).model.weights == str(kept / name)
    with pytest.raises(MissingData, match="no weights 'mine' here or in "):
        anchored(recipes.load(Recipe(), {"model.weights": "mine"}))
