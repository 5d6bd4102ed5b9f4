"""One's own images without a recipe: from which weights they are trained, what is told of it, and who is asked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import alexnet
from alexnet.artifacts import store
from alexnet.errors import InputError
from alexnet.experiments import start as starts
from alexnet.experiments.start import start
from alexnet.export import layouts
from alexnet.models import catalog
from alexnet.recipes import recipe as recipes
from alexnet.recipes.durations import resolved, steps_of_epoch
from alexnet.training.learner import Learner
from alexnet.training.reporter import Reporter
from alexnet.training.setup import prepare


class Answers(Reporter):
    """Answers every question, and keeps them."""

    def __init__(self, answer: bool) -> None:
        self.answer, self.asked = answer, []

    def confirm(self, question: str) -> bool:
        self.asked.append(question)
        return self.answer


def folder(at: Path, gray: bool = False, each: int = 4) -> Path:
    draws = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (at / name).mkdir(parents=True)
        for number in range(each):
            pixels = draws.integers(0, 256, (40, 40) if gray else (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(at / name / f"{number}.png")
    return at


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """$ALEXNET_DATA, with nothing in it."""
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path / "kept"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "kept" / "weights"


def put_weights(at: Path) -> dict[str, torch.Tensor]:
    at.mkdir(parents=True)
    torch.manual_seed(0)
    state = catalog.create("alexnet-owt-probe", classes=2).state_dict()
    convolutions = {name: value for name, value in state.items() if name.startswith("conv")}
    store.save(at / "torchvision-part.safetensors", convolutions)
    return convolutions


def test_pretrained_where_the_weights_are_here_and_from_scratch_where_not(here: Path, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    alone = start(None, images, {})
    assert (alone.recipe.name, alone.recipe.model.weights, alone.recipe.augment.flip) == ("folder", None, 0.5)
    (remark,) = alone.remarks
    assert remark.startswith("training from scratch: no weights 'torchvision' here or in ")
    assert remark.endswith("; --pretrained fetches them and starts from them")
    put_weights(here)
    found = start(None, images, {})
    assert (found.recipe.name, found.remarks) == ("folder-pretrained", ())
    assert found.recipe.model.weights == str(here / "torchvision-part.safetensors")
    assert start(None, images, {}, pretrained=False).recipe.name == "folder"
    assert start(None, images, {"optimizer.lr": 0.5}).recipe.optimizer.lr == 0.5


def test_a_person_is_asked_before_anything_is_fetched_and_a_script_never_is(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    def fetch(name: str, progress: Any = None) -> None:
        fetched.append(name)
        put_weights(here)

    monkeypatch.setattr(starts, "fetch_public", fetch)
    images = folder(tmp_path / "images")
    no, yes = Answers(False), Answers(True)
    assert start(None, images, {}, reporter=yes).recipe.name == "folder"  # $ALEXNET_OFFLINE: not even asked
    monkeypatch.delenv("ALEXNET_OFFLINE")
    assert start(None, images, {}, reporter=Reporter()).recipe.name == "folder"
    assert start(None, images, {}, pretrained=False, reporter=yes).recipe.name == "folder"
    assert start(None, images, {}, reporter=no).recipe.name == "folder"
    assert (fetched, yes.asked, len(no.asked)) == ([], [], 1)
    assert start(None, images, {}, reporter=yes).recipe.name == "folder-pretrained"
    assert "(244 MB, BSD-3-Clause)" in yes.asked[0]
    assert start(None, images, {}, reporter=yes).recipe.name == "folder-pretrained"
    assert (fetched, len(yes.asked)) == (["torchvision"], 1)  # they are here now


def test_pretrained_fetches_without_a_question(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "fetch_public", lambda name, progress=None: put_weights(here))
    assert start(None, folder(tmp_path / "images"), {}, pretrained=True).recipe.name == "folder-pretrained"


def test_gray_images_are_not_mirrored_unless_asked(here: Path, tmp_path: Path) -> None:
    put_weights(here)
    images = folder(tmp_path / "images", gray=True)
    found = start(None, images, {})
    assert found.recipe.augment.flip == 0
    assert found.remarks == (
        "the images are gray: they are not mirrored (--set augment.flip=0.5 mirrors half of them)",
    )
    asked = start(None, images, {"augment.flip": 0.25})
    assert (asked.recipe.augment.flip, asked.remarks) == (0.25, ())
    Image.new("RGB", (40, 40), (200, 20, 20)).save(images / "cat" / "0.png")  # one colored image
    assert start(None, images, {}).recipe.augment.flip == 0.5


def test_a_recipe_weights_or_a_network_decide_for_themselves(here: Path, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    put_weights(here)
    assert start("folder", images, {}).recipe.name == "folder"
    assert start(None, images, {"model.name": "alexnet-caltech"}).recipe.name == "folder"
    assert start(None, None, {}).recipe.name == "digits"
    for recipe, data, changes in (("folder", images, {}), (None, images, {"model.weights": "w"}), (None, None, {})):
        for pretrained in (True, False):
            with pytest.raises(InputError, match="without a recipe, weights or model settings"):
                start(recipe, data, changes, pretrained)


@pytest.mark.parametrize("count", [20, 300, 20_000])
def test_head_first_then_all_layers_whatever_the_number_of_images(count: int) -> None:
    """At least a few hundred steps, the convolutions frozen in the first part, early stopping on."""
    recipe = recipes.load("folder-pretrained")
    steps = steps_of_epoch(recipe, count)
    timed = resolved(recipe, steps, recipe.train.epochs)
    assert steps * recipe.train.epochs >= 320
    assert timed.schedule.unfreeze == (3.0,) * 5
    assert timed.train.patience == 4
    assert timed.optimizer.lr * timed.optimizer.layer_lr["conv1..conv5"] == pytest.approx(5e-5)


def test_the_run_starts_from_the_convolutions_and_trains_the_head_first(here: Path, tmp_path: Path) -> None:
    convolutions = put_weights(here)
    chosen = start(None, folder(tmp_path / "images"), {})
    setup = prepare(chosen.recipe, tmp_path / "images", "cpu")
    for name, value in convolutions.items():
        assert torch.equal(setup.model.state_dict()[name].cpu(), value)
    learner = Learner(setup)
    assert learner.freezing.frozen(2) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert learner.freezing.frozen(3) == []
    assert setup.loaded
    assert setup.loaded.origin.license == "BSD-3-Clause"
    assert not setup.model.get_parameter("fc6.weight").any()  # a random layer would add a random answer


def test_the_whole_public_file_fits_too(here: Path, tmp_path: Path, make: Callable[..., Any]) -> None:
    here.mkdir(parents=True)
    whole = make("alexnet-owt", classes=7, size=64)
    (here / "alexnet-owt-7be5be79.pth").write_bytes(layouts.torchvision(whole))
    setup = prepare(start(None, folder(tmp_path / "images"), {}).recipe, tmp_path / "images", "cpu")
    assert torch.equal(setup.model.state_dict()["conv1.weight"].cpu(), whole.module.state_dict()["conv1.weight"])
    assert setup.loaded
    assert setup.loaded.remark == "left out of the file, above fc6: classifier.4; classifier.6"


@pytest.mark.usefixtures("bare")
def test_what_was_taken_is_told_and_recorded(here: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    images, short = folder(tmp_path / "images", gray=True), ("--epochs", 1, "--set", "train.least_steps=1")
    put_weights(here)
    ended = command("train", "--data", images, "--out", tmp_path / "tuned", *short)
    assert ended.code == 0, ended
    assert "the images are gray: they are not mirrored" in ended.out
    assert f"pretrained weights {here / 'torchvision-part.safetensors'}" in ended.out.replace("\n", " ")
    run = alexnet.load(tmp_path / "tuned")
    assert run.card.name == "alexnet-owt-linear"
    assert run.card.license == "BSD-3-Clause"
    assert "folder-pretrained" in (tmp_path / "tuned" / "recipe.toml").read_text()


def test_a_smaller_network_gets_smaller_images(tmp_path: Path) -> None:
    """The recipe's 256 pixels stayed: 8 × 8 of them were cut out of the middle."""
    data = folder(tmp_path / "images")
    found = start(None, data, {"model.name": "alexnet-digits"})
    assert found.recipe.data.resize == 9
    assert found.remarks == (
        "data.resize is 9, not the recipe's 256: alexnet-digits takes images of 8 pixels, alexnet-caltech of 227",
    )
    assert start(None, data, {"model.name": "alexnet-cifar10"}).recipe.data.resize == 36
    assert start("caltech256", None, {"model.name": "alexnet-thinner-4"}).recipe.data.resize == 36


def test_a_network_of_the_recipes_size_or_ones_own_resize_changes_nothing(tmp_path: Path) -> None:
    data = folder(tmp_path / "images")
    assert start(None, data, {"model.name": "alexnet-bvlc"}) == start(None, data, {"model.name": "alexnet-bvlc"})
    assert start(None, data, {"model.name": "alexnet-bvlc"}).remarks == ()
    found = start(None, data, {"model.name": "alexnet-digits", "data.resize": 64})
    assert found.recipe.data.resize == 64
    assert found.remarks == (
        "images are resized to 64 pixels (data.resize) and cut to 8: alexnet-digits sees 12% of their height and width",
    )
    assert start("digits", None, {"model.name": "alexnet-cifar10"}).recipe.data.resize is None


def test_own_images_without_a_network_are_told_what_is_cut_away(tmp_path: Path) -> None:
    remarks = start(None, folder(tmp_path / "images"), {"data.resize": 1000}, pretrained=False).remarks
    assert any(line.startswith("images are resized to 1000 pixels") for line in remarks)


def test_a_network_that_there_is_not_is_what_is_said(tmp_path: Path) -> None:
    """It was 'data.resize is 1; it must be at least 8'."""
    images = folder(tmp_path / "images")
    with pytest.raises(InputError, match="unknown network 'alexnet-didgits'; did you mean alexnet-digits"):
        prepare(start(None, images, {"model.name": "alexnet-didgits"}).recipe, images, "cpu")
