"""Augmentation: what each transform does to pixels, and that nothing else changes."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from alexnet.data.transforms.augment import Augmenter
from alexnet.errors import InputError
from alexnet.preprocessing import Preprocessing

PLAIN = Preprocessing((12, 10), scale=1.0)
NORMALIZED = Preprocessing((12, 10), mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> Tensor:
    return torch.randint(1, 256, (64, 12, 10, 3), dtype=torch.uint8, generator=generator())


def expected(images: Tensor, preprocessing: Preprocessing = PLAIN) -> Tensor:
    mean, std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)
    return ((images * preprocessing.scale - mean) / std).permute(0, 3, 1, 2)


def test_evaluation_only_normalizes(images: Tensor) -> None:
    result = Augmenter(NORMALIZED, flip=1, shift=0.5, cutout=6).evaluate(images)
    assert result.dtype == torch.float32
    assert result.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(result, expected(images, NORMALIZED), rtol=1e-5, atol=1e-5)


def test_training_without_augmentation_equals_evaluation(images: Tensor) -> None:
    augmenter = Augmenter(NORMALIZED)
    assert torch.equal(augmenter.train(images, generator()), augmenter.evaluate(images))


def test_bgr_and_gray() -> None:
    images = torch.tensor([[[[10, 20, 30]]]], dtype=torch.uint8)
    bgr = Preprocessing((1, 1), colors="BGR", scale=1.0, mean=(104, 117, 123))
    assert Augmenter(bgr).evaluate(images).flatten().tolist() == [30 - 104, 20 - 117, 10 - 123]
    gray = images[..., :1]
    assert Augmenter(bgr).train(gray, generator()).flatten().tolist() == [10 - 104, 10 - 117, 10 - 123]
    only = Augmenter(Preprocessing((1, 1), colors="L", scale=1.0))
    assert only.evaluate(gray).flatten().tolist() == [10]
    with pytest.raises(InputError, match="3 channels do not fit a network that takes 1×1 with 1"):
        only.evaluate(images)


def test_each_image_is_flipped_by_its_own_draw(images: Tensor) -> None:
    assert torch.equal(Augmenter(PLAIN, flip=1).train(images, generator()), expected(images).flip(3))
    mixed = Augmenter(PLAIN, flip=0.5).train(images, generator())
    flipped = (mixed == expected(images).flip(3)).flatten(1).all(1)
    kept = (mixed == expected(images)).flatten(1).all(1)
    assert (flipped ^ kept).all()
    assert 16 < flipped.sum() < 48


def shifted(image: Tensor, down: int, right: int, fill: str) -> np.ndarray:
    return ndimage.shift(image.numpy(), (0, down, right), order=0, mode="nearest" if fill == "edge" else "constant")


@pytest.mark.parametrize("fill", ["mean", "black", "edge"])
def test_whole_pixel_shifts(images: Tensor, fill: str) -> None:
    result = Augmenter(PLAIN, shift=0.2, fill=fill).train(images, generator())
    seen = set()
    for before, after in zip(expected(images), result, strict=True):
        fits = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if np.array_equal(shifted(before, down, right, fill), after.numpy())
        ]
        assert len(fits) == 1
        seen.update(fits)
    assert len(seen) > 15  # of 25


def test_the_border_is_the_mean_color_or_black_after_normalization(images: Tensor) -> None:
    black = -torch.tensor(NORMALIZED.mean) / torch.tensor(NORMALIZED.std)
    for fill, color in (("mean", torch.zeros(3)), ("black", black)):
        result = Augmenter(NORMALIZED, shift=1, fill=fill).train(images, generator())
        border = torch.isclose(result, color[None, :, None, None], atol=1e-5).all(1)
        assert 0.7 < border.float().mean() < 0.9  # three quarters, as half of each side leaves


@pytest.mark.parametrize("flip", [0, 1])
def test_interpolated_shifts_are_those_of_keras(images: Tensor, flip: int) -> None:
    """Keras 2 moves by scipy.ndimage.affine_transform with order 1 and mode 'constant'."""
    augmenter = Augmenter(NORMALIZED, shift=0.3, interpolate=True, flip=flip)
    result = augmenter.train(images, generator())
    draws = torch.rand(len(images), 7, generator=generator()).double()
    for image, after, draw in zip(expected(images, NORMALIZED), result, draws, strict=True):
        matrix = np.array([[1, 0, (2 * draw[2] - 1) * 0.3 * 12], [0, 1, (2 * draw[3] - 1) * 0.3 * 10]])
        channels = image.double().numpy()
        moved = np.stack([ndimage.affine_transform(one, matrix, order=1, mode="constant") for one in channels])
        moved = moved[:, :, ::-1] if flip else moved
        np.testing.assert_allclose(after.numpy(), moved, atol=1e-4)


def test_random_crop_in_training_and_center_crop_in_evaluation() -> None:
    places = torch.arange(15 * 14).reshape(1, 15, 14, 1)
    images = places.to(torch.uint8).expand(200, -1, -1, -1)
    augmenter = Augmenter(Preprocessing((12, 10), colors="L", scale=1.0))
    assert torch.equal(augmenter.evaluate(images)[0, 0], places[0, 1:13, 2:12, 0].float())
    corners = set()
    for crop in augmenter.train(images, generator())[:, 0]:
        top, left = divmod(int(crop[0, 0]), 14)
        assert torch.equal(crop, places[0, top : top + 12, left : left + 10, 0].float())
        corners.add((top, left))
    assert corners == {(top, left) for top in range(4) for left in range(5)}


@pytest.mark.parametrize("resized", [(), (0.2, 0.9)])
def test_images_in_a_row_share_their_crop_and_flip_also_among_processes(resized: tuple[float, ...]) -> None:
    """32 images each in 2012, four here."""
    images = torch.arange(15 * 14).reshape(1, 15, 14, 1).to(torch.uint8).expand(22, -1, -1, -1)
    preprocessing = Preprocessing((12, 10), colors="L", scale=1.0)
    augmenter = Augmenter(preprocessing, flip=0.5, shared=4, resized_crop=resized)
    whole = augmenter.train(images, generator())
    assert all(torch.equal(chunk, chunk[:1].expand_as(chunk)) for chunk in whole.split(4))
    assert len({image.numpy().tobytes() for image in whole}) == 6
    parts = [augmenter.train(images[rows], generator(), part=(22, rows)) for rows in (slice(0, 10), slice(10, 22))]
    assert torch.equal(torch.cat(parts), whole)


def test_cutout_is_a_square_of_the_mean_color_clipped_at_the_border(images: Tensor) -> None:
    result = Augmenter(NORMALIZED, cutout=4).train(images, generator())
    cut = (result == 0).all(1)
    torch.testing.assert_close(result, expected(images, NORMALIZED).masked_fill(cut[:, None], 0), rtol=1e-5, atol=1e-5)
    for mask in cut:
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert 2 <= len(rows) <= 4
        assert 2 <= len(columns) <= 4
    areas = cut.flatten(1).sum(1)
    assert areas.max() == 16
    assert areas.min() < 16


def test_randomness_comes_from_the_generator_alone(images: Tensor) -> None:
    augmenter = Augmenter(NORMALIZED, flip=0.5, shift=0.2, cutout=4)
    before = torch.random.get_rng_state()
    one, other = generator(1), generator(1)
    assert torch.equal(augmenter.train(images, one), augmenter.train(images, other))
    Augmenter(NORMALIZED).train(images, one)
    augmenter.train(images, other)
    assert torch.equal(one.get_state(), other.get_state())  # what is switched on does not change what is drawn
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_images_stay_as_they_were(images: Tensor) -> None:
    before = images.clone()
    Augmenter(NORMALIZED, flip=0.5, shift=0.2, cutout=4, fill="black").train(images, generator())
    assert torch.equal(images, before)


def test_what_does_not_fit_is_refused(images: Tensor) -> None:
    with pytest.raises(
        InputError, match="images of 12×10 with 3 channels do not fit a network that takes 32×32 with 3"
    ):
        Augmenter(Preprocessing((32, 32))).evaluate(images)
    with pytest.raises(InputError, match="uint8"):
        Augmenter(PLAIN).evaluate(images.float())
    for wrong, said in (
        ({"flip": 1.5}, "flip is 1.5"),
        ({"shift": -0.1}, "shift is -0.1"),
        ({"fill": "white"}, "mean, black, edge"),
        ({"cutout": -1}, "cutout is -1"),
    ):
        with pytest.raises(InputError, match=said):
            Augmenter(PLAIN, **wrong)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("fill", ["random", "mean"])
def test_erasing_lays_a_rectangle_over_some_images(images: Tensor, fill: str) -> None:
    plain = expected(images, NORMALIZED)
    result = Augmenter(NORMALIZED, random_erasing=0.5, random_erasing_fill=fill).train(images, generator())
    erased = ~torch.isclose(result, plain, atol=1e-4).all(1)
    some = erased.flatten(1).any(1)
    assert 16 < some.sum() < 48
    colors = []
    for mask, after in zip(erased[some], result[some], strict=True):
        inside = after[:, mask]
        colors.append(inside[:, 0])
        torch.testing.assert_close(inside, inside[:, :1].expand_as(inside))
    spread = torch.stack(colors).std(0)
    assert (spread == 0).all() if fill == "mean" else (spread > 0.5).all()
    assert torch.equal(
        Augmenter(NORMALIZED, random_erasing=0.5).evaluate(images), Augmenter(NORMALIZED).evaluate(images)
    )


def test_a_shift_reaches_its_furthest_pixel_on_every_side() -> None:
    """The middle pixel of an image whose pixels are their own places says by how much each was shifted."""
    gray = Preprocessing((10, 10), colors="L", scale=1.0)
    places = torch.arange(100, dtype=torch.uint8).reshape(1, 10, 10, 1).expand(1000, -1, -1, -1)
    middle = Augmenter(gray, shift=0.2).train(places, generator())[:, 0, 5, 5].int()
    for shifts in (middle // 10 - 5, middle % 10 - 5):
        found, counts = shifts.unique(return_counts=True)
        assert found.tolist() == [-2, -1, 0, 1, 2]
        assert counts.min() > 140  # of 1,000: all are as likely


def test_cutout_is_there_where_a_shift_uncovers_a_border_too() -> None:
    gray = Preprocessing((10, 10), colors="L", scale=1.0, mean=(50.0,))
    bright = torch.full((200, 10, 10, 1), 255, dtype=torch.uint8)
    shifted, both = (Augmenter(gray, shift=0.2, cutout=n).train(bright, generator())[:, 0] for n in (0, 4))
    assert ((shifted == 0) <= (both == 0)).all()  # the border is filled with the mean in both
    assert ((both == 0) & (shifted != 0)).flatten(1).sum(1).float().mean() > 6


def test_erased_areas_and_shapes_are_those_of_zhong_et_al() -> None:
    """github.com/zhunzhong07/Random-Erasing: 2 to 40 % of the area, height over width from .3 to 1 / .3."""
    gray = Preprocessing((100, 100), colors="L", mean=(0.5,))
    black = torch.zeros(400, 100, 100, 1, dtype=torch.uint8)
    erased = Augmenter(gray, random_erasing=1.0, random_erasing_fill="mean").train(black, generator())[:, 0] == 0
    areas = erased.flatten(1).float().mean(1)
    assert 0.018 < areas.min() < 0.03
    assert 0.39 < areas.max() < 0.41
    high, wide = (erased.any(axis).sum(1) for axis in (2, 1))
    whole = (high < 100) & (wide < 100)  # not cut at the image's side
    shapes = (high / wide)[whole]
    assert 0.27 < shapes.min() < 0.35
    assert 1 / 0.35 < shapes.max() < 1 / 0.27


def test_what_is_new_does_not_change_what_was_drawn_before(images: Tensor) -> None:
    """Crop, shift and flip are the same with and without the rest: the rest has streams of its own."""
    plain = Augmenter(PLAIN, flip=0.5, shift=0.2).train(images, generator())
    erased = Augmenter(PLAIN, flip=0.5, shift=0.2, random_erasing=1).train(images, generator())
    same = (plain == erased).all(1).flatten(1).float().mean(1)
    assert (same > 0.5).all()
    both = Augmenter(PLAIN, flip=0.5, shift=0.2, random_erasing=1, randaugment_ops=1, randaugment_magnitude=0.0).train(
        images, generator()
    )
    where = (erased != both).any(1).float().mean()
    assert where < 0.2  # strength 0 leaves all but autocontrast's tenth as it was


@pytest.mark.parametrize(("fill", "color"), [("mean", (0.0, 0.0, 0.0)), ("black", None), ("edge", None)])
def test_operations_and_shifts_fill_alike(images: Tensor, fill: str, color: tuple[float, ...] | None) -> None:
    augmenter = Augmenter(NORMALIZED, shift=0.5, fill=fill, randaugment_ops=2, randaugment_magnitude=0.0)
    result = augmenter.train(images, generator())
    moved = Augmenter(NORMALIZED, shift=0.5, fill=fill).train(images, generator())
    unchanged = torch.isclose(result, moved, atol=1e-3).all(1).flatten(1).all(1)
    assert unchanged.sum() > 40  # of 64: the rest drew autocontrast at least once
    if color is not None:
        border = torch.isclose(result[unchanged], torch.tensor(color)[None, :, None, None], atol=1e-3).all(1)
        assert border.float().mean() > 0.2


def test_resized_crops_in_training_center_in_evaluation(images: Tensor) -> None:
    augmenter = Augmenter(PLAIN, flip=1, resized_crop=(1, 1), crop_ratio=(10 / 12, 10 / 12))
    torch.testing.assert_close(augmenter.train(images, generator()), expected(images).flip(3), rtol=0, atol=1e-3)
    part = Augmenter(NORMALIZED, resized_crop=(0.3, 0.8)).train(images, generator())
    assert part.shape == (64, 3, 12, 10)
    assert part.is_contiguous(memory_format=torch.channels_last)
    assert not torch.isclose(part, expected(images, NORMALIZED), atol=1e-2).flatten(1).all(1).any()


def test_folders_at_256_are_cropped_at_224_and_227() -> None:
    stored = torch.arange(256 * 256).reshape(1, 256, 256, 1)
    images = (stored % 251).to(torch.uint8).expand(12, -1, -1, -1)
    for side in (224, 227):
        augmenter = Augmenter(Preprocessing((side, side), resize=256, colors="L", scale=1.0))
        crops = augmenter.train(images, generator())
        places = {
            (top, left)
            for crop in crops[:, 0]
            for top in range(257 - side)
            for left in range(257 - side)
            if crop[0, 0] == images[0, top, left, 0]
            and torch.equal(crop, images[0, top : top + side, left : left + side, 0])
        }
        assert len(places) > 9  # 12 draws of 1,089 or 900 places
