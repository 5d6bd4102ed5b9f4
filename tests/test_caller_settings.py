"""A caller's settings of torch change no answer: default dtype and device, autocast, no_grad, inference_mode."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import alexnet
from alexnet.artifacts.run import Run
from alexnet.device import own_settings
from alexnet.experiments.estimator import AlexNetClassifier
from alexnet.inference.images import of_arrays
from alexnet.inference.opening import open_model
from alexnet.insight import explain, filters
from alexnet.insight.explain_picture import explain_image
from alexnet.insight.similar import similar
from alexnet.insight.what_if import what_if

IMAGES = list(np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), np.uint8))


@contextlib.contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
        assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(before)


SETTINGS: dict[str, Callable[[], contextlib.AbstractContextManager[Any]]] = {
    "float64": lambda: _default(torch.float64),
    "bfloat16": lambda: _default(torch.bfloat16),
    "meta device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}


def _trained(_: Run, out: Path) -> object:
    settings = {"data.name": "synthetic", "data.synthetic_images": 40, "train.batch_size": 16}
    return (alexnet.train("digits", out=out, epochs=1, settings=settings).path / "last.safetensors").read_bytes()


def _fitted(_: Run, __: Path) -> object:
    digits = alexnet.dataset("digits")
    images, labels = digits.batch(np.arange(60)), digits.labels[:60]
    model = AlexNetClassifier("digits", epochs=1).fit(images, labels)
    return model.predict_proba(images[:3]).tolist(), model.transform(images[:3]).tolist()


CALLS: dict[str, Callable[[Run, Path], object]] = {
    "predict": lambda run, _: alexnet.predict(alexnet.load(run), IMAGES),
    "predict in bf16": lambda run, _: alexnet.predict(alexnet.load(run), IMAGES, precision="bf16"),
    "evaluate": lambda run, _: alexnet.evaluate(alexnet.load(run), _some(), views=2).figures,
    "evaluate in bf16": lambda run, _: alexnet.evaluate(alexnet.load(run), _some(), precision="bf16").figures,
    "features": lambda run, _: alexnet.features(alexnet.load(run), IMAGES)["fc7"].tolist(),
    "features in another runtime": lambda run, _: (
        pytest.importorskip("onnxruntime")
        and alexnet.features(alexnet.load(run), IMAGES, runtime="onnxruntime")["fc7"].tolist()
    ),
    "train": _trained,
    "estimator": _fitted,
    "explain": lambda run, _: explain_image(alexnet.load(run), IMAGES[0]).to_json(),
    "sanity": lambda run, _: explain.sanity(alexnet.load(run).module, torch.ones(1, 1, 8, 8, device="cpu").float(), 3),  # pyright: ignore
    "maximize": lambda run, _: filters.maximize(alexnet.load(run).module, "conv2", 3, steps=3)[1],  # pyright: ignore
    "what-if": lambda run, _: what_if(alexnet.load(run), IMAGES[0], ["scale=1"]).to_json(),
    "similar": lambda run, _: _similar(run),
}  # fmt: skip


def _similar(run: Run) -> object:
    images = of_arrays(IMAGES, hashed=True)
    return similar(open_model(str(run.path)), images, images)


def _some() -> Any:
    return alexnet.dataset("digits").subset(np.arange(40))


@pytest.fixture(scope="module")
def expected(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], object]:
    known: dict[str, object] = {}

    def find(name: str) -> object:
        if name not in known:
            known[name] = CALLS[name](trained, tmp_path_factory.mktemp("plain") / "run")
        return known[name]

    return find


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", CALLS)
def test_a_call_answers_as_in_a_new_process(
    name: str, setting: str, trained: Run, tmp_path: Path, expected: Callable[[str], object]
) -> None:
    wanted = expected(name)
    with SETTINGS[setting]():
        assert CALLS[name](trained, tmp_path / "run") == wanted


def test_the_default_dtype_returns_when_the_last_thread_is_through() -> None:
    inside, through = threading.Event(), threading.Event()

    def other() -> None:
        with own_settings():
            inside.set()
            through.wait(60)

    with _default(torch.float64):
        thread = threading.Thread(target=other)
        with own_settings():
            thread.start()
            assert inside.wait(60)
        assert torch.get_default_dtype() == torch.float32
        through.set()
        thread.join(60)
        assert torch.get_default_dtype() == torch.float64


@pytest.mark.parametrize("ask", ["predict", "evaluate", "features", "explain"])
def test_a_network_of_another_width_is_refused(ask: str, trained: Run) -> None:
    model = alexnet.load(trained)
    model.module.double()
    calls = {
        "predict": lambda: alexnet.predict(model, IMAGES),
        "evaluate": lambda: alexnet.evaluate(model, _some()),
        "features": lambda: alexnet.features(model, IMAGES),
        "explain": lambda: explain_image(model, IMAGES[0]),
    }
    with pytest.raises(alexnet.InputError, match=r"weights are float64.*\.float\(\)"):
        calls[ask]()


def test_weights_need_memory(trained: Run) -> None:
    with torch.device("meta"), pytest.raises(alexnet.InputError, match="meta device"):
        alexnet.create("alexnet-digits", weights=trained.path)
