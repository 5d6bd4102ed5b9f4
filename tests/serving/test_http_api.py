"""The API answers as the library does, and every bad request is a typed 4xx after which the next one is served."""

import base64
import json
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from requests_made import LIMITS, png
from starlette.testclient import TestClient

import alexnet
from alexnet.data.transforms.augment import Augmenter
from alexnet.inference.model import Model
from alexnet.insight.activations import look
from alexnet.insight.explain import explain
from alexnet.models.network import Network
from alexnet.serving.app import create_app


@pytest.fixture(scope="module")
def digits() -> list[np.ndarray]:
    dataset = alexnet.dataset("digits")
    return [dataset[i][0][:, :, 0] for i in range(8)]


def answered(response) -> dict:
    assert response.status_code == 200, response.text
    return response.json()


def refused(response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status
    return response.json()["detail"]


def test_the_three_forms_give_what_predict_gives(client: TestClient, opened: Model, digits: list[np.ndarray]) -> None:
    expected = alexnet.predict(opened, [each[:, :, None] for each in digits[:3]], top=10)
    contents = [png(each) for each in digits[:3]]
    forms = [
        client.post("/v1/predict?top_k=10", files=[("image", (f"{i}.png", c)) for i, c in enumerate(contents)]),
        client.post("/v1/predict", json={"images": [base64.b64encode(c).decode() for c in contents], "top_k": 10}),
    ]
    single = client.post("/v1/predict?top_k=10", content=contents[0], headers={"content-type": "image/png"})
    for response in (*forms, single):
        results = answered(response)["results"]
        assert len(results) == (1 if response is single else 3)
        for result, one in zip(results, expected, strict=False):
            scores = {p["label"]: p["score"] for p in result["predictions"]}
            assert len(scores) == 10
            # Which batch an image waits in moves a float32 probability in the last digits only.
            for name, probability in scores.items():
                own = next(p for p in one.predictions if getattr(p, "label", getattr(p, "name", None)) == name)
                assert getattr(own, "score", getattr(own, "probability", None)) == pytest.approx(probability, abs=1e-5)
            assert list(scores.values()) == sorted(scores.values(), reverse=True)


def test_requests_that_wait_together_are_answered_each_with_its_own(
    client: TestClient, digits: list[np.ndarray]
) -> None:
    alone = [answered(client.post("/v1/predict", content=png(each)))["results"][0] for each in digits]
    found: list = [None] * len(digits)

    def ask(i: int) -> None:
        found[i] = answered(client.post("/v1/predict", content=png(digits[i])))["results"][0]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(digits))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, found, strict=True):
        assert one["predictions"][0]["label"] == other["predictions"][0]["label"]
        assert one["predictions"][0]["score"] == pytest.approx(other["predictions"][0]["score"], abs=1e-5)


def test_features_and_activations_are_the_networks(client: TestClient, opened: Model, digits: list[np.ndarray]) -> None:
    inputs = Augmenter(opened.preprocessing).evaluate(torch.from_numpy(digits[0][None, :, :, None]))
    network = opened.module
    assert isinstance(network, Network)
    with torch.no_grad():
        tapped = network.tap(inputs, ["conv2:pre", "fc7"])
    found = answered(client.post("/v1/features?layers=conv2:pre,fc7", content=png(digits[0])))["layers"]
    for name, value in tapped.items():
        assert found[name]["shape"] == list(value.shape)
        np.testing.assert_allclose(found[name]["data"], value.flatten().numpy(), atol=1e-5)
    layers = answered(client.post("/v1/activations", content=png(digits[0])))["layers"]
    own = {each: f"{each}:pre" for each in network.layer_names if each.startswith(("conv", "fc")) and each != "fc8"}
    assert [layer["layer"] for layer in layers] == ["input", *(own.get(n, n) for n in network.layer_names), "softmax"]
    assert layers[1]["image"].startswith("data:image/png;base64,")
    told = answered(client.post("/v1/arithmetic?layer=conv2&index=3,2,1", content=png(digits[0])))
    assert told["value"] == pytest.approx(tapped["conv2:pre"][0, 3, 2, 1].item(), abs=1e-6)
    assert told["layer"] == "conv2:pre"
    maps = answered(client.post("/v1/maps?layer=conv2:pre&index=3", content=png(digits[0])))
    assert maps["data"][2][1] == told["value"]


@pytest.mark.parametrize("layer", ["conv1", "conv1:pre", "relu1", "norm1", "fc7", "fc7:pre", "fc8", "fc8:pre"])
def test_a_layers_name_means_the_same_in_every_answer(
    client: TestClient, opened: Model, digits: list[np.ndarray], layer: str
) -> None:
    """Of the server, of the library's features, and of `alexnet activations`: conv1 is after its ReLU."""
    image = digits[0][:, :, None]
    own = alexnet.features(opened, [image], layers=[layer])[layer][0]
    maps = answered(client.post(f"/v1/maps?layer={layer}", content=png(digits[0])))
    np.testing.assert_allclose(maps["data"], own[0] if own.ndim == 3 else own, atol=1e-5)
    assert (np.min(maps["data"]) < 0) == (layer in ("conv1:pre", "fc7:pre", "fc8", "fc8:pre"))
    assert maps["layer"] == layer
    _, rows, _ = look(opened, image)
    seen = {row["layer"]: row for row in answered(client.post("/v1/activations", content=png(digits[0])))["layers"]}
    for row in rows:
        assert row.layer not in seen or seen[row.layer]["low"] == pytest.approx(row.low, abs=1e-5)


def test_explanations_are_the_librarys(client: TestClient, opened: Model, digits: list[np.ndarray]) -> None:
    network = opened.module
    assert isinstance(network, Network)
    inputs = Augmenter(opened.preprocessing).evaluate(torch.from_numpy(digits[0][None, :, :, None]))
    for method, label in (("gradcam", "3"), ("occlusion", None)):
        asked = f"/v1/explain?method={method}" + (f"&label={label}" if label else "")
        found = answered(client.post(asked, content=png(digits[0])))
        best = alexnet.predict(opened, [digits[0][:, :, None]], top=1)[0].predictions[0].label
        assert found["label"] == (label or best)
        expected = explain(network, inputs, opened.classes.index(found["label"]), method)
        np.testing.assert_allclose(found["data"], expected.detach().numpy(), atol=1e-5)
    assert "unknown class" in refused(client.post("/v1/explain?label=cat", content=png(digits[0])), 422)
    assert "did you mean" in refused(client.post("/v1/explain?method=gradcan", content=png(digits[0])), 422)


def test_what_the_server_tells_of_itself(client: TestClient, opened: Model) -> None:
    models = client.get("/v1/models").json()
    assert models[0]["classes"] == list(opened.classes)
    assert client.get("/healthz").json() == {"status": "ok", "models": [models[0]["name"]]}
    described = client.get("/openapi.json").json()
    assert "/v1/predict" in described["paths"]
    client.get("/no/such/path")
    metrics = client.get("/metrics").text
    assert 'alexnet_requests_total{path="/healthz",status="200"}' in metrics
    assert 'path="other",status="404"' in metrics
    assert "/no/such/path" not in metrics
    response = client.get("/")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in response.headers


def test_the_description_says_what_is_done(opened: Model) -> None:
    """What schemathesis found missing in it (`make openapi`)."""
    with TestClient(create_app([opened], LIMITS, token="geheim")) as client:
        described = client.get("/openapi.json", headers={"authorization": "Bearer geheim"}).json()["paths"]
        for path, methods in described.items():
            operation = methods.get("get")
            if operation is None or "{" in path:
                continue
            response = client.get(path)
            assert str(response.status_code) in operation["responses"], path
            assert (response.status_code == 200) == (operation.get("security") == []), path
            stated = operation["responses"][str(response.status_code)]["content"]
            assert response.headers["content-type"].partition(";")[0] in stated, path
    post = described["/v1/explain"]["post"]
    assert [each["name"] for each in post["parameters"]] == ["model", "method", "label", "layer"]
    body = post["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert set(body) == {"images", "model", "method", "label", "layer"}
    assert body["images"]["items"] == {"type": "string", "minLength": 1, "contentEncoding": "base64"}
    assert "occlusion" in body["method"]["enum"]
    infer = described["/v2/models/{model}/infer"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    shape = infer["properties"]["inputs"]["items"]["properties"]["shape"]
    assert shape["prefixItems"] == [{"type": "integer", "minimum": 1, "maximum": LIMITS.images}]


def test_open_inference_protocol(client: TestClient, opened: Model, digits: list[np.ndarray]) -> None:
    name = client.get("/healthz").json()["models"][0]
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get(f"/v2/models/{name}/ready").json()["ready"]
    assert client.get(f"/v2/models/{name}").json()["inputs"][0]["shape"] == [-1, 8, 8, 1]
    pixels = np.stack(digits[:2])[..., None]
    tensor = {"name": "images", "shape": list(pixels.shape), "datatype": "UINT8", "data": pixels.flatten().tolist()}
    found = answered(client.post(f"/v2/models/{name}/infer", json={"id": "7", "inputs": [tensor]}))
    assert (found["id"], found["outputs"][0]["shape"]) == ("7", [2, 10])
    encoded = [base64.b64encode(png(each)).decode() for each in digits[:2]]
    tensor = {"name": "images", "shape": [2], "datatype": "BYTES", "data": encoded}
    again = answered(client.post(f"/v2/models/{name}/infer", json={"inputs": [tensor]}))
    np.testing.assert_allclose(again["outputs"][0]["data"], found["outputs"][0]["data"], atol=1e-5)
    np.testing.assert_allclose(np.reshape(found["outputs"][0]["data"], (2, 10)).sum(1), 1, atol=1e-5)


PIXEL = png(np.zeros((4, 4), np.uint8))
JSON = {"content-type": "application/json"}
URLENCODED = {"content-type": "application/x-www-form-urlencoded"}
MULTIPART = {"content-type": "multipart/form-data; boundary=b"}
FORM = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + PIXEL + b"\r\n--b--\r\n"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
HTML = {"image": ("a.jpg", b"<html></html>", "image/jpeg")}
CUT = png(np.full((90, 90, 3), 7, np.uint8))[:-40]


def post(path: str = "predict", **sent: Any) -> Callable[[TestClient], Any]:
    return lambda client: client.post(f"/v1/{path}", **sent)


def encoded(*images: bytes) -> dict[str, list[str]]:
    return {"images": [base64.b64encode(image).decode() for image in images]}


TWICE = json.dumps({**encoded(PIXEL), "top_k": 1}).encode()[:-1] + b', "top_k": 2}'

BAD: dict[str, tuple[Callable[[TestClient], Any], int, str]] = {
    "empty": (post(content=b""), 422, "no image"),
    "text": (post(content=b"just text"), 415, "not an image"),
    "svg": (post(content=SVG), 415, "SVG image, which is not read"),
    "html named jpg": (post(files=HTML), 415, "not an image"),
    "cut": (post(content=CUT), 422, "cannot be read"),
    "too large": (post(content=b"x" * 300_000), 413, "200,000 bytes"),
    "chunked too large": (post(content=iter([b"x" * 90_000] * 4)), 413, "200,000 bytes"),
    "bomb": (post(content=png(np.zeros((1000, 1000), np.uint8))), 413, "250,000 pixels"),
    "too many": (post(json=encoded(*[PIXEL] * 5)), 413, "4 images"),
    "parts": (post(files=[("image", ("a", b"x"))] * 500), 400, "Too many files"),
    "base64": (post(json={"images": ["***"]}), 422, "not valid base64"),
    "not json": (post(content=b"{", headers=JSON), 400, "not JSON"),
    "deep json": (post(content=b"[" * 90_000, headers=JSON), 400, "not JSON"),
    "a list": (post(json=[1]), 400, "must be a JSON object"),
    "unknown field": (post(json={"images": ["aa"], "nonsense": 1}), 422, "nonsense"),
    "two models": (post("predict?model=a&model=b", content=PIXEL), 422, "model: given more than once"),
    "in query and body": (post("predict?top_k=0", json={**encoded(PIXEL), "top_k": 2}), 422, "top_k: given more than"),
    "in query and form": (
        post("predict?top_k=0", files=[("image", ("a", PIXEL))], data={"top_k": 2}),
        422,
        "top_k: given more than",
    ),
    "not an option here": (post("predict?layers=fc7", content=PIXEL), 422, "layers: predict takes model, top_k"),
    "no option anywhere": (post("predict?foo=1", content=PIXEL), 422, "foo: predict takes model, top_k"),
    "no field of a form": (
        post(files=[("image", ("a", PIXEL)), ("foo", (None, "1"))]),
        422,
        "foo: predict takes model, top_k",
    ),
    "text for a file": (post(files={"image": (None, "hello")}), 422, "image: this is text; it takes a file"),
    "a form's default": (post(content=PIXEL, headers=URLENCODED), 415, "with Content-Type: image/png"),
    "option of samples": (lambda client: client.get("/v1/samples?foo=1"), 422, "foo: samples takes model"),
    "two models of samples": (lambda client: client.get("/v1/samples?model=a&model=b"), 422, "model: given more than"),
    "option of models": (lambda client: client.get("/v1/models?foo=1"), 422, "foo: models takes no options"),
    "key twice": (post(content=TWICE, headers=JSON), 422, "top_k: given more than once"),
    "no layers": (post("features?layers=", content=PIXEL), 422, "layers takes the names of layers"),
    "a layer twice": (post("features?layers=fc8,fc8", content=PIXEL), 422, "layer 'fc8' is asked for twice"),
    "three channels": (post("maps?layer=conv1&index=1,2,3", content=PIXEL), 422, "one channel, such as 7, not '1,2,3'"),
    "channel of a vector": (post("maps?layer=fc8&index=99", content=PIXEL), 422, "fc8 has no channels"),
    "a layer for occlusion": (
        post("explain?method=occlusion&layer=conv1", content=PIXEL),
        422,
        "layer is for gradcam and layercam",
    ),
    "one of three": (post(json=encoded(PIXEL, b"text", PIXEL)), 415, "image 2 of 3: the image cannot be read"),
    "one of two features": (post("features", json=encoded(PIXEL, CUT)), 422, "image 2 of 2: the image cannot be read"),
    "one base64 of two": (post(json={"images": ["aaaa", "***"]}), 422, "image 2 of 2: the image is not valid base64"),
    "cut form": (post(content=FORM[:-4], headers=MULTIPART), 400, "its last boundary is missing"),
    "top_k": (post("predict?top_k=0", content=PIXEL), 422, "top_k"),
    "model": (post("predict?model=other", content=PIXEL), 404, "choose one of"),
    "layer": (post("features?layers=conv99", content=PIXEL), 422, "unknown layer"),
    "index": (post("arithmetic?layer=conv1&index=1,x", content=PIXEL), 422, "such as 3,7,12"),
    "place": (post("arithmetic?layer=conv1&index=900,0,0", content=PIXEL), 422, "there is no value"),
    "two for one": (post("activations", files=[("image", ("a", PIXEL))] * 2), 422, "takes one image"),
    "v2 model": (lambda client: client.post("/v2/models/nobody/infer", json={}), 404, "choose one of"),
    "method": (lambda client: client.get("/v1/predict"), 405, "another method"),
    "path": (lambda client: client.get("/../../etc/passwd"), 404, "nothing at this path"),
}


def test_base64_in_lines_and_a_whole_form_are_read(client: TestClient) -> None:
    lines = base64.encodebytes(PIXEL).decode()
    assert lines.count("\n") > 0
    own = answered(client.post("/v1/predict", content=PIXEL))["results"]
    assert answered(client.post("/v1/predict", json={"images": [lines]}))["results"] == own
    assert answered(client.post("/v1/predict", content=FORM, headers=MULTIPART))["results"] == own


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_are_typed_and_the_server_lives(client: TestClient, name: str) -> None:
    ask, status, said = BAD[name]
    detail = refused(ask(client), status)
    assert said in detail
    assert "--" not in detail
    assert "/work" not in detail
    assert "Traceback" not in detail
    assert answered(client.post("/v1/predict", content=PIXEL))["results"]


@pytest.mark.parametrize(
    "tensor",
    [
        {"name": "images", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": [1] * 63},
        {"name": "images", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": [300] * 64},
        {"name": "images", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": ["a"] * 64},
        {"name": "images", "shape": [1, 8, 8, 2], "datatype": "UINT8", "data": [1] * 128},
        {"name": "images", "shape": [0, 8, 8, 1], "datatype": "UINT8", "data": []},
        {"name": "images", "shape": [1, -8, 8, 1], "datatype": "UINT8", "data": [1] * 64},
        {"name": "images", "shape": [2], "datatype": "BYTES", "data": ["aa"]},
        {"name": "images", "shape": [1], "datatype": "FP32", "data": [1]},
    ],
)
def test_wrong_tensors(client: TestClient, tensor: dict) -> None:
    name = client.get("/healthz").json()["models"][0]
    assert refused(client.post(f"/v2/models/{name}/infer", json={"inputs": [tensor]}), 422)


def test_a_token_is_wanted_by_all_but_health(opened: Model) -> None:
    with TestClient(create_app([opened], LIMITS, token="geheim")) as client:
        assert client.get("/healthz").status_code == 200
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic geheim"}):
            assert "bearer token" in refused(client.get("/v1/models", headers=headers), 401)
        assert client.get("/v1/models", headers={"authorization": "Bearer geheim"}).status_code == 200


def test_a_form_that_answers_otherwise_is_not_served(opened: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    from alexnet.serving import engine

    off = torch.nn.Sequential(opened.module, torch.nn.Threshold(0.5, 9.0))
    monkeypatch.setattr(engine, "ready", lambda model, precision, runtime: dataclasses.replace(model, module=off))
    with pytest.raises(alexnet.InputError, match=r"is not served: .* off the plain network's"):
        create_app([opened], LIMITS)


def test_the_end_of_the_server_ends_its_threads(opened: Model) -> None:
    with TestClient(create_app([opened], LIMITS)):
        running = sum(thread.name == "alexnet-batcher" for thread in threading.enumerate())
    assert sum(thread.name == "alexnet-batcher" for thread in threading.enumerate()) == running - 1


def test_two_models_have_two_names(opened: Model, digits: list[np.ndarray]) -> None:
    with TestClient(create_app([opened, opened], LIMITS)) as client:
        first, second = client.get("/healthz").json()["models"]
        assert second == f"{first}-2"
        found = [answered(client.post(f"/v1/predict?model={m}", content=png(digits[0]))) for m in (first, second)]
        assert [each["model"] for each in found] == [first, second]
        assert json.dumps(found[0]["results"]) == json.dumps(found[1]["results"])
