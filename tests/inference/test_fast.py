"""The quick network answers as the plain one does."""

import copy

import numpy as np
import pytest
import torch

import alexnet
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.inference.evaluate import evaluate
from alexnet.inference.fast import at_precision, quick
from alexnet.models import catalog


@pytest.mark.parametrize(
    "name", ["alexnet-digits", "alexnet-thinner-4", "alexnet-bearpaw", "resnet-20", "figure1-tanh"]
)
def test_scores_are_those_of_fp32_to_bf16s_three_digits(name: str) -> None:
    torch.manual_seed(0)
    model = catalog.create(name).eval()
    before = copy.deepcopy(model.state_dict())
    inputs = torch.randn(3, *model.input)
    with torch.inference_mode():
        expected, got = model(inputs), quick(model, "bf16")(inputs)
        alone = quick(model, "bf16")(inputs[:1])
    assert got.dtype == torch.float32
    scale = expected.abs().max().item()
    torch.testing.assert_close(got, expected, rtol=0, atol=0.03 * scale)
    torch.testing.assert_close(alone, got[:1], rtol=0, atol=0.01 * scale)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_fp32_shares_the_weights_and_auto_follows_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    model = catalog.create("alexnet-digits").eval()

    def dtype(precision: str) -> torch.dtype:
        return next(quick(model, precision).parameters()).dtype

    assert next(quick(model, "fp32").parameters()) is next(model.parameters())
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert dtype("auto") is torch.float32
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert dtype("auto") is torch.bfloat16
    with pytest.raises(InputError, match="choose one of: auto, fp32, bf16, int8"):
        quick(model, "half")


def test_answers_of_a_trained_model(trained: Run) -> None:
    model, digits = alexnet.load(trained), alexnet.dataset("digits")
    arrays = [digits[index][0] for index in range(40)]
    exact = alexnet.predict(model, arrays, top=10)
    fast = alexnet.predict(at_precision(model, "bf16"), arrays, top=10)
    for one, other in zip(exact, fast, strict=True):
        of = {each.label: each.score for each in other.predictions}
        assert all(of[each.label] == pytest.approx(each.score, abs=0.02) for each in one.predictions)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_predict_and_evaluate_say_the_same_of_an_image(trained: Run, precision: str) -> None:
    model, digits = alexnet.load(trained), alexnet.dataset("digits")
    few = digits.subset(np.arange(9))
    found = evaluate(model, few, precision=precision, batch_size=9)
    assert found.figures.precision == precision
    asked = alexnet.predict(model, [digits[i][0] for i in range(9)], top=1, precision=precision)
    for i, one in enumerate(asked):
        assert one.predictions[0].label == model.classes[found.predictions[i]]
        assert one.predictions[0].score == pytest.approx(float(found.probabilities[i]), rel=1e-6)
    converted = at_precision(model, precision)
    assert converted.precision == precision
    assert evaluate(converted, few).figures.precision == precision


def test_a_model_answers_in_fp32_unless_it_was_converted(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    model, digits = alexnet.load(trained), alexnet.dataset("digits")
    assert model.precision == "fp32"
    assert evaluate(model, digits).figures.precision == "fp32"
    image = [digits[0][0]]
    assert alexnet.predict(model, image) == alexnet.predict(model, image, precision="fp32")
    assert at_precision(model, "auto").precision == "bf16"
    with pytest.raises(InputError, match="rounded to bf16"):
        at_precision(at_precision(model, "bf16"), "fp32")
