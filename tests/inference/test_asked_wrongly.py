"""Calls from Python with what is no list of images, no model, no dataset: InputError, and never another answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import alexnet
from alexnet.arguments import kind
from alexnet.artifacts.run import Run
from alexnet.inference.model import Model

GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8)
ASK: dict[str, Callable[[Any, Any], Any]] = {
    "predict": alexnet.predict,
    "features": lambda model, images: alexnet.features(model, images)["fc7"],
}


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
@pytest.mark.parametrize(
    "image", [GRAY, GRAY[:, :, None], np.stack([GRAY] * 3, 2), GRAY[0], "digit.png", Path("digit.png")]
)
def test_one_image_is_not_taken_for_its_rows(ask: Callable, image: Any, opened: Model) -> None:
    with pytest.raises(alexnet.InputError, match="into a list"):
        ask(opened, image)


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
def test_several_images_in_one_array_are_several(ask: Callable, opened: Model) -> None:
    for images in (np.stack([GRAY] * 5), np.stack([GRAY[:, :, None]] * 5), (each for each in [GRAY] * 5)):
        assert len(ask(opened, images)) == 5


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
@pytest.mark.parametrize("image", [torch.from_numpy(GRAY), Image.fromarray(GRAY), None, b"digit.png", (GRAY, 1)])
def test_an_image_is_a_path_or_an_array(ask: Callable, image: Any, opened: Model) -> None:
    with pytest.raises(alexnet.InputError, match=f"NumPy array.*not {kind(image)}$"):
        ask(opened, [image])
    with pytest.raises(alexnet.InputError, match="list of paths or arrays, not an int"):
        ask(opened, 5)


def test_a_model_is_what_load_gives(trained: Run, opened: Model) -> None:
    for wrong in (str(trained.path), trained.path, trained):
        for ask in ASK.values():
            with pytest.raises(alexnet.InputError, match=r"alexnet\.load"):
                ask(wrong, [GRAY])
        with pytest.raises(alexnet.InputError, match=r"alexnet\.load"):
            alexnet.evaluate(wrong, alexnet.dataset("digits"))  # pyright: ignore[reportArgumentType]
    with pytest.raises(alexnet.InputError, match=r"alexnet\.load"):
        alexnet.predict(opened.module, [GRAY])  # pyright: ignore[reportArgumentType]


def test_predict_says_what_takes_a_dataset(opened: Model) -> None:
    dataset = alexnet.dataset("digits")
    with pytest.raises(alexnet.InputError, match=r"not a dataset: alexnet\.evaluate and alexnet\.features take one"):
        alexnet.predict(opened, dataset)  # pyright: ignore[reportArgumentType]
    assert len(alexnet.predict(opened, [dataset[i][0] for i in range(5)])) == 5


def test_a_dataset_is_what_dataset_gives(opened: Model) -> None:
    for wrong in ("digits", [GRAY]):
        with pytest.raises(alexnet.InputError, match=r"alexnet\.dataset"):
            alexnet.evaluate(opened, wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(alexnet.InputError, match="batch_size"):
        alexnet.evaluate(opened, alexnet.dataset("digits"), batch_size=0)
