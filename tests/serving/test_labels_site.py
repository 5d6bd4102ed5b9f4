"""The page without a server of a model that may name several labels an image, in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs: pip install 'alexnet[onnx]'")
from test_site import given, runtime, same, served

import alexnet
from alexnet.export.formats import export
from alexnet.inference.model import Model, load_model
from alexnet.insight.arithmetic import account
from alexnet.insight.trace import trace
from alexnet.models.network import Network
from alexnet.serving.engine import Engine
from alexnet.serving.limits import Limits


@pytest.fixture(scope="module")
def model(tagged: Any) -> Model:
    return load_model(tagged.run, several=True)


@pytest.fixture(scope="module")
def site(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    runtime()
    out = tmp_path_factory.mktemp("web") / "site"
    export(model, "web", out)
    export(model, "web-int8", out / "int8", max_loss=0.5)
    with served(out) as address:
        yield address


@pytest.fixture
def page(browser: Any, site: str) -> Iterator[Any]:
    """The page in English; nothing may be written to the console."""
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.set_default_timeout(60_000)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(site)
    page.wait_for_selector("#model option", state="attached")
    yield page
    context.close()
    assert said == []


def test_each_label_with_its_threshold_as_predict_gives_it(
    page: Any, tagged: Any, model: Model, tmp_path: Path
) -> None:
    threshold = dict(zip(model.classes, model.thresholds, strict=True))
    several = set()
    for number in (120, 121, 122, 125):
        image = tagged.images / f"{number}.png"
        given(page, tmp_path, image.read_bytes())
        page.evaluate("App.look()")  # until it is shown
        # Levels of the resized image may differ by one, which moves a probability a little.
        (own,) = alexnet.predict(model, [image], top=3)
        (result,) = page.evaluate("App.ask('predict', {top_k: 5})")["results"]
        scores = {each["label"]: each["score"] for each in result["predictions"]}
        assert scores == pytest.approx({each.label: each.score for each in own.predictions}, abs=0.03)
        assert {each["label"]: each["threshold"] for each in result["predictions"]} == pytest.approx(threshold)
        assert result["labels"] == [name for name in model.classes if scores[name] >= threshold[name]]
        several.add(tuple(result["labels"]))
        assert page.locator(".bars li.given").count() == len(result["labels"])
        for row, each in enumerate(result["predictions"]):
            mark = page.locator(".bars li b").nth(row)
            assert mark.evaluate("mark => parseFloat(mark.style.left)") == pytest.approx(
                100 * each["threshold"], abs=0.01
            )
        said = page.locator("#status").inner_text()
        assert said.endswith(", ".join(result["labels"]) or "no label reaches its threshold")
    assert len(several) > 1


def test_the_arithmetic_of_a_sigmoid(page: Any, tagged: Any, model: Model, tmp_path: Path) -> None:
    given(page, tmp_path, (tagged.images / "123.png").read_bytes())
    page.wait_for_selector("#tabs button")
    assert page.locator("#tabs button").last.inner_text() == "sigmoid"
    stored = page.evaluate("(async () => [...await Decoding.read(App.image, Local.site)])()")
    engine = Engine("one", model, Limits())
    network = model.module
    assert isinstance(network, Network)
    found = trace(network, engine.inputs(np.array(stored, np.uint8).reshape(8, 8, 1)), multilabel=True)
    engine.close()
    for unit in range(3):
        told = page.evaluate("values => App.ask('arithmetic', values)", {"layer": "sigmoid", "index": str(unit)})
        same(told, account(found, "sigmoid", (unit,)).to_json(), "sigmoid")
        assert told["label"] == model.classes[unit]


def test_int8_gives_labels_by_the_same_thresholds(
    page: Any, site: str, tagged: Any, model: Model, tmp_path: Path
) -> None:
    page.goto(f"{site}int8/")
    page.wait_for_selector("#model option", state="attached")
    given(page, tmp_path, (tagged.images / "124.png").read_bytes())
    page.locator(".bars li b").nth(2).wait_for()
    (result,) = page.evaluate("App.ask('predict', {top_k: 5})")["results"]
    (own,) = alexnet.predict(model, [tagged.images / "124.png"], top=3)
    scores = {each["label"]: each["score"] for each in result["predictions"]}
    assert scores == pytest.approx({each.label: each.score for each in own.predictions}, abs=0.2)
    assert page.locator("#layers").is_hidden()
