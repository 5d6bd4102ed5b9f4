"""The same images by `predict`, `evaluate` and `serve` at the same precision, whatever batch they waited in."""

import concurrent.futures

import numpy as np
import pytest
from requests_made import LIMITS, png
from starlette.testclient import TestClient

import alexnet
from alexnet.inference.evaluate import evaluate
from alexnet.inference.model import Model
from alexnet.inference.predict import predict
from alexnet.serving.app import create_app
from alexnet.serving.engine import AGREE

COUNT = 12


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_evaluate_predict_and_serve_give_the_same_probabilities(opened: Model, precision: str) -> None:
    dataset = alexnet.dataset("digits").subset(np.arange(COUNT))
    logs = evaluate(opened, dataset, precision=precision, keep=True).log_probabilities
    assert logs is not None
    evaluated = np.exp(np.asarray(logs))
    images = [dataset[i][0] for i in range(COUNT)]
    with TestClient(create_app([opened], LIMITS, precision=precision)) as client:

        def ask(first: int, count: int) -> list[list[float]]:
            files = [("image", ("a.png", png(images[i][:, :, 0]))) for i in range(first, first + count)]
            answer = client.post("/v1/predict?top_k=10", files=files)
            assert answer.status_code == 200, answer.text
            assert answer.json()["precision"] == precision
            return [in_order({p["label"]: p["score"] for p in r["predictions"]}) for r in answer.json()["results"]]

        def in_order(scores: dict[str, float]) -> list[float]:
            return [scores[name] for name in opened.classes]

        with concurrent.futures.ThreadPoolExecutor(4) as clients:
            together = [row for part in clients.map(lambda first: ask(first, 4), range(0, COUNT, 4)) for row in part]
        alone = [ask(i, 1)[0] for i in range(COUNT)]
    predicted = [
        in_order({p.label: p.score for p in one.predictions}) for one in predict(opened, images, 10, precision)
    ]
    assert np.ptp(evaluated, axis=0).max() > 10 * AGREE[precision]  # the images differ by more than is allowed
    for served in (together, alone, predicted):
        np.testing.assert_allclose(served, evaluated, rtol=0, atol=AGREE[precision])
