"""The 15 standard corruptions."""

import numpy as np
import pytest

from alexnet.data.dataset import ArrayDataset
from alexnet.data.transforms import corruptions
from alexnet.data.transforms.corruptions import CIFAR_C, CORRUPTIONS, IMAGENET_C, STRENGTHS, Corrupted, constants
from alexnet.errors import InputError


def pictures(size: tuple[int, int] = (20, 28), channels: int = 3, count: int = 3) -> ArrayDataset:
    rows, columns = np.meshgrid(*map(np.arange, size), indexing="ij")
    images = np.stack([
        np.stack([127 + 100 * np.sin(rows / (3 + i) + columns / (4 + c)) for c in range(channels)], -1)
        for i in range(count)
    ])  # fmt: skip
    names = [f"image {i}" for i in range(count)]
    return ArrayDataset(images.astype(np.uint8), np.zeros(count, np.int64), ["a"], names)


def test_there_are_fifteen_of_five_strengths_for_two_sizes() -> None:
    assert len(CORRUPTIONS) == 15
    for table in (CIFAR_C, IMAGENET_C):
        assert tuple(table) == CORRUPTIONS
        assert {len(values) for values in table.values()} == {len(STRENGTHS)}
    assert constants("gaussian_noise", 1, (32, 32)) == (0.04,)
    assert constants("gaussian_noise", 1, (224, 224)) == (0.08,)
    for name, strength in (("blizzard", 1), ("snow", 6)):
        with pytest.raises(InputError, match=r"choose 1–5 of gaussian_noise"):
            constants(name, strength, (32, 32))


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_corrupted_the_same_way_whatever_is_beside_it(name: str, channels: int) -> None:
    base = pictures(channels=channels)
    corrupted = Corrupted(base, name, 5)
    together = corrupted.batch(np.array([0, 1, 2]))
    assert together.dtype == np.uint8
    assert together.shape == base.images.shape
    for i in (2, 0):
        np.testing.assert_array_equal(corrupted.batch(np.array([i]))[0], together[i])
    assert np.abs(together.astype(int) - base.images).mean() > 1
    other = Corrupted(base, name, 5, seed=1).batch(np.array([0]))
    drawn = name not in ("defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression")
    assert (other != together[:1]).any() == drawn


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_images_of_any_shape(name: str) -> None:
    for size in ((8, 8), (9, 70), (70, 66)):
        base = pictures(size, count=1)
        assert Corrupted(base, name, 3).batch(np.array([0])).shape == (1, *size, 3)


def test_stronger_is_farther_from_the_image() -> None:
    base = pictures((32, 32))
    for name in ("gaussian_noise", "shot_noise", "impulse_noise", "fog", "brightness", "contrast", "pixelate"):
        far = [
            np.abs(Corrupted(base, name, strength).batch(np.arange(3)).astype(int) - base.images).mean()
            for strength in STRENGTHS
        ]
        assert far == sorted(far), name


def test_brightness_keeps_hue_and_saturation_and_lights_black() -> None:
    images = np.array([[[[60, 30, 0], [0, 0, 0]]]], np.uint8)
    found = corruptions.apply("brightness", images, (0.2,), [None])
    assert found[0, 0].tolist() == [[111, 55, 0], [51, 51, 51]]


def test_the_global_random_state_is_left_alone() -> None:
    before = np.random.get_state(legacy=False)["state"]["key"].copy()
    Corrupted(pictures(), "snow", 1).batch(np.arange(3))
    assert (np.random.get_state(legacy=False)["state"]["key"] == before).all()
