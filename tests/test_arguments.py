"""Every public function, asked with values of other types for each of its parameters: one line that names the argument
and what it takes, and never a traceback from deep inside or another answer."""

import functools
import inspect
import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import alexnet
from alexnet import arguments
from alexnet.artifacts.run import Run
from alexnet.data.pick import CHECKS
from alexnet.data.sources import open_splits
from alexnet.experiments import train as training
from alexnet.inference.images import of_dataset
from alexnet.inference.model import Model
from alexnet.inference.opening import open_model
from alexnet.insight import similar, what_if
from alexnet.recipes import recipe as recipes

ROOT = Path(__file__).parents[1]
DIGITS = alexnet.dataset("digits").subset(np.arange(40))
IMAGES = [DIGITS[0][0]]
OBJECT = object()
VALUES: dict[str, Any] = {
    "none": None, "minus": -1, "zero": 0, "fraction": 2.5, "text": "x", "empty": "", "nul": "a\0b", "list": [],
    "tuple": (8,), "nan": math.nan, "inf": math.inf, "true": True, "bytes": b"x", "huge": 10**30, "object": OBJECT,
    "array": np.zeros(3), "here": Path(__file__).parent, "nowhere": Path("/nowhere/at/all"),
}  # fmt: skip
PLACES = {"text", "empty", "nul", "here", "nowhere"}


@dataclass(frozen=True)
class Asked:
    call: Callable[..., Any]
    right: dict[str, Collection[str]]
    """For each parameter, which of VALUES it takes."""
    said: dict[str, str] = field(default_factory=dict)
    """What a refusal calls the parameter, where it is not its name."""
    otherwise: dict[str, Any] = field(default_factory=dict)
    """What is passed for the other parameters."""


def _nothing(*_: Any, **__: Any) -> Any:
    raise _Began


class _Began(Exception):
    """Everything was accepted."""


def _classifier(X: Any, y: Any, **parameters: Any) -> Any:
    return alexnet.AlexNetClassifier(**{"recipe": "digits", **parameters}).fit(X, y)


def _similar(index: similar.Index, images: Any, count: Any = 6, distance: Any = "euclidean", how: Any = "auto") -> Any:
    return index.similar(images, count, distance, how)


GRAY = DIGITS.batch(np.arange(40))[..., 0]
PATHS = r"path|no run|not a run|no weights|not a file|names a network|lies|unknown recipe|TOML file"
FUNCTIONS: dict[str, Asked] = {
    "create": Asked(
        alexnet.create,
        {"name": (), "classes": ["none"], "channels": ["none"], "size": ["none"], "init": ["none"],
         "dropout": ["none", "zero"], "weights": ["none"], "skip": ["list"]},
        {"name": "network", "weights": PATHS, "init": "initialization"}, {"name": "alexnet-digits"},
    ),
    "dataset": Asked(
        alexnet.dataset, {"name": (), "split": (), "data": ["none"]},
        {"name": "dataset", "data": "data|no file|made here"}, {"name": "digits"},
    ),
    "evaluate": Asked(
        alexnet.evaluate,
        {"model": (), "dataset": (), "batch_size": (), "precision": ["none"], "progress": ["none"], "views": (),
         "keep": ["true"], "world": ()},
        {}, {"model": "OPENED", "dataset": DIGITS},
    ),
    "features": Asked(
        alexnet.features,
        {"model": (), "images": ["list"], "layers": (), "preprocess": (), "pool": (), "flatten": ["true"],
         "batch_size": (), "precision": ["none"], "runtime": ()},
        {"images": "image", "layers": "layer"}, {"model": "OPENED", "images": IMAGES},
    ),
    "load": Asked(alexnet.load, {"model": (), "device": ()}, {"model": PATHS}, {"model": "RUN"}),
    "predict": Asked(
        alexnet.predict, {"model": (), "images": ["list"], "top": (), "precision": ["none"]},
        {"images": "image"}, {"model": "OPENED", "images": IMAGES},
    ),
    "train": Asked(
        alexnet.train,
        {"recipe": ["none"], "out": ["none", "text", "nowhere"], "data": ["none", "text", "here", "nowhere"],
         "epochs": ["none"], "steps": ["none"], "resume_run": ["true"], "device": VALUES, "stop_after": ["none"],
         "reporter": ["none"], "settings": ["none"], "pretrained": ["none"]},
        {"recipe": PATHS, "pretrained": "pretrained", "out": "out|holds something"}, {"recipe": "digits"},
    ),
    "AlexNetClassifier": Asked(
        _classifier,
        {"recipe": (), "epochs": ["none"], "settings": ["none"], "validation": (), "layer": ["text", "empty", "nul"],
         "device": (), "random_state": ["zero"], "X": (), "y": ()},
        {"recipe": PATHS}, {"X": GRAY, "y": DIGITS.labels},
    ),
    "Dataset.subset": Asked(DIGITS.subset, {"indices": ["list", "tuple"]}),
    "Dataset.batch": Asked(DIGITS.batch, {"indices": ["list", "tuple"]}),
    "Dataset.relabeled": Asked(DIGITS.relabeled, {"classes": (), "kind": VALUES}, {}, {"classes": DIGITS.classes}),
    "Network.tap": Asked(
        alexnet.create("alexnet-digits").tap, {"x": VALUES, "names": ["list"]}, {},
        {"x": torch.zeros(1, 1, 8, 8), "names": ["fc6"]},
    ),
    "Run": Asked(Run, {"path": ["text", "here", "nowhere"]}, {"path": "run"}),
    "what_if": Asked(
        what_if.what_if, {"model": (), "image": (), "changes": ["list"], "top": ()},
        {"image": "image|no such file|not a file"}, {"model": "OPENED", "image": IMAGES[0], "changes": ["scale=1"]},
    ),
    "open_model": Asked(
        open_model, {"name": (), "device": (), "weights": ["none"], "seed": ["zero"], "graphs": ["true"],
                     "several": ["true"]},
        {"name": PATHS + "|unknown model", "weights": "weights|no file|not a file"}, {"name": "alexnet-digits"},
    ),
    "Index.load": Asked(
        similar.Index.load, {"path": (), "opened": (), "layer": ["none"]}, {"path": "path|no feature file"},
        {"path": "FEATURES", "opened": "READY"},
    ),
    "Index.similar": Asked(
        _similar, {"index": VALUES, "images": (), "count": (), "distance": (), "how": ()},
        {"images": "image", "how": "search"}, {"index": "INDEX", "images": IMAGES},
    ),
}  # fmt: skip
"""`x` of a network is torch's own business; a device is chosen where training begins."""
OPTIONS = {
    "size": ["none"], "channels": ["none"], "fit": (), "resize": ["none"], "validation": ["none"], "seed": ["zero"],
    "validation_names": ["none", "list"], "quarantine": ["list"], "group_by": ["none", *PLACES - {"here", "nowhere"}],
    "progress": ["none"], "fetching": ["none"], "first_classes": ["none"], "first_images": ["none"],
    "per_class": ["none"], "train_images": ["none"], "labels": ["none"], "label_separator": ["none"],
    "label_columns": ["list"], "label_classes": ["list"], "layout": (), "transpose": ["none", "true"],
    "samples": ["none"], "antialias": ["true"], "missing_shards": (), "classes": (), "count": (),
}  # fmt: skip
CASES = [(name, parameter) for name, asked in FUNCTIONS.items() for parameter in asked.right]


def test_no_public_function_and_no_parameter_is_missing() -> None:
    offered = {name for name in alexnet.__all__ if not name.startswith("_") and name != "InputError"}
    assert offered <= FUNCTIONS.keys()
    for name, asked in FUNCTIONS.items():
        plain = alexnet.AlexNetClassifier if name == "AlexNetClassifier" else asked.call
        own = {each.name for each in inspect.signature(plain).parameters.values() if each.kind is not each.VAR_KEYWORD}
        assert own <= asked.right.keys(), name
    pages = [each for each in (ROOT / "docs").rglob("*.md") if each.parent.name != "reference"]
    called = {
        each for page in pages for each in re.findall(r"alexnet\.[a-z_.]+\.((?:[A-Z]\w+\.)?\w+)\(", page.read_text())
    }
    assert called - {"set_up"} <= FUNCTIONS.keys()  # set_up takes nothing
    assert CHECKS.keys() == OPTIONS.keys() == set(inspect.signature(open_splits).parameters) - {"name", "data"}


def _refusal(call: Callable[[], Any]) -> str | None:
    """What a call says in refusing; None: it is accepted."""
    try:
        call()
    except _Began:
        pass
    except alexnet.InputError as error:
        return str(error)
    return None


@pytest.fixture(scope="module")
def index(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> similar.Index:
    path, ready = tmp_path_factory.mktemp("index") / "fc6.npy", open_model(trained.path)
    similar.build(ready, of_dataset(DIGITS), path, "fc6")
    return similar.Index.load(path, ready)


@pytest.mark.parametrize(("name", "parameter"), CASES, ids=map("-".join, CASES))
def test_what_a_parameter_does_not_take_is_refused_in_one_line(
    name: str, parameter: str, opened: Model, index: similar.Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "prepare", _nothing)
    asked = FUNCTIONS[name]
    made = {
        "OPENED": opened,
        "RUN": opened.path,
        "INDEX": index,
        "READY": index.opened,
        "FEATURES": index.features.path,
    }
    given = {key: made.get(value, value) if isinstance(value, str) else value for key, value in asked.otherwise.items()}
    quick = name != "AlexNetClassifier"  # which would train
    for label, value in VALUES.items():
        if label not in asked.right[parameter]:
            with pytest.raises(alexnet.InputError, match=asked.said.get(parameter, parameter)) as refused:
                asked.call(**given | {parameter: value})
            assert "\n" not in str(refused.value)
            assert len(str(refused.value)) < 1000
        elif quick and asked.right[parameter] is not VALUES:
            refusal = _refusal(lambda value=value: asked.call(**given | {parameter: value}))
            # Right in its type, and nothing is there.
            assert refusal is None or re.search("no file|no run|--resume needs", refusal), (label, refusal)


@pytest.mark.parametrize("option", OPTIONS)
def test_so_are_the_options_of_a_dataset(option: str) -> None:
    for label, value in VALUES.items():
        if label in OPTIONS[option]:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    "alexnet.data.pick.open_splits", functools.wraps(open_splits)(lambda *_, **__: _nothing())
                )
                with pytest.raises(_Began):
                    alexnet.dataset("digits", **{option: value})
        else:
            with pytest.raises(alexnet.InputError, match=f"{option}|no file|names no|given|images"):
                alexnet.dataset("digits", **{option: value})
    with pytest.raises(alexnet.InputError, match="did you mean channels"):
        alexnet.dataset("digits", chanels=1)


def test_numpys_numbers_are_numbers() -> None:
    assert arguments.whole("top", np.int64(3)) == 3
    nested = [np.int64(0), (np.float64(2.5),), *range(10**6)]
    assert str(arguments.refusal("top", "a number", nested)) == "top takes a number, not [0, (2.5,), 0, 1, 2, 3, ...]"
    nested.insert(0, nested)
    assert "[[[" in str(arguments.refusal("top", "a number", nested))
    for given, shown in ((np.int64(0), "0"), (np.float64(2.5), "2.5"), (np.str_("a"), "'a'"), (np.bool_(True), "True")):
        with pytest.raises(alexnet.InputError, match=f"top takes a whole number of at least 1, not {shown}$"):
            arguments.whole("top", given)
    assert [arguments.plain(each) for each in (np.add, np.dtype("f4"))] == [np.add, np.dtype("f4")]
    assert arguments.number("dropout", np.float32(0.5)) == 0.5
    assert arguments.sides("size", np.int32(8)) == (8, 8)
    assert arguments.sides("size", [8, np.int64(6)]) == (8, 6)
    assert alexnet.create("alexnet-digits", classes=np.int64(3)).classes == 3  # pyright: ignore[reportArgumentType]


def test_numpys_numbers_become_pythons_own(opened: Model) -> None:
    """What is computed with a number, and what is written of it, is the same as with Python's."""
    of_numpy: Any = {"views": np.int64(2), "batch_size": np.int64(8), "keep": np.True_}
    figures = alexnet.evaluate(opened, DIGITS, **of_numpy).figures
    assert figures == alexnet.evaluate(opened, DIGITS, views=2, batch_size=8, keep=True).figures
    assert type(figures.views) is int
    assert len(alexnet.predict(opened, IMAGES, top=np.int64(2))[0].predictions) == 2  # pyright: ignore
    rows = alexnet.features(opened, IMAGES, ["conv1"], flatten=np.True_, batch_size=np.int64(1))  # pyright: ignore
    assert rows["conv1"].shape[0] == 1
    assert rows["conv1"].ndim == 2
    fresh = open_model("alexnet-digits", seed=np.int64(1), graphs=np.False_)  # pyright: ignore[reportArgumentType]
    assert type(fresh.weights["initialized"]) is int


def test_a_choice_is_a_name() -> None:
    for given, shown in ((None, "None"), (np.int64(5), "5"), (["max"], r"\['max'\]")):
        with pytest.raises(alexnet.InputError, match=f"^pooling takes one of mean, max, not {shown}$"):
            arguments.choice("pooling", given, ("mean", "max"))


def test_a_message_for_python_says_what_python_takes(opened: Model, tmp_path: Path) -> None:
    """No option of the command line, and every kind of what is taken."""
    (tmp_path / "card.json").write_text("{}")
    for call, said in (
        (lambda: alexnet.predict(opened, IMAGES, precision="int8"), "^precision int8 needs the runtime openvino"),
        (lambda: alexnet.features(opened, IMAGES, preprocess="caffe"), "^preprocessing 'caffe' is for color images"),
        (lambda: alexnet.train("digits", pretrained=True), "^starting from pretrained weights"),
        (lambda: open_model(opened.path, weights=opened.path), "^weights are given for a network of the catalog"),
        (lambda: alexnet.load(tmp_path / "card.json"), r"no model: give a run's folder.*\.onnx, \.pt2, or \.h5"),
        (lambda: alexnet.train(5), "^recipe takes a recipe's name or a TOML file, not 5$"),  # pyright: ignore
        (lambda: recipes.load(5), "^recipe takes a recipe's name or a TOML file, not 5$"),  # pyright: ignore
    ):
        with pytest.raises(alexnet.InputError, match=said) as refused:
            call()
        assert "--" not in str(refused.value)


def test_a_flag_is_true_or_false() -> None:
    assert [arguments.flag("keep", each) for each in (True, np.True_, np.False_)] == [True, True, False]
    for given, shown in ((1, "1"), (np.int64(0), "0"), ("yes", "'yes'"), (None, "None")):
        with pytest.raises(alexnet.InputError, match=f"^keep takes True or False, not {shown}$"):
            arguments.flag("keep", given)


def test_a_message_prints_numbers_with_separators_and_kinds_with_their_articles() -> None:
    with pytest.raises(alexnet.InputError, match=r"^classes takes a whole number of at most 1,000,000, not 2,000,000$"):
        arguments.whole("classes", 2 * 10**6, most=10**6)
    with pytest.raises(alexnet.InputError, match=r"of at least 1,000, not 12$"):
        arguments.whole("classes", np.int64(12), least=1000)
    assert len(arguments.shown(10**5000)) < 100
    assert [arguments.kind(each) for each in (5, None, DIGITS, 2.5)] == ["an int", "None", "an ArrayDataset", "a float"]


def test_one_size_is_both_sides() -> None:
    assert alexnet.dataset("digits", size=16).size == (16, 16)
    assert alexnet.dataset("digits", size=(16, 12)).size == (16, 12)


def test_a_mask_chooses_the_images_where_it_is_true() -> None:
    mask = np.zeros(len(DIGITS), bool)
    mask[[3, 30]] = True
    for chosen in (DIGITS.subset(mask), DIGITS.subset([3, 30]), DIGITS.subset([-37, -10])):
        assert chosen.names == (DIGITS.names[3], DIGITS.names[30])
        assert (chosen.batch([0, 1]) == DIGITS.batch(mask)).all()
        assert chosen[1][1] == DIGITS[30][1]
    for wrong in (mask[:-1], [0, 40], [-41], [[3]], [1.0, 2.0]):
        with pytest.raises(alexnet.InputError, match="indices takes numbers of 40 images, or a mask"):
            DIGITS.subset(wrong)  # pyright: ignore[reportArgumentType]


def test_layers_to_skip_are_layers_of_weights() -> None:
    with pytest.raises(alexnet.InputError, match="skip names layers of weights"):
        alexnet.create("alexnet-digits", skip=["fc8"])
