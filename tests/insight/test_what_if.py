"""One constant broken: what moves is what must, and the model stays as it was."""

import copy
import dataclasses
import json
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
from alexnet.inference.images import of_arrays
from alexnet.inference.model import Model
from alexnet.insight.view import view
from alexnet.insight.what_if import changed_model, what_if
from alexnet.insight.what_if_picture import taken_for
from alexnet.models.layers import LocalResponseNorm
from alexnet.preprocessing import MeanImage

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
DIGIT = np.random.default_rng(1).integers(0, 256, (8, 8, 1), np.uint8)


@pytest.fixture
def colored(make: Callable[..., Model]) -> Model:
    return make("alexnet-cifar100", classes=4)


def test_outputs_that_are_not_finite_are_refused(opened: Model) -> None:
    """0 / 0 where a digit is black: it was answered with nan %."""
    black = np.zeros((8, 8, 1), np.uint8)
    for image in (DIGIT, black):
        with pytest.raises(InputError, match="the outputs are not finite"):
            what_if(opened, image, ["lrn.k=0+lrn.alpha=0"])


def test_a_number_that_is_too_large_is_not_called_no_number(opened: Model) -> None:
    with pytest.raises(InputError, match=r"lrn\.alpha=1e30: it must lie between -1e9 and 1e9"):
        changed_model(opened, "lrn.alpha=1e30")
    with pytest.raises(InputError, match=r"lrn\.alpha=much: not a number such as"):
        changed_model(opened, "lrn.alpha=much")


def test_each_change_is_what_another_network_would_compute(opened: Model) -> None:
    """Against the same thing done by hand to the modules themselves."""
    state = {name: value.clone() for name, value in opened.module.state_dict().items()}
    found = what_if(opened, DIGIT, ["lrn.alpha=0.5", "no-lrn", "lrn.k=1+lrn.divide=false", "pool=mean"])
    own = features(opened, [DIGIT], ["conv2", "fc7"])
    assert found.before.cosines == pytest.approx(dict.fromkeys(found.before.cosines, 1.0))
    for outcome in found.after:
        broken = dataclasses.replace(opened, module=copy.deepcopy(opened.module))
        for name, part in list(network_of(broken).named_children()):
            if isinstance(part, LocalResponseNorm):
                if outcome.change == "lrn.alpha=0.5":
                    part.alpha = 0.5
                elif outcome.change == "no-lrn":
                    setattr(broken.module, name, torch.nn.Identity())
                elif outcome.change == "lrn.k=1+lrn.divide=false":
                    part.k, part.divide = 1.0, False
            elif isinstance(part, torch.nn.MaxPool2d) and outcome.change == "pool=mean":
                mean = torch.nn.AvgPool2d(part.kernel_size, part.stride, part.padding, part.ceil_mode, False)
                setattr(broken.module, name, mean)
        theirs = features(broken, [DIGIT], ["conv2", "fc7"])
        for layer in own:
            a, b = own[layer].ravel().astype(float), theirs[layer].ravel().astype(float)
            expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            assert outcome.cosines[layer] == pytest.approx(expected, abs=1e-5), outcome.change
            assert outcome.lengths[layer] == pytest.approx(np.linalg.norm(b) / np.linalg.norm(a), rel=1e-4)
        best = alexnet.predict(broken, [DIGIT], top=5)[0].predictions
        assert [each.label for each in outcome.predictions] == [each.label for each in best]
        assert outcome.predictions[0].score == pytest.approx(best[0].score, abs=1e-5)
    assert all(torch.equal(value, state[name]) for name, value in opened.module.state_dict().items())
    assert not network_of(opened).training


def test_preprocessing_changes_are_the_mistakes_people_make(colored: Model) -> None:
    own = dataclasses.replace(
        colored.preprocessing, scale=1 / 255, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0), colors="RGB"
    )
    model = dataclasses.replace(colored, preprocessing=own)
    x = view(model, IMAGE).x

    def seen(change: str) -> torch.Tensor:
        return what_if(model, IMAGE, [change]).after[0].input

    mean, std = torch.tensor(own.mean).view(1, 3, 1, 1), torch.tensor(own.std).view(1, 3, 1, 1)
    torch.testing.assert_close(seen("channels=BGR") * std + mean, (x * std + mean).flip(1))
    torch.testing.assert_close(seen("mean=0"), x + mean / std)
    torch.testing.assert_close(seen("mean=0.1,0.2,0.3"), x + (mean - torch.tensor([0.1, 0.2, 0.3]).view_as(mean)) / std)
    torch.testing.assert_close(seen("scale=1"), (255 * (x * std + mean) - mean) / std, atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(seen("std=1"), x * std)
    assert not torch.equal(seen("fit=squash"), x)
    assert not torch.equal(seen("resize=40"), x)


def test_without_a_change_the_usual_mistakes_that_apply_are_tried(opened: Model, colored: Model) -> None:
    said = [each.change for each in what_if(opened, DIGIT).after]
    assert said == ["mean=0", "scale=1", "no-lrn", "lrn.alpha=1", "pool=mean"]  # gray: no channels to swap
    said = [each.change for each in what_if(colored, IMAGE).after]
    assert said == ["channels=BGR", "scale=1", "pool=mean"]  # no LRN, and its mean is 0 already


def test_the_picture_shows_what_the_network_takes_the_image_for(colored: Model) -> None:
    pixels = view(colored, IMAGE).pixels
    found = what_if(colored, IMAGE, ["channels=BGR", "scale=1"])
    np.testing.assert_array_equal(taken_for(colored, found.before), pixels)
    np.testing.assert_array_equal(taken_for(colored, found.after[0]), pixels[:, :, ::-1])
    assert taken_for(colored, found.after[1]).max() == 255
    bgr = MeanImage(np.random.default_rng(0).random((32, 32, 3)).astype(np.float32))
    other = dataclasses.replace(
        colored, preprocessing=dataclasses.replace(colored.preprocessing, colors="BGR", mean_image=bgr)
    )
    np.testing.assert_array_equal(taken_for(other, what_if(other, IMAGE, ["mean=0"]).before), view(other, IMAGE).pixels)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("lrn.gamma=1", "did you mean lrn"), ("lrn.alpha", "write lrn.alpha=VALUE"), ("no-lrn=1", "takes no value"),
        ("lrn.alpha=x", "not a number"), ("lrn.alpha=nan", "not a number"), ("lrn.alpha=-1", "below 0"),
        ("lrn.size=4", "must be odd"), ("lrn.divide=yes", "true or false"), ("mean=1,2", "2 numbers for 1 channels"),
        ("std=0", "std must be above 0"), ("scale=0", "above 0"), ("scale=1/0", "not a number"),
        ("channels=BGR", "this network can take L"), ("pool=big", "choose mean, max"), ("pool=3000", "from 1 to 64"),
        ("fit=stretch", "choose one of: crop, squash"), ("resize=2", "from 8 to 4096"), ("pool=8", "another size"),
    ],
)  # fmt: skip
def test_what_cannot_be_changed_is_one_line(change: str, said: str, opened: Model) -> None:
    with pytest.raises(InputError, match=said):
        what_if(opened, DIGIT, [change])


def test_a_network_without_lrn_has_none_to_change(colored: Model) -> None:
    with pytest.raises(InputError, match="no-lrn: this network has no such layer"):
        changed_model(colored, "no-lrn")


def test_arrays_are_resized_as_files_are(colored: Model, tmp_path: Path) -> None:
    """OpenCV's bilinear without averaging, too, which the card asks for."""
    Image.fromarray(IMAGE).save(tmp_path / "image.png")
    how = dataclasses.replace(colored.preprocessing, antialias=False, resize=33)
    model = dataclasses.replace(colored, preprocessing=how)
    assert torch.equal(view(model, IMAGE).x, view(model, tmp_path / "image.png").x)
    assert not torch.equal(view(model, IMAGE).x, view(dataclasses.replace(
        model, preprocessing=dataclasses.replace(how, antialias=True)), IMAGE).x)  # fmt: skip
    stored, _ = of_arrays([IMAGE]).read(0, how)
    top, left = ((a - b) // 2 for a, b in zip(stored.shape, how.size, strict=False))
    np.testing.assert_array_equal(stored[top : top + 32, left : left + 32], view(model, IMAGE).pixels)


def test_the_verb_prints_and_draws(trained: Run, tmp_path: Path, command: Callable) -> None:
    Image.fromarray(DIGIT[:, :, 0]).save(tmp_path / "digit.png")
    out = tmp_path / "w.png"
    changes = ["--change", "lrn.alpha=1", "--change", "mean=0+scale=1"]
    ended = command("what-if", trained.path, tmp_path / "digit.png", *changes, "--out", out)
    assert ended.code == 0
    assert "mean=0+scale=1" in ended.out
    with Image.open(out) as drawn:
        assert drawn.width > 400
    asked = ("what-if", trained.path, tmp_path / "digit.png", "--out", out, "--force")
    said = json.loads(command(*asked, *changes, "--json").out)
    assert [each["change"] for each in said["after"]] == ["lrn.alpha=1", "mean=0+scale=1"]
    assert said["before"]["cosines"]["fc7"] == pytest.approx(1)
    ended = command(*asked, "--change", "nolrn")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "did you mean no-lrn" in ended.err
