"""Kernels, synthesized images, top images and activations: measured of networks whose answer is known."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import alexnet
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.inference.features import features, network_of
from alexnet.inference.images import open_images
from alexnet.inference.model import Model
from alexnet.insight import filters
from alexnet.insight.activations import look
from alexnet.models import catalog


def test_color_blindness_and_frequency_are_measured() -> None:
    network = catalog.create("alexnet-cifar10", classes=2)
    with torch.no_grad():
        weight = network.get_parameter("conv1.weight")
        gray = torch.linspace(-1, 1, 11).expand(11, 11)
        weight[:48] = gray  # all channels alike, slow
        weight[48:] = gray * torch.tensor([1.0, -1.0, 0.0])[:, None, None]
        weight[0] = (-1.0) ** torch.arange(11)  # the fastest stripes
    found = filters.kernels(network)
    assert found.color_blind.tolist() == [True] * 48 + [False] * 48
    assert found.color[48:] == pytest.approx(1)
    assert found.half_frequency[0] > 0.4
    assert found.half_frequency[1] < 0.1
    assert found.to_json()["color_blind_share"] == 0.5
    with pytest.raises(InputError, match="choose a convolution: conv1, conv2"):
        filters.kernels(network, "fc7")


def test_towers_are_told_apart(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        network = catalog.create("alexnet-2012", classes=2)
    found = filters.kernels(network, "features.0")
    shares = found.to_json()["color_blind_share_by_tower"]
    assert (found.layer, found.towers, isinstance(shares, list) and len(shares)) == ("conv1", 2, 2)
    filters.draw_kernels(found, tmp_path / "k.png")
    assert (tmp_path / "k.png").stat().st_size > 5_000


def test_an_image_is_synthesized_that_excites_the_unit(opened: Model) -> None:
    network = network_of(opened)
    digits = alexnet.dataset("digits")
    real = features(opened, digits.subset(np.arange(200)), ["fc8"])["fc8"][:, 3].mean()
    x, value = filters.maximize(network, "fc8", 3, steps=60)
    assert (x.shape, value > real) == ((1, 1, 8, 8), True)
    assert int(network(x).argmax()) == 3
    with pytest.raises(InputError, match="units 0 to 9, not 10"):
        filters.maximize(network, "fc8", 10)


def test_top_images_are_those_of_the_largest_activation(opened: Model) -> None:
    digits = open_images(["digits"]).subset(range(70))
    found, failed = filters.top_images(opened, digits, "conv2", [5, 7], 4)
    strongest = features(opened, digits, ["conv2"], pool="max")["conv2"]
    for unit, row in found.items():
        assert [each.row for each in row] == np.argsort(-strongest[:, unit], kind="stable")[:4].tolist()
    assert failed == []


@pytest.mark.parametrize("layer", ["conv1", "conv2", "conv3:pre", "pool5"])
def test_a_receptive_field_is_what_a_gradient_reaches(make: Callable[..., Model], layer: str) -> None:
    network = network_of(make("alexnet-owt", classes=2))
    x = torch.randn(1, 3, 224, 224, requires_grad=True)
    tap = network.tap(x, [layer])[layer]
    row, column = tap.shape[2] // 3, tap.shape[3] - 1
    network_grad = torch.autograd.grad(tap[0, :, row, column].sum(), x)[0].abs().sum((0, 1))
    rows, columns = torch.nonzero(network_grad, as_tuple=True)
    top, left, bottom, right = filters.receptive_field(network, layer)(row, column)
    assert (top, left) <= (int(rows.min()), int(columns.min()))
    assert top <= int(rows.min()) <= top + 16
    assert bottom - 16 <= int(rows.max()) + 1 <= bottom
    assert left <= int(columns.min())
    assert right >= int(columns.max()) + 1


def test_activations_are_the_features(opened: Model) -> None:
    image = alexnet.dataset("digits")[3][0]
    _, rows, values = look(opened, image)
    assert [row.layer for row in rows] == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    expected = features(opened, [image], ["conv4"])["conv4"][0]
    np.testing.assert_array_equal(values["conv4"], expected)
    assert rows[3].zeros == pytest.approx(float((expected == 0).mean()))
    assert (rows[3].shape, rows[3].high) == ((96, 4, 4), pytest.approx(float(expected.max())))


def test_the_verbs_draw_and_say_numbers(trained: Run, tmp_path: Path, command: Callable, refused: Callable) -> None:
    image = tmp_path / "digit.png"
    Image.fromarray(alexnet.dataset("digits")[3][0][:, :, 0]).save(image)
    out = tmp_path / "p.png"
    for arguments, key in (
        (("filters", trained.path), "half_frequency_median"),
        (("filters", trained.path, "--layer", "fc8", "--maximize", 3, "--steps", 3), "activations"),
        (("filters", trained.path, "--layer", "conv3", "--top-images", 3, "--data", image), "units"),
        (("activations", trained.path, image), "layers"),
    ):
        out.unlink(missing_ok=True)
        ended = command(*arguments, "--out", out, "--json")
        assert ended.code == 0, ended.err
        assert key in json.loads(ended.out)
        with Image.open(out) as drawn:
            assert min(drawn.size) > 50
    assert "give one of them" in refused("filters", trained.path, "--maximize", 1, "--top-images", 1)
    assert "needs --data" in refused("filters", trained.path, "--top-images", 1)
    assert "no folder" in refused("filters", trained.path, "--out", tmp_path / "none" / "p.png")


def test_towers_and_colors_are_reported_only_where_they_are(tmp_path: Path) -> None:
    gray = filters.kernels(alexnet.create("alexnet-mnist"))
    deep = filters.kernels(alexnet.create("alexnet-owt", classes=2), "conv2")
    for found in (gray, deep):
        assert not {"color_blind_share", "color_blind_share_by_tower"} & set(found.to_json())
        said = " ".join(map(" ".join, found.lines()))
        assert "color" not in said
        assert "tower" not in said
        assert not re.search(r"\d\.\d{4}", said)  # rounded
    filters.draw_kernels(gray, tmp_path / "gray.png")
    one = filters.kernels(alexnet.create("alexnet-owt", classes=2))
    assert "color_blind_share_by_tower" not in one.to_json()
    assert dict(one.lines())["color-blind"] == f"{one.color_blind.mean():.0%} of kernels"
    two = dict(filters.kernels(alexnet.create("alexnet-2012", classes=2)).lines())
    assert re.fullmatch(r"\d+% of kernels \(tower 1 \d+%, tower 2 \d+%\)", two["color-blind"])
