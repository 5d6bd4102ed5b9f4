"""Windows, resized crops and rectangles against loops over single images."""

import numpy as np
import pytest
import torch
from torch import Tensor

from alexnet.data.transforms import windows
from alexnet.data.transforms.windows import rectangle, resized_crop, square, warp

IMAGES = torch.randint(0, 256, (12, 15, 11, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def draws(count: int, columns: int = 4) -> Tensor:
    return torch.rand(count, columns, generator=torch.Generator().manual_seed(1))


def sampled(image: np.ndarray, row: float, column: float) -> np.ndarray:
    """Bilinear at a place between pixel centers, the edge repeated."""
    height, width = image.shape[:2]
    row, column = float(np.clip(row, 0, height - 1)), float(np.clip(column, 0, width - 1))
    top, left = int(row), int(column)
    down, right = row - top, column - left
    bottom, beside = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = image[top, left] * (1 - right) + image[top, beside] * right
    lower = image[bottom, left] * (1 - right) + image[bottom, beside] * right
    return upper * (1 - down) + lower * down


@pytest.mark.parametrize("mirrored", [False, True])
def test_resized_crops_are_bilinear_parts_of_the_image(mirrored: bool) -> None:
    size, area, ratio = (8, 9), (0.2, 0.9), (0.5, 2.0)
    found = resized_crop(IMAGES, draws(12), torch.full((12,), mirrored), area, ratio, size).numpy()
    clipped = 0
    for image, draw, after in zip(IMAGES.double().numpy(), draws(12).double().numpy(), found, strict=True):
        pixels, shape = (0.2 + 0.7 * draw[0]) * 15 * 11, 0.5 * 4 ** draw[1]
        high, wide = min(np.sqrt(pixels / shape), 15), min(np.sqrt(pixels * shape), 11)
        clipped += high == 15 or wide == 11
        top, left = draw[2] * (15 - high), draw[3] * (11 - wide)
        expected = np.array([
            [sampled(image, top + (row + 0.5) * high / 8 - 0.5, left + (column + 0.5) * wide / 9 - 0.5)
             for column in range(9)] for row in range(8)
        ])  # fmt: skip
        np.testing.assert_allclose(after, expected[:, ::-1] if mirrored else expected, atol=2e-3)
    assert 0 < clipped < 12


def test_the_whole_image_is_itself() -> None:
    whole = resized_crop(IMAGES, draws(12), torch.zeros(12, dtype=torch.bool), (1, 1), (11 / 15, 11 / 15), (15, 11))
    torch.testing.assert_close(whole, IMAGES.float(), rtol=0, atol=1e-3)
    identity = torch.eye(3)[:2].expand(12, -1, -1)
    for fill in (None, torch.tensor((1.0, 2.0, 3.0))):
        torch.testing.assert_close(warp(IMAGES, identity, (15, 11), fill), IMAGES.float(), rtol=0, atol=2e-3)


def test_rectangles_lie_inside_and_have_the_area_and_shape_asked_for() -> None:
    masks = rectangle(draws(400), (0.1, 0.3), (0.5, 2.0), (40, 30))
    for mask in masks:
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        assert mask.sum() == len(rows) * len(columns)  # a filled rectangle
        assert 0.08 < mask.float().mean() < 0.33
        assert 0.4 < len(columns) / len(rows) < 2.4
    assert masks.any(0).any(0).all()  # every row and column is reached
    assert masks.any(0).any(1).all()
    # 30 % of 1,200 pixels, half as wide as high, in the first corner; and one that is clipped to the width.
    tall = rectangle(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), (0.1, 0.3), (0.5, 2.0), (40, 30))[0]
    assert (int(tall.any(1).sum()), int(tall.any(0).sum()), bool(tall[0, 0])) == (27, 13, True)
    wide = rectangle(torch.tensor([[1.0, 1.0, 0.5, 0.5]]), (0.1, 1.0), (0.5, 9.0), (40, 30))[0]
    assert int(wide.any(0).sum()) == 30


def test_squares_are_clipped_at_the_border() -> None:
    masks = square(torch.tensor([[0.0, 0.0], [0.5, 0.5], [0.999, 0.0]]), 4, (10, 10))
    assert [int(mask.sum()) for mask in masks] == [4, 16, 6]
    assert masks[1, 3:7, 3:7].all()


@pytest.mark.parametrize("least", [1, 10**9])
def test_windows_are_parts_of_the_image_whether_copied_or_gathered(least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_LARGE", least)
    images = torch.randint(0, 256, (3, 7, 9, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    top, left = torch.tensor([0.0, 2.0, 1.0]), torch.tensor([3.0, 0.0, 4.0])
    pixels, inside = windows.window(images, top, left, torch.tensor([False, True, False]), (5, 5))
    assert torch.equal(pixels[0], images[0, 0:5, 3:8])
    assert torch.equal(pixels[1], images[1, 2:7, 0:5].flip(1))
    assert torch.equal(pixels[2], images[2, 1:6, 4:9])
    assert inside.shape == (3, 5, 5)
    assert inside.all()
    beyond, inside = windows.window(images, top - 1, left, torch.tensor([False, True, False]), (5, 5))
    assert torch.equal(beyond[0, 1:], images[0, 0:4, 3:8])
    assert not inside[0, 0].any()
