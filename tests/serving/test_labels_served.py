"""A model that may name several labels an image behind the server: scores with thresholds, and bars by them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from test_server import ended, started

import alexnet
from alexnet.inference.model import Model, load_model
from alexnet.serving.app import create_app


@pytest.fixture(scope="module")
def model(tagged: Any) -> Model:
    return load_model(tagged.run, several=True)


@pytest.fixture(scope="module")
def client(model: Model) -> Iterator[TestClient]:
    with TestClient(create_app([model])) as client:
        yield client


def test_the_answers_are_predicts(tagged: Any, model: Model, client: TestClient) -> None:
    paths = [tagged.images / f"{number:03}.png" for number in range(120, 132)]
    expected = alexnet.predict(model, paths, top=3)
    files = [("image", (path.name, path.read_bytes())) for path in paths]
    results = client.post("/v1/predict?top_k=2", files=files).json()["results"]
    threshold = dict(zip(model.classes, model.thresholds, strict=True))
    assert len({tuple(result["labels"]) for result in results}) > 2
    for result, one in zip(results, expected, strict=True):
        # In order of their scores, which batches of another size round otherwise: two that are equal may change places.
        assert sorted(result["labels"]) == sorted(one.labels or ())
        assert len(result["predictions"]) == 2
        scores = {each.label: each.score for each in one.predictions}
        for said, own in zip(result["predictions"], one.predictions[:2], strict=True):
            assert said["threshold"] == threshold[said["label"]]
            assert said["score"] == pytest.approx(own.score, abs=1e-5)
            assert said["score"] == pytest.approx(scores[said["label"]], abs=1e-5)


def test_the_other_answers(tagged: Any, model: Model, client: TestClient) -> None:
    (described,) = client.get("/v1/models").json()
    assert described["task"] == "multi-label"
    assert described["thresholds"] == model.thresholds.tolist()
    content = (tagged.images / "120.png").read_bytes()
    layers = client.post("/v1/activations", content=content).json()["layers"]
    assert layers[-1]["layer"] == "sigmoid"
    scores = {
        each["label"]: each["score"]
        for each in client.post("/v1/predict", content=content).json()["results"][0]["predictions"]
    }
    assert layers[-1]["data"] == pytest.approx([scores[name] for name in model.classes], abs=1e-5)
    told = client.post("/v1/arithmetic?layer=sigmoid&index=1", content=content).json()
    assert told["label"] == model.classes[1]
    assert told["value"] == pytest.approx(scores[model.classes[1]], abs=1e-5)
    heat = client.post("/v1/explain?label=below", content=content).json()
    assert (heat["label"], heat["shape"]) == ("below", [8, 8])
    broken = client.post("/v1/what-if?change=scale=1", content=content).json()
    given = client.post("/v1/predict", content=content).json()["results"][0]["labels"]
    assert sorted(broken["before"]["labels"]) == sorted(given)
    assert {each["label"]: each["score"] for each in broken["before"]["predictions"]} == pytest.approx(scores, abs=1e-5)
    assert broken["after"][0]["labels"] != broken["before"]["labels"]
    pixels = np.zeros((2, 8, 8, 1), np.uint8)
    tensor = {"name": "images", "shape": [2, 8, 8, 1], "datatype": "UINT8", "data": pixels.flatten().tolist()}
    output = client.post("/v2/models/run/infer", json={"inputs": [tensor]}).json()["outputs"][0]
    assert output["shape"] == [2, 3]
    assert sum(output["data"][:3]) != pytest.approx(1.0, abs=1e-3)  # as softmax would have it


def test_a_form_that_answers_otherwise_is_not_served(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alexnet.serving.engine.quicken", lambda module: lambda images: module(images) + 0.1)
    with pytest.raises(alexnet.InputError, match="is not served"):
        create_app([model])


@pytest.fixture(scope="module")
def port(tagged: Any) -> Iterator[int]:
    process, port = started(tagged.run.path)
    yield port
    ended(process)


def test_the_page_shows_bars_by_threshold(browser: Any, port: int, tagged: Any, client: TestClient) -> None:
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"http://127.0.0.1:{port}/")
    page.locator("#samples button").first.wait_for()
    image: Path = tagged.images / "121.png"
    page.set_input_files("#file", image)
    page.wait_for_selector("#tabs button")
    (result,) = client.post("/v1/predict", content=image.read_bytes()).json()["results"]
    labels = result["labels"]
    assert page.locator(".bars li").count() == 3
    assert page.locator(".bars li.given").count() == len(labels)
    assert page.locator(".bars li b").count() == 3
    for row, each in enumerate(result["predictions"]):
        mark = page.locator(".bars li b").nth(row)
        assert mark.evaluate("mark => parseFloat(mark.style.left)") == pytest.approx(100 * each["threshold"], abs=0.01)
    said = page.locator("#status").inner_text()
    assert said == f"run: {', '.join(labels)}" if labels else said.endswith("no label reaches its threshold")
    assert page.locator("#tabs button").last.inner_text() == "sigmoid"
    page.locator("#lever summary, #lever button").first.wait_for(state="attached")
    page.evaluate("Beside.break()")
    page.locator("#broken tbody tr").first.wait_for()
    shown = page.locator("#broken tbody tr").first.locator("td").nth(1).inner_text()
    assert sorted(shown.split(", ")) == sorted(labels or ["no label"])
    context.close()
