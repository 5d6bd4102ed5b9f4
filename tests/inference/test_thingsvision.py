"""The networks in THINGSvision's hands, by its published conventions: it does not install beside these versions.

thingsvision/core/extraction/torch.py registers a forward hook on the module of `named_modules()` with the layer's name,
clones its output, and flattens by `view`; thingsvision/utils/storing/helpers.py writes the files.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from alexnet.artifacts.run import Run
from alexnet.inference.features import features, network_of
from alexnet.inference.model import Model
from alexnet.insight.view import view


def extracted(module: torch.nn.Module, batch: torch.Tensor, name: str, flatten: bool) -> np.ndarray:
    """What PyTorchExtractor.extract_batch returns."""
    found: dict[str, torch.Tensor] = {}

    def hook(_: object, __: object, output: torch.Tensor) -> None:
        found[name] = output.clone().detach()

    assert name in [each for each, _ in module.named_modules()]
    handle = dict(module.named_modules())[name].register_forward_hook(hook)
    module.eval()
    with torch.no_grad():
        module(batch)
    handle.remove()
    values = found[name]
    return (values.view(values.size(0), -1) if flatten else values).numpy()


@pytest.mark.parametrize(("module", "tap"), [("conv5", "conv5:pre"), ("pool2", "pool2"), ("fc7", "fc7:pre")])
def test_hooks_see_what_features_gives(opened: Model, module: str, tap: str) -> None:
    if module not in network_of(opened).layer_names:
        module = tap = "pool5"
    images = [np.random.default_rng(n).integers(0, 256, (8, 8), np.uint8) for n in range(3)]
    batch = torch.empty(3, 1, 8, 8)  # in rows, as a DataLoader stacks images
    for place, image in zip(batch, images, strict=True):
        place.copy_(view(opened, image).x[0])
    for flatten in (False, True):
        ours = features(opened, images, [tap], flatten=flatten)[tap]
        theirs = extracted(network_of(opened), batch, module, flatten)
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_files_have_its_names_and_shapes(trained: Run, tmp_path: Path, command: Callable) -> None:
    from scipy.io import loadmat

    for number in range(3):
        place = tmp_path / "images" / f"{number}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), 40 * number, np.uint8)).save(place)
    for name in ("features.npy", "features.mat"):
        out = tmp_path / name[-3:] / name
        out.parent.mkdir()
        ended = command("features", trained.path, "--data", tmp_path / "images", "--layers", "conv5", "--out", out)
        assert ended.code == 0
        values = np.load(out) if name.endswith("npy") else loadmat(out)["features"]
        assert values.shape == (3, 64, 4, 4)
        assert (out.parent / "file_names.txt").read_text() == "0.png\n1.png\n2.png\n"
