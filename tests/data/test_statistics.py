"""Statistics of the training images against NumPy's and scikit-learn's on all pixels at once."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from alexnet.data import statistics
from alexnet.data.dataset import ArrayDataset


def dataset(count: int = 30, channels: int = 3) -> ArrayDataset:
    random = np.random.default_rng(0)
    light = random.normal(128, 50, (count, 9, 7, 1))  # channels that vary together, as in photographs
    images = np.clip(light + random.normal(0, 12, (count, 9, 7, channels)) * (1, 2, 3)[:channels], 0, 255)
    return ArrayDataset(images.astype(np.uint8), np.zeros(count), ["one"], [str(i) for i in range(count)])


def test_the_spectrum_is_the_principal_components_of_all_pixels() -> None:
    found = statistics.spectrum(dataset())
    pixels = dataset().images.reshape(-1, 3) / 255
    pca = PCA().fit(pixels)
    np.testing.assert_allclose(found.eigenvalues, pca.explained_variance_, rtol=1e-3)
    assert np.abs(np.sum(np.array(found.eigenvectors) * pca.components_, 1)) == pytest.approx(1, abs=1e-4)
    for vector in found.eigenvectors:
        assert max(vector, key=abs) > 0
    assert found.images == 30
    assert statistics.spectrum(dataset()) == found


def test_gray_images_have_their_variance() -> None:
    found = statistics.spectrum(dataset(channels=1))
    assert found.eigenvectors == ((1.0,),)
    assert found.eigenvalues[0] == pytest.approx((dataset(channels=1).images / 255).var(), rel=1e-4)


def test_images_of_one_color_have_no_spread() -> None:
    flat = ArrayDataset(np.full((4, 2, 2, 3), 90, np.uint8), np.zeros(4), ["one"], list("abcd"))
    assert max(statistics.spectrum(flat).eigenvalues) < 1e-7


def test_the_mean_image_is_that_of_the_centers() -> None:
    found = statistics.mean_image(dataset(), (5, 4))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, dataset().images[:, 2:7, 1:5].mean(0), rtol=1e-6)


def test_at_most_so_many_images_evenly_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MOST", 4)
    chosen = dataset().images[[0, 9, 19, 29]]
    np.testing.assert_allclose(statistics.mean_image(dataset(), (9, 7)), chosen.mean(0), rtol=1e-6)
    assert statistics.spectrum(dataset()).images == 4
