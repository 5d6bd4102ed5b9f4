"""Several views of each image against a loop over single crops."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import alexnet
from alexnet.artifacts.run import Run
from alexnet.data.dataset import ArrayDataset
from alexnet.data.loading.loader import Loader
from alexnet.data.transforms.augment import Augmenter
from alexnet.errors import InputError
from alexnet.inference import evaluate
from alexnet.inference.data import dataset_for
from alexnet.inference.views import corners, log_probabilities
from alexnet.preprocessing import MeanImage, Preprocessing

SIZE = (8, 6)
IMAGES = torch.randint(0, 256, (20, 13, 9, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Small(nn.Module):
    """Scores that depend on every pixel's place."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(7, 3 * 8 * 6, generator=torch.Generator().manual_seed(1)) * 0.1)
        self.seen = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return functional.linear(x.flatten(1), self.weight)


def crops(image: np.ndarray, views: int) -> list[np.ndarray]:
    """The paper's: center and four corners of a 13×9 image, and their mirror images."""
    places = [(2, 1)] if views == 2 else [(2, 1), (0, 0), (0, 3), (5, 0), (5, 3)]
    cut = [image[top : top + 8, left : left + 6] for top, left in places]
    return cut + [each[:, ::-1] for each in cut]


@pytest.mark.parametrize("views", [2, 10])
def test_views_are_crops_whose_probabilities_are_averaged(views: int) -> None:
    module = Small()
    preprocessing = Preprocessing(SIZE, mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3))
    found = log_probabilities(module, Augmenter(preprocessing), IMAGES, views)
    scores_averaged = []
    for image, said in zip(IMAGES.numpy(), found, strict=True):
        inputs = [(crop / 255 - (0.4, 0.5, 0.6)) / (0.1, 0.2, 0.3) for crop in crops(image, views)]
        scores = module(torch.from_numpy(np.stack(inputs)).float().permute(0, 3, 1, 2))
        assert len(scores) == views
        torch.testing.assert_close(said, scores.softmax(1).mean(0).log(), rtol=1e-4, atol=1e-4)
        scores_averaged.append(scores.mean(0).log_softmax(0))
    assert not torch.allclose(found, torch.stack(scores_averaged), atol=0.05)


def test_images_of_the_networks_size_are_moved_as_in_training() -> None:
    """Shifts by a quarter of 8 × 6, to 2 rows and 2 columns (1.5 rounded to even), the border filled alike."""
    module, images = Small(), IMAGES[:, :8, :6]
    for fill in ("mean", "edge"):
        augmenter = Augmenter(Preprocessing(SIZE, scale=1.0), shift=0.25, fill=fill)
        found = log_probabilities(module, augmenter, images, 10)
        for image, said in zip(images.float().numpy(), found, strict=True):
            margins = ((2, 2), (2, 2), (0, 0))
            padded = np.pad(image, margins) if fill == "mean" else np.pad(image, margins, mode="edge")
            cut = [padded[t : t + 8, s : s + 6] for t, s in ((2, 2), (0, 0), (0, 4), (4, 0), (4, 4))]
            inputs = np.stack(cut + [each[:, ::-1] for each in cut])
            expected = module(torch.from_numpy(inputs).permute(0, 3, 1, 2)).softmax(1).mean(0)
            torch.testing.assert_close(said.exp(), expected, rtol=1e-3, atol=1e-5)
    still = Augmenter(Preprocessing(SIZE))  # trained without shifts
    ten, two = (log_probabilities(module, still, images, views) for views in (10, 2))
    torch.testing.assert_close(ten, two)


def test_the_mean_image_is_subtracted_as_it_is_from_every_view() -> None:
    mean = np.random.default_rng(0).uniform(0, 255, (8, 6, 3)).astype(np.float32)
    preprocessing = Preprocessing(SIZE, scale=1.0, mean_image=MeanImage(mean))
    views: list[Tensor] = []
    log_probabilities(lambda x: (views.append(x), torch.zeros(len(x), 2))[1], Augmenter(preprocessing), IMAGES, 10)
    expected = [np.sort((crop - mean).ravel()) for crop in crops(IMAGES[0].numpy(), 10)]
    found = [np.sort(view[0].permute(1, 2, 0).numpy().ravel()) for view in views]
    assert len(found) == 10
    for each in expected:
        assert any(np.allclose(each, other, atol=1e-3) for other in found)


def test_every_image_counts_once_whatever_the_views() -> None:
    module = Small()
    images = ArrayDataset(IMAGES.numpy(), np.arange(20) % 7, list("abcdefg"), [str(i) for i in range(20)])
    loader, augmenter = Loader(images, torch.device("cpu")), Augmenter(Preprocessing(SIZE))
    for views in (1, 2, 10):
        module.seen = 0
        figures = evaluate.run(module, loader, augmenter, batch_size=6, views=views).figures
        assert (figures.count, figures.views, module.seen) == (20, views, 20 * views)
    with pytest.raises(InputError, match="views is 5; choose one of: 1, 2, 10"):
        evaluate.run(module, loader, augmenter, views=5)


def test_views_of_a_run(trained: Run, command: Callable, refused: Callable, tmp_path: Path) -> None:
    model = alexnet.load(trained)
    images = dataset_for(model)
    said = json.loads(command("evaluate", trained.path, "--views", 10, "--json").out)
    figures = alexnet.evaluate(model, images, views=10).figures
    assert {name: said[name] for name in figures.to_json()} == figures.to_json()
    assert (said["views"], said["count"]) == (10, len(images))
    assert "views" not in alexnet.evaluate(model, images).figures.to_json()
    told = command("evaluate", trained.path, "--views", 10).out
    assert "10 views each" in told
    assert "stored at the input's 8 × 8: the corners are the center, as training shifted none" in told
    shifted = replace(model, card=model.card.changed(augment={"shift": 0.25}))
    assert corners(shifted).endswith("the corners are shifts by 2 × 2, training's furthest")
    assert alexnet.evaluate(shifted, images, views=10).figures != figures
    assert "views is 3; choose one of: 1, 2, 10" in refused("evaluate", trained.path, "--views", 3)
    # Stored larger than the input: corners of what is there.
    larger = replace(model, preprocessing=replace(model.preprocessing, resize=10))
    assert alexnet.evaluate(larger, images, views=10).figures.count == len(images)
    assert corners(larger) == ""
