"""PCAColor against the paper's formula, the other operations against Pillow's and SciPy's, image by image."""

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage
from torch import Tensor

from alexnet.data.transforms.augment import Augmenter
from alexnet.data.transforms.color import (
    COLORS,
    MOVES,
    OPERATIONS,
    PCAColor,
    Spectrum,
    _maps,
    rand_augment,
)
from alexnet.data.transforms.windows import warp
from alexnet.device import derive_seed
from alexnet.errors import InputError
from alexnet.preprocessing import Preprocessing

TURNED = ((0.6, 0.8, 0.0), (-0.8, 0.6, 0.0), (0.0, 0.0, 1.0))
SPECTRUM = Spectrum((0.2, 0.02, 0.005), TURNED, 100)
IMAGES = torch.randint(0, 256, (48, 14, 10, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def alphas(count: int, strength: float) -> np.ndarray:
    """What Augmenter draws: after seven numbers per image the seed of everything else, and from it a stream."""
    own = generator()
    torch.rand(count, 7, generator=own)
    seed = int(torch.randint(2**62, (), generator=own))
    stream = generator(derive_seed(seed, "pca_color"))
    return strength * torch.randn(count, 3, generator=stream).double().numpy()


@pytest.mark.parametrize("form", ["paper", "code"])
@pytest.mark.parametrize("colors", ["RGB", "BGR"])
def test_pca_color_is_the_formula(form: str, colors: str) -> None:
    mean, std = ((0.4, 0.5, 0.6), (0.1, 0.2, 0.3)) if colors == "RGB" else ((104.0, 117.0, 123.0), (1.0, 1.0, 1.0))
    scale = 1 / 255 if colors == "RGB" else 1.0
    preprocessing = Preprocessing((14, 10), colors=colors, scale=scale, mean=mean, std=std)
    found = Augmenter(preprocessing, pca_color=PCAColor(SPECTRUM, 0.1, form)).train(IMAGES, generator())
    for image, alpha, after in zip(IMAGES.double().numpy() / 255, alphas(48, 0.1), found.numpy(), strict=True):
        eigenvalues, vectors = np.array(SPECTRUM.eigenvalues), np.array(TURNED)
        shift = vectors.T @ (alpha * (eigenvalues if form == "paper" else np.sqrt(eigenvalues)))
        lit = (image + shift)[..., :: 1 if colors == "RGB" else -1] * (255 * scale)
        expected = (lit - mean) / std / (1.1 if form == "code" else 1)
        np.testing.assert_allclose(after.transpose(1, 2, 0), expected, rtol=1e-4, atol=1e-4 * 255 * scale)


def test_pca_color_is_switched_off_at_its_epoch() -> None:
    preprocessing = Preprocessing((14, 10))
    lit = Augmenter(preprocessing, flip=0.5, pca_color=PCAColor(SPECTRUM, 0.1, "code", until=67))
    plain = Augmenter(preprocessing, flip=0.5).train(IMAGES, generator())
    assert not torch.equal(lit.train(IMAGES, generator(), epoch=66), plain)
    assert torch.equal(lit.train(IMAGES, generator(), epoch=67), plain)
    assert torch.equal(lit.evaluate(IMAGES), Augmenter(preprocessing).evaluate(IMAGES))


def test_gray_images_have_one_component() -> None:
    gray = Augmenter(Preprocessing((14, 10), colors="L"), pca_color=PCAColor(Spectrum((0.1,), ((1.0,),), 9), 0.5))
    moved = gray.train(IMAGES[..., :1], generator()) - gray.evaluate(IMAGES[..., :1])
    shifts = moved.flatten(1)
    torch.testing.assert_close(shifts, shifts[:, :1].expand_as(shifts), rtol=0, atol=1e-6)
    assert shifts[:, 0].std() == pytest.approx(0.5 * 0.1, rel=0.3)


@pytest.mark.parametrize(
    ("values", "vectors", "said"),
    [
        ((0.1, math.nan, 0.1), TURNED, "not a finite number"),
        ((0.1, 0.1, 0.1), ((1.0, 0.0, 0.0), (math.inf, 0.0, 0.0), (0.0, 0.0, 1.0)), "not a finite number"),
        ((0.1, 0.1), TURNED, "as many eigenvalues as eigenvectors"),
        ((0.1, 0.1, 0.1), TURNED[:2], "not perpendicular"),
        ((0.1, 0.1, 0.1), ((1.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)), "not perpendicular"),
        ((0.1, 0.1, -0.1), TURNED, "variances of colors on the scale 0 to 1"),
        ((14_000.0, 1_200.0, 300.0), TURNED, "variances of colors on the scale 0 to 1"),
        ((), (), "as many eigenvalues"),
    ],
)
def test_what_is_no_spectrum_is_refused(values: tuple, vectors: tuple, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Spectrum(values, vectors, 1)


def applied(name: str, amount: float, fill: Tensor | None = None, pixels: Tensor = IMAGES) -> np.ndarray:
    amounts = torch.full((len(pixels),), amount)
    if name in COLORS:
        return COLORS[name](pixels.float(), amounts[:, None, None, None]).numpy()
    height, width = pixels.shape[1:3]
    theta = _maps(amounts[:, None] * torch.tensor(MOVES[name]), width / height)
    return warp(pixels, theta, (height, width), fill).numpy()


@pytest.mark.parametrize("amount", [-1.0, -0.4, 0.5, 1.0])
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("brightness", lambda image, a: ImageEnhance.Brightness(image).enhance(1 + 0.9 * a)),
        ("contrast", lambda image, a: ImageEnhance.Contrast(image).enhance(1 + 0.9 * a)),
        ("saturation", lambda image, a: ImageEnhance.Color(image).enhance(1 + 0.9 * a)),
        ("autocontrast", lambda image, _: ImageOps.autocontrast(image)),
        ("posterise", lambda image, a: ImageOps.posterize(image, 8 - round(4 * abs(a)))),
        ("solarise", lambda image, a: ImageOps.solarize(image, 256 * (1 - abs(a)))),
    ],
)
def test_colors_change_as_in_pillow(name: str, theirs, amount: float) -> None:
    """To within 1.5 of 255: Pillow rounds, also in between."""
    for original, after in zip(IMAGES[:8].numpy(), applied(name, amount)[:8], strict=True):
        np.testing.assert_allclose(after, np.asarray(theirs(Image.fromarray(original), amount)), atol=1.5)


@pytest.mark.parametrize("amount", [-0.7, 0.6])
@pytest.mark.parametrize(
    ("name", "matrix", "offset"),
    [
        # (row, column) of the source, about the center, from (row, column) of the result
        ("rotate", lambda a: [[math.cos(a * math.pi / 6), math.sin(a * math.pi / 6)],
                              [-math.sin(a * math.pi / 6), math.cos(a * math.pi / 6)]], lambda _: (0, 0)),
        ("shear-x", lambda a: [[1, 0], [0.3 * a, 1]], lambda _: (0, 0)),
        ("shear-y", lambda a: [[1, 0.3 * a], [0, 1]], lambda _: (0, 0)),
        ("translate-x", lambda _: [[1, 0], [0, 1]], lambda a: (0, 0.45 * a * 10)),
        ("translate-y", lambda _: [[1, 0], [0, 1]], lambda a: (0.45 * a * 14, 0)),
    ],
)  # fmt: skip
def test_images_move_as_in_scipy(name: str, matrix, offset, amount: float) -> None:
    fill = torch.tensor((10.0, 20.0, 30.0))
    filled, edged = applied(name, amount, fill), applied(name, amount)
    turn, center = np.array(matrix(amount)), np.array((6.5, 4.5))
    start = center - turn @ center + offset(amount)
    for image, after, repeated in zip(IMAGES[:6].double().numpy(), filled, edged, strict=False):
        for channel, color in enumerate(fill.tolist()):
            for mode, ours in (("nearest", repeated), ("grid-constant", after)):
                theirs = ndimage.affine_transform(
                    image[..., channel], turn, start, order=1, mode=mode, cval=color, output_shape=(14, 10)
                )
                np.testing.assert_allclose(ours[..., channel], theirs, atol=0.02)
    assert not np.allclose(filled, edged)  # something was uncovered


def test_each_image_gets_operations_of_its_own() -> None:
    found = rand_augment(IMAGES, 1, 0.5, None, generator()).numpy()
    which = []
    for index, after in enumerate(found):
        fits = [
            name
            for name in OPERATIONS
            for amount in (-0.5, 0.5)
            if np.allclose(applied(name, amount, pixels=IMAGES[index : index + 1])[0], after, atol=1e-3)
        ]
        assert fits, index
        which.append(fits[0])
    assert len(set(which)) >= 8  # of eleven, on 48 images
    assert torch.equal(rand_augment(IMAGES, 2, 0.5, None, generator()), rand_augment(IMAGES, 2, 0.5, None, generator()))
    twice = rand_augment(IMAGES, 2, 0.5, None, generator())
    assert not torch.equal(twice, torch.from_numpy(found))
    one = [rand_augment(IMAGES[:1], 1, 0.5, None, generator(seed)) for seed in range(20)]  # moved, or not
    assert len({each.numpy().tobytes() for each in one}) > 8
    gray = rand_augment(IMAGES[..., :1], 3, 1.0, None, generator())
    assert gray.shape == (48, 14, 10, 1)
    assert gray.isfinite().all()
    assert -1e-3 < gray.min() <= gray.max() < 255.001


def test_one_color_cannot_be_stretched() -> None:
    flat = torch.full((2, 4, 4, 3), 77, dtype=torch.uint8)
    assert (applied("autocontrast", 1.0, pixels=flat) == 77).all()
