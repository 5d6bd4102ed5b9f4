"""The page without a server (`alexnet export --format web`), in a real browser from a plain file server."""

import contextlib
import functools
import http.server
import io
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from requests_made import png
from test_page import shot
from torch import nn

pytest.importorskip("onnx", reason="needs: pip install 'alexnet[onnx]'")
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.export import web
from alexnet.export.formats import export
from alexnet.inference.model import Model, load_model
from alexnet.inference.predict import predict
from alexnet.insight.arithmetic import account
from alexnet.insight.trace import Trace, trace
from alexnet.models.layers import LocalResponseNorm, PaddedConv2d, ScaledDropout, SpatialResponseNorm
from alexnet.models.network import Network
from alexnet.serving.engine import Engine
from alexnet.serving.limits import Limits


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass

    def copyfile(self, source: Any, outputfile: Any) -> None:
        with contextlib.suppress(ConnectionError):  # a browser leaves a page before its files have come
            super().copyfile(source, outputfile)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a plain file server of a folder."""
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=str(folder)))
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}/"
    serving.shutdown()
    thread.join()
    serving.server_close()


def runtime() -> dict[str, bytes]:
    """The tests use no network: the package is in the cache, or they are skipped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALEXNET_OFFLINE", "1")
        try:
            return web.runtime()
        except InputError as error:
            pytest.skip(str(error))


@pytest.fixture(scope="module")
def site(opened: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of one exported folder, with its int8 form under int8/."""
    runtime()
    out = tmp_path_factory.mktemp("web") / "site"
    export(opened, "web", out)
    export(opened, "web-int8", out / "int8")
    with served(out) as address:
        yield address


@pytest.fixture
def page(browser: Any, site: str) -> Iterator[Any]:
    """The page in English; nothing may be written to the console, and nothing asked of another host."""
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.set_default_timeout(20_000)
    said: list[str] = []
    hosts: set[str] = set()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2] if "://" in request.url else ""))
    page.goto(site)
    yield page
    context.close()
    assert said == []
    assert hosts <= {site.split("/")[2], ""}


def encoded(array: np.ndarray, kind: str, **how: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **how)
    return file.getvalue()


def given(page: Any, folder: Path, content: bytes, name: str = "image.png") -> None:
    (folder / name).write_bytes(content)
    page.set_input_files("#file", folder / name)


def scores(page: Any) -> dict[str, float]:
    found = page.evaluate("App.ask('predict', {top_k: 5})")["results"][0]["predictions"]
    return {each["label"]: each["score"] for each in found}


def test_the_same_five_classes_as_predict(page: Any, opened: Model, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    smooth = np.asarray(Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).resize((300, 211)))
    clear = np.dstack([smooth, np.full(smooth.shape[:2], 255, np.uint8)])
    clear[:90, :, 3] = 0
    images = {
        "gray": (png(rng.integers(0, 256, (8, 8), np.uint8)), 1e-5),
        "enlarged": (png(rng.integers(0, 256, (5, 7), np.uint8)), 0.02),
        "color": (png(smooth), 0.02),
        "transparent": (encoded(clear, "PNG"), 0.02),
        "jpeg": (encoded(smooth, "JPEG", quality=90), 0.02),
        "webp": (encoded(smooth, "WEBP", lossless=True), 0.02),
    }
    for name, (content, bound) in images.items():
        given(page, tmp_path, content)
        page.locator("#status", has_text="%").wait_for()
        own = predict(opened, [tmp_path / "image.png"], top=5)[0].predictions
        found = scores(page)
        # Levels of the resized image may differ by one, which moves a probability a little.
        assert next(iter(found)) == own[0].label, name
        for each in own:
            if each.label in found:
                assert found[each.label] == pytest.approx(each.score, abs=bound), name
        if bound < 1e-4:
            assert list(found) == [each.label for each in own]


def test_a_picture_of_the_camera_without_a_server(page: Any) -> None:
    assert shot(page) > 1  # the camera's pattern


def test_resizing_differs_from_the_decoders_by_one_level_at_most(page: Any, opened: Model, tmp_path: Path) -> None:
    engine = Engine("one", opened, Limits())
    rng = np.random.default_rng(1)
    for shape in ((8, 8), (3, 5), (40, 31), (211, 300, 3), (17, 200, 3)):
        content = png(rng.integers(0, 256, shape, np.uint8))
        given(page, tmp_path, content)
        own = engine.decoded(content).flatten().astype(int)
        found = page.evaluate("(async () => [...await Decoding.read(App.image, Local.site)])()")
        assert np.abs(own - np.array(found)).max() <= 1, shape
    engine.close()


def test_every_number_and_its_arithmetic_are_the_networks(page: Any, opened: Model, tmp_path: Path) -> None:
    content = png(np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8))
    given(page, tmp_path, content)
    page.wait_for_selector("#tabs button")
    engine = Engine("one", opened, Limits())
    network = opened.module
    assert isinstance(network, Network)
    found = trace(network, engine.inputs(engine.decoded(content)))
    engine.close()
    assert [tab.inner_text() for tab in page.locator("#tabs button").all()] == list(found.names)
    rng = np.random.default_rng(0)
    for name in found.names:
        values = found.output(name)
        index = [int(rng.integers(side)) for side in values.shape]
        if values.ndim == 3:
            maps = page.evaluate(f"App.ask('maps', {{layer: '{name}', index: '{index[0]}'}})")
            np.testing.assert_allclose(maps["data"], values[index[0]].numpy(), atol=1e-5)
        asked = {"layer": name, "index": ",".join(map(str, index))}
        told = page.evaluate("values => App.ask('arithmetic', values)", asked)
        same(told, account(found, name, tuple(index)).to_json(), name)


def same(told: dict[str, Any], own: dict[str, Any], name: str, bound: float = 2e-5) -> None:
    """Two accounts of one number, of which one may be computed from sums in another order."""
    for key in ("layer", "kind", "index", "source"):
        assert told.get(key, own[key]) == own[key], (name, key)
    assert told["value"] == pytest.approx(own["value"], abs=bound, rel=bound), name
    assert told["others"] == pytest.approx(own["others"], abs=10 * bound), name
    number = re.compile(r"-?\d+(\.\d+)?(e[+-]\d+)?")
    for mine, theirs in zip(told["steps"], own["steps"], strict=True):
        assert number.sub("#", mine["text"]) == number.sub("#", theirs["text"]), name
        assert mine["value"] == pytest.approx(theirs["value"], abs=bound, rel=bound), (name, mine)
    kept = {tuple(term["at"]): term for term in told["terms"]}
    assert len(kept) == len(own["terms"]), name
    for term in own["terms"]:
        mine = kept.get(tuple(term["at"]))
        if mine is None:  # the smallest of those listed may be another
            assert len(own["terms"]) == 400
            continue
        for key in ("input", "weight", "product"):
            assert mine.get(key, 0) == pytest.approx(term.get(key, 0), abs=bound, rel=bound), (name, key)


KINDS = {
    "grouped": (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (4, 7, 7), (5, 0, 3)),
    "no bias": (nn.Conv2d(4, 2, 1, bias=False), (4, 3, 3), (1, 2, 2)),
    "lopsided": (PaddedConv2d(2, 3, 3, 2, (0, 1, 2, 1)), (2, 6, 6), (2, 0, 2)),
    "max-pool": (nn.MaxPool2d(3, 2, padding=1), (2, 7, 7), (1, 0, 3)),
    "mean-pool": (nn.AvgPool2d(3, 2, ceil_mode=True, count_include_pad=False), (2, 6, 6), (1, 2, 2)),
    "adaptive": (nn.AdaptiveAvgPool2d((2, 3)), (2, 7, 7), (1, 1, 2)),
    "lrn": (LocalResponseNorm(5, 0.01, 0.75, 2.0, True, 2), (8, 3, 3), (4, 1, 1)),
    "lrn of the paper": (LocalResponseNorm(3, 1e-5, 0.5, 1.0, False), (4, 3, 3), (0, 1, 1)),
    "spatial": (SpatialResponseNorm(3, 0.5), (2, 4, 4), (1, 0, 2)),
    "batch-norm": (nn.BatchNorm2d(3).eval(), (3, 2, 2), (2, 1, 0)),
    "relu": (nn.ReLU(), (2, 2, 2), (1, 1, 1)),
    "tanh": (nn.Tanh(), (2, 2, 2), (1, 0, 1)),
    "dropout": (nn.Dropout().eval(), (9,), (4,)),
    "scaled": (ScaledDropout(0.25).eval(), (9,), (4,)),
    "flatten": (nn.Flatten(), (3, 4, 5), (47,)),
    "linear": (nn.Linear(700, 3), (700,), (2,)),
    "log-softmax": (nn.LogSoftmax(dim=1), (6,), (3,)),
}


def test_the_arithmetic_of_each_kind_of_layer(page: Any) -> None:
    def tensor(values: torch.Tensor) -> dict[str, Any]:
        return {"dims": list(values.shape), "data": values.flatten().tolist()}

    for name, (layer, shape, index) in KINDS.items():
        torch.manual_seed(0)
        x = torch.randn(1, *shape) * 3
        with torch.no_grad():
            output = layer(x)[0]
        own = account(Trace({"one": (layer, x[0], output)}, output.flatten()), "one", index).to_json()
        weights = tensor(layer.weight.detach()) if isinstance(layer, nn.Conv2d | nn.Linear) else None
        constants = {"layer": "one", **web.constants(layer)}
        told = page.evaluate(
            "([layer, index, below, output, weights]) => Sums.account(layer, index, below, output, weights)",
            [constants, list(index), tensor(x[0]), tensor(output), weights],
        )
        same(told, own, name, 1e-6)
        assert told["value"] == pytest.approx(output[index].item(), rel=1e-5, abs=1e-6), name


def test_numbers_are_printed_as_python_prints_them(page: Any) -> None:
    values = [0.0, 1.0, -1.5, 123456.0, 0.00012345, 0.000012345, 9999.9, 1e-7, 12.3456, -0.5, 1e22]
    assert page.evaluate("values => values.map((v) => Sums.n(v))", values) == [f"{value:.4g}" for value in values]


def test_a_drawn_digit_and_a_clicked_pixel(page: Any) -> None:
    page.locator("#pad").wait_for()  # it is hidden until the model is known
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 190, box["y"] + 160, steps=3)
    page.mouse.up()
    page.wait_for_selector("#tabs button")
    page.locator(".maps button").nth(3).click()
    page.locator("#enlarged canvas").click()
    page.wait_for_selector("#steps li")
    shown = page.locator("#number-place").inner_text()
    assert shown.startswith("conv1:pre at 3, ")
    assert page.locator("#steps li b").last.inner_text() == shown.rpartition("= ")[2]


def test_int8_answers_and_shows_no_layers(page: Any, site: str, opened: Model, tmp_path: Path) -> None:
    page.goto(f"{site}int8/")
    page.wait_for_selector("#model option", state="attached")
    content = png(np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8))
    given(page, tmp_path, content)
    page.locator("#status", has_text="%").wait_for()
    own = predict(opened, [tmp_path / "image.png"], top=1)[0].predictions[0]
    found = scores(page)
    assert next(iter(found)) == own.label
    assert found[own.label] == pytest.approx(own.score, abs=0.2)
    assert page.locator("#layers").is_hidden()


def test_what_is_no_image_is_told(page: Any, tmp_path: Path) -> None:
    page.wait_for_selector("#model option", state="attached")
    given(page, tmp_path, b"<html></html>")
    page.locator("#status", has_text="not an image").wait_for()
    assert page.locator("#layers").is_hidden()


def test_without_the_runtime_one_line_says_what_is_missing(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path / "empty"))
    monkeypatch.setenv("ALEXNET_OFFLINE", "1")
    with pytest.raises(
        InputError, match=r"onnxruntime-web .* \$ALEXNET_OFFLINE is set: put https://registry.npmjs.org/"
    ):
        export(load_model(trained), "web", tmp_path / "site")
    assert not (tmp_path / "site").exists()
