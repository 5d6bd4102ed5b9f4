"""Recipes: read, checked key by key, written back equal; each shipped one takes real steps."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import alexnet
from alexnet.errors import InputError
from alexnet.recipes import recipe as recipes
from alexnet.recipes.recipe import load, parse, parse_override, to_toml
from alexnet.recipes.schema import Drop, Recipe
from alexnet.recipes.settings import given, lasting
from alexnet.training.learner import Learner
from alexnet.training.setup import prepare

SHIPPED = recipes.names()


def test_the_recipes_of_the_write_ups_are_shipped() -> None:
    networks = {"alexnet", "slim", "slim-regular", "thinner-2", "thinner-2-as-run", "thinner-4"}
    assert {"digits", "mnist", "folder", "cifar100-as-published", *(f"cifar10-{name}" for name in networks)} <= set(
        SHIPPED
    )


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recipe_is_written_back_equal(name: str, tmp_path: Path) -> None:
    recipe = load(name)
    assert recipe.name == name
    assert recipe.title
    (tmp_path / "copy.toml").write_text(to_toml(recipe), encoding="utf-8")
    assert load(tmp_path / "copy.toml") == recipe


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recipe_takes_steps(name: str) -> None:
    """On made-up images and in memory: the largest network has 87 million parameters, and takes one step."""
    changes = {"data.name": "synthetic", "data.synthetic_images": 20, "train.batch_size": 2, "train.epochs": 1}
    elsewhere = dict.fromkeys(("data.first_classes", "data.first_images", "data.train_images", "model.weights"))
    setup = prepare(
        load(name, changes | elsewhere | {"model.skip": [], "model.freeze": [], "schedule.unfreeze": []}), None, "cpu"
    )
    learner = Learner(setup)
    images, labels = next(setup.train.batches(torch.arange(2), 2))
    before = setup.model.state_dict()["conv1.weight"].clone()
    steps = 1 if setup.summary.parameters > 3e7 else 2
    for _ in range(steps):
        assert torch.isfinite(learner.step(images, labels).loss)
    assert learner.done == steps
    assert not torch.equal(before, setup.model.state_dict()["conv1.weight"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train.epohcs": 3}, "unknown recipe key 'train.epohcs'; did you mean train.epochs"),
        ({"epochs": 3}, "did you mean train.epochs"),
        ({"nonsense.key": 3}, "unknown recipe key 'nonsense'; choose one of: name, "),
        ({"train": 3}, "'train' is a table"),
        ({"train.epochs.more": 3}, "unknown recipe key"),
        ({"train.epochs": 2.5}, "'train.epochs' takes a whole number, not 2.5"),
        ({"train.epochs": True}, "takes a whole number, not True"),
        ({"train.epochs": 0}, "must be at least 1"),
        ({"train.compile": 1}, "takes true or false, not 1"),
        ({"train.batch_size": 10**30}, "at most 1,000,000"),
        ({"train.batch_size": 2 * 10**6}, "is 2,000,000; it must be at most 1,000,000"),
        ({"train.seed": 2**63}, "is 9,223,372,036,854,775,808; it must be at most 9,007,199,254,740,992"),
        ({"train.seed": 10**5000}, "it must be at most"),
        ({"optimizer.lr": True}, "'optimizer.lr' takes a number, not True"),
        ({"model.dropout": np.True_}, "'model.dropout' takes a number, not True"),
        ({"train.epochs": np.float64(2.5)}, "takes a whole number, not 2.5"),
        ({"train.epochs": [np.int64(2)] * 1000}, "takes a whole number, not [2, 2, 2, 2, 2, 2, ...]"),
        ({"train.compile": np.int64(1)}, "takes true or false, not 1"),
        ({"data.validation": np.float32(2)}, "is 2.0; it must be above 0 and at most 0.9"),
        ({"model.name": Path("x")}, "takes a string, not PosixPath('x')"),
        (
            {"schedule.milestones": np.arange(1, 3)},
            "takes numbers, strings and lists, not an ndarray: call its tolist()",
        ),
        ({"schedule.milestones": [torch.tensor(1)]}, "takes numbers, strings and lists, not a Tensor"),
        (
            {"schedule.warmup": 10**13},
            "a duration must be at least 0 and at most 1,000,000,000,000",
        ),
        ({"optimizer.lr": "fast"}, "'optimizer.lr' takes a number, not 'fast'"),
        ({"optimizer.lr": 0}, "must be above 0"),
        ({"optimizer.lr": float("nan")}, "must be finite"),
        ({"optimizer.lr": float("inf")}, "must be finite"),
        ({"optimizer.name": "adm"}, "did you mean adam"),
        ({"optimizer.momentum": 1.0}, "at most 0.9999"),
        ({"optimizer.l2_layers": "conv"}, "takes a list"),
        ({"optimizer.l2_layers": [1]}, "takes a string, not 1"),
        ({"optimizer.momentum": 0, "optimizer.nesterov": True}, "nesterov needs optimizer.momentum above 0"),
        ({"schedule.name": "step"}, "needs schedule.milestones"),
        ({"schedule.milestones": [3, 1]}, "must be in ascending order"),
        ({"schedule.milestones": [-1]}, "at least 0"),
        ({"schedule.warmup": "2 weeks"}, "takes a number of epochs, '500 steps' or '5%', not '2 weeks'"),
        ({"schedule.warmup": "101%"}, "at most 100%"),
        ({"schedule.warmup": float("nan")}, "at least 0"),
        ({"optimizer.layer_lr.fc8": -1}, "'optimizer.layer_lr.fc8' is -1; it must be at least 0"),
        ({"augment.epochs": 3}, "did you mean train.epochs"),
        ({"schedule.name": "one-cycle", "schedule.warmup": 1}, "warms up by itself"),
        ({"data.validation": "given"}, "give a fraction such as 0.1, or 'test'"),
        ({"data.validation": 0.95}, "at most 0.9"),
        ({"data.fit": "stretch"}, "choose one of: crop, squash"),
        ({"name": "../up"}, "it names the run's folder"),
        ({"name": ""}, "it names the run's folder"),
        ({"published": 1}, "a list of tables"),
        ({"published": [1]}, "a list of tables"),
    ],
)
def test_the_unknown_and_the_impossible_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        load(Recipe(), changes)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_numpys_numbers_and_paths_are_settings() -> None:
    """GridSearchCV takes the former from an array."""
    recipe = load(
        "digits",
        {
            "train.batch_size": np.int64(32), "train.channels_last": np.False_, "optimizer.lr": np.float32(0.5),
            "schedule.name": np.str_("step"), "schedule.milestones": [np.int64(1), np.float64(2.5)],
            "schedule.freeze": {np.str_("conv1"): np.int64(2)}, "model.weights": Path("a") / "b.safetensors",
            "schedule.layer_drops": {"conv2": {"after": np.int64(3), "factor": np.longdouble(0.5)}},
        },
    )  # fmt: skip
    assert (recipe.train.batch_size, recipe.train.channels_last, recipe.optimizer.lr) == (32, False, 0.5)
    assert (recipe.schedule.milestones, recipe.schedule.freeze) == ((1.0, 2.5), {"conv1": 2.0})
    assert recipe.model.weights == str(Path("a") / "b.safetensors")
    text = to_toml(recipe)
    assert "np." not in text
    assert load(parse(tomllib.loads(text))) == recipe


def test_no_setting_is_dropped_for_another() -> None:
    both = given({"optimizer.lr": 0.5, "train.seed": 1}, {"optimizer.lr": np.float32(0.5)})
    assert both == {"optimizer.lr": 0.5, "train.seed": 1}
    with pytest.raises(InputError, match=r"'optimizer\.lr' is given twice, as 0\.02 and as 0\.01"):
        given({"optimizer.lr": 0.02}, {"optimizer.lr": 0.01})
    with pytest.raises(InputError, match=r"'optimizer\.lr' is given twice"):
        alexnet.train("digits", settings={"optimizer.lr": 0.02}, optimizer__lr=0.01)
    lengths: tuple[tuple[dict[str, Any], dict[str, int], str], ...] = (
        ({"epochs": None, "steps": 1}, {"train.epochs": 3}, r"train\.epochs = 3 contradicts steps = 1; give one"),
        ({"epochs": 2, "steps": None}, {"train.epochs": 3}, r"train\.epochs = 3 contradicts epochs = 2"),
        ({"epochs": 2, "steps": None}, {"train.steps": 3}, r"train\.steps = 3 contradicts epochs = 2"),
        ({"epochs": 2, "steps": 3}, {}, "not both"),
    )
    for length, settings, said in lengths:
        with pytest.raises(InputError, match=said):
            lasting(settings, **length)
        with pytest.raises(InputError, match=said):
            alexnet.train("digits", settings=settings, **length)
    assert lasting({"train.epochs": 2}, 2, None) == {"train.epochs": 2, "train.steps": 0}
    assert lasting({"train.epochs": 2, "train.steps": 9}, None, None) == {"train.epochs": 2, "train.steps": 9}


def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("train = [", encoding="utf-8")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "deep.toml").write_text("title = " + "[" * 10_000 + "]" * 10_000, encoding="utf-8")
    (tmp_path / "digits.toml").write_text("train.seed = " + "9" * 5000, encoding="utf-8")
    (tmp_path / "huge.toml").write_text("#" * 2**21, encoding="utf-8")
    cases = {"broken": "not TOML", "binary": "not UTF-8", "none": "no recipe file", "deep": "nested too deeply"}
    for path, said in {**cases, "digits": "not TOML", "huge": "larger than"}.items():
        with pytest.raises(InputError, match=said):
            load(tmp_path / f"{path}.toml")
    with pytest.raises(InputError, match="did you mean digits"):
        load("digit")


def test_overrides_go_over_a_file_and_over_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("[train]\nepochs = 7\n", encoding="utf-8")
    own = load(tmp_path / "own.toml", {"optimizer.lr": 1})
    assert (own.name, own.train.epochs, own.optimizer.lr) == ("own", 7, 1.0)
    assert load(own, {"train.epochs": 8}) == parse({"name": "own", "optimizer": {"lr": 1.0}, "train": {"epochs": 8}})


def test_set_takes_toml_values_and_bare_words() -> None:
    assert parse_override("optimizer.lr=1e-3") == ("optimizer.lr", 0.001)
    assert parse_override("schedule.milestones = [1, 2]") == ("schedule.milestones", [1, 2])
    assert parse_override("model.init=keras-he") == ("model.init", "keras-he")
    assert parse_override("schedule.warmup=5%") == ("schedule.warmup", "5%")
    for wrong in ("train.seed=" + "9" * 5000, "data.name=" + "[" * 10_000):
        with pytest.raises(InputError, match="too long, or too deeply nested"):
            parse_override(wrong)
    for wrong in ("optimizer.lr", "=1"):
        with pytest.raises(InputError, match="key=value"):
            parse_override(wrong)


def test_set_reaches_into_tables(tmp_path: Path) -> None:
    changes = dict(map(parse_override, ["optimizer.layer_lr.fc8=10", "optimizer.layer_lr.conv1..conv5=0.1"]))
    drop = dict(map(parse_override, ["schedule.layer_drops.conv1.after=67", "schedule.layer_drops.conv1.factor=0.1"]))
    recipe = load(Recipe(), changes | drop)
    assert recipe.optimizer.layer_lr == {"fc8": 10.0, "conv1..conv5": 0.1}
    assert recipe.schedule.layer_drops == {"conv1": Drop(67.0, 0.1)}
    (tmp_path / "copy.toml").write_text(to_toml(recipe), encoding="utf-8")
    assert load(tmp_path / "copy.toml") == recipe


def test_odd_characters_survive_the_writing(tmp_path: Path) -> None:
    recipe = load(Recipe(), {"title": 'quotes " \\ tab\t, a\nnewline, \x01 and é'})
    (tmp_path / "odd.toml").write_text(to_toml(recipe), encoding="utf-8")
    assert load(tmp_path / "odd.toml") == recipe


def test_every_key_says_what_it_means() -> None:
    rows = recipes.describe()
    assert [name for name, _, _ in rows] == [name for name, _ in recipes.flat(Recipe())]
    assert all(about for _, _, about in rows)


def test_a_byte_order_mark_is_read_past(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b'\xef\xbb\xbfname = "mine"\n[data]\nname = "digits"\n')
    assert load(tmp_path / "mine.toml").name == "mine"


@pytest.mark.parametrize("value", ["buffer", "buffer-0", "always", ""])
def test_data_shuffle_names_its_choices(value: str) -> None:
    with pytest.raises(InputError, match="choose 'auto', 'epoch', 'once', 'none', a buffer such as 'buffer-1000', 'sh"):
        load("digits", {"data.shuffle": value})
    for known in ("buffer-10", "shards", "shards-16", "auto"):
        assert load("digits", {"data.shuffle": known}).data.shuffle == known
