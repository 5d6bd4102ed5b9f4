"""Numbers that are not finite: null, or said, where an answer would need them; never a failure of the server."""

import copy
import dataclasses
import json
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from requests_made import LIMITS, png
from starlette.testclient import TestClient

from alexnet.inference.model import Model
from alexnet.serving.answers import Json
from alexnet.serving.app import create_app

PIXEL = png(np.full((8, 8), 99, np.uint8))


@pytest.fixture(params=[math.nan, math.inf])
def broken(request: pytest.FixtureRequest, opened: Model) -> Iterator[TestClient]:
    """A server whose network's first weights became NaN or infinite after it had started."""
    model = dataclasses.replace(opened, module=copy.deepcopy(opened.module))
    with TestClient(create_app([model], LIMITS), raise_server_exceptions=False) as client:
        with torch.no_grad():
            next(model.module.parameters()).fill_(request.param)
        yield client


def strict(text: str) -> dict:
    """JSON without NaN and Infinity, which Python would take."""

    def wrong(name: str) -> None:
        raise AssertionError(name)

    return json.loads(text, parse_constant=wrong)


def test_every_number_that_is_not_finite_is_null() -> None:
    content = {"a": [1.5, math.nan, (math.inf, {"b": -math.inf})], "c": "x", "d": None, "e": True, "f": 3}
    found = strict(bytes(Json(content).body).decode())
    assert found == {"a": [1.5, None, [None, {"b": None}]], "c": "x", "d": None, "e": True, "f": 3}


LAYERS = ("conv1", "relu1", "norm1", "pool2", "flatten", "fc6", "drop6", "softmax")


def test_layers_are_shown_with_null(broken: TestClient) -> None:
    whole = broken.post("/v1/features?layers=conv1:pre,fc7", content=PIXEL)
    assert (whole.status_code, strict(whole.text)["layers"]["conv1:pre"]["data"][0]) == (200, None)
    layers = strict(broken.post("/v1/activations", content=PIXEL).text)["layers"]
    assert [layers[0]["low"] is None, layers[1]["low"] is None, layers[1]["high"] is None] == [False, True, True]
    assert layers[1]["image"].startswith("data:image/png")
    for layer in LAYERS:
        told = broken.post(f"/v1/arithmetic?layer={layer}", content=PIXEL)
        assert (told.status_code, strict(told.text)["value"]) == (200, None), layer
        assert strict(told.text)["steps"][-1]["value"] is None, layer
        maps = broken.post(f"/v1/maps?layer={layer}", content=PIXEL)
        assert (maps.status_code, "null" in maps.text) == (200, True), layer
    heat = broken.post("/v1/explain?label=3", content=PIXEL)
    assert (heat.status_code, strict(heat.text)["data"][0][0]) == (200, None)


def test_no_class_is_the_likeliest_of_outputs_that_are_not_finite(broken: TestClient) -> None:
    for path in ("predict", "explain"):
        answer = broken.post(f"/v1/{path}", content=PIXEL)
        assert (answer.status_code, "not finite" in strict(answer.text)["detail"]) == (422, True), path
    two = broken.post("/v1/predict", files=[("image", ("a", PIXEL))] * 2)
    assert strict(two.text)["detail"].startswith("image 1 of 2: ")
    name = broken.get("/healthz").json()["models"][0]
    tensor = {"name": "images", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": [7] * 64}
    assert broken.post(f"/v2/models/{name}/infer", json={"inputs": [tensor]}).status_code == 422


def test_a_constant_that_breaks_the_network_breaks_no_answer(client: TestClient) -> None:
    answer = client.post("/v1/what-if?change=lrn.k=0", content=png(np.zeros((8, 8), np.uint8)))
    assert answer.status_code in (200, 422)
    found = strict(answer.text)
    assert found["after"][0]["score"] is None if "after" in found else "finite" in found["detail"]
