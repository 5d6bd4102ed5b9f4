"""The API under /v1: predict, explain, features, activations and the arithmetic of one number."""

import asyncio
import base64
import io
import time
from typing import Any

import numpy as np
import torch
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from alexnet.errors import InputError, counted, unknown
from alexnet.inference.label_metrics import chosen
from alexnet.insight.arithmetic import account
from alexnet.insight.explain import explain as attribute
from alexnet.insight.trace import Trace, trace
from alexnet.models import quick
from alexnet.serving.answers import Json
from alexnet.serving.batching import Answer, Full
from alexnet.serving.engine import Engine, Engines, room
from alexnet.serving.inputs import Asked, queried, read
from alexnet.serving.limits import Limits
from alexnet.serving.metrics import Metrics
from alexnet.serving.neighbors import Neighbors, broken, to_try
from alexnet.serving.problems import Problem, busy, of_many

_TILES = 64  # feature maps of a layer that are drawn at first
_NOT_FINITE = "the network's outputs for this image are not finite numbers"


class Api:
    """The routes, for some engines."""

    def __init__(self, engines: Engines, limits: Limits, metrics: Metrics, neighbors: Neighbors | None = None) -> None:
        """`neighbors`: of the first engine's model."""
        self.engines, self.limits, self.metrics, self.neighbors = engines, limits, metrics, neighbors
        self._samples: dict[str, list[str]] = {}

    def routes(self) -> list[Route]:
        return [
            Route("/v1/models", self.models),
            Route("/v1/predict", self.predict, methods=["POST"]),
            Route("/v1/features", self.features, methods=["POST"]),
            Route("/v1/explain", self.explain, methods=["POST"]),
            Route("/v1/activations", self.activations, methods=["POST"]),
            Route("/v1/maps", self.maps, methods=["POST"]),
            Route("/v1/arithmetic", self.arithmetic, methods=["POST"]),
            Route("/v1/similar", self.similar, methods=["POST"]),
            Route("/v1/what-if", self.what_if, methods=["POST"]),
            Route("/v1/samples", self.samples),
            Route("/healthz", self.health),
            Route("/metrics", self.exposition),
        ]

    async def models(self, request: Request) -> Response:
        queried(request, ())
        first = self.engines.first
        return Json(
            [
                described(engine) | {"similar": self.neighbors is not None and engine is first}
                for engine in self.engines.all.values()
            ]
        )

    async def predict(self, request: Request) -> Response:
        asked, engine = await self._asked(request)
        started = time.monotonic()
        rows = await self.probabilities(engine, asked.images)
        seconds = time.monotonic() - started
        found = [answer(engine, row, asked.options.top_k) for row in rows]
        return Json(
            {
                "model": engine.name,
                "precision": engine.precision,
                "seconds": round(seconds, 6),
                "results": found,
            }
        )

    async def features(self, request: Request) -> Response:
        asked, engine = await self._asked(request)
        names = [name.strip() for name in asked.options.layers.split(",")]
        if not all(names):
            raise Problem(422, "layers takes the names of layers, separated by commas, such as conv5:pre,fc7")
        if twice := next((name for place, name in enumerate(names) if name in names[:place]), None):
            raise Problem(422, f"layer {twice!r} is asked for twice")

        def compute() -> dict[str, Any]:
            images = np.stack([engine.decoded_of(asked.images, place) for place in range(len(asked.images))])
            with torch.inference_mode():
                inputs = engine._augmenter.evaluate(torch.from_numpy(images))
                found = quick.tap(_network(engine), inputs, names)
            return {
                name: {"shape": list(value.shape), "data": value.flatten().tolist()} for name, value in found.items()
            }

        found = await self._threaded(engine, len(asked.images), compute)
        return Json({"model": engine.name, "precision": "fp32", "layers": found})

    async def explain(self, request: Request) -> Response:
        """Which parts of one image speak for a class: a map of the input's height and width."""
        asked, engine = await self._asked(request, one=True)
        options = asked.options

        def compute() -> dict[str, Any]:
            inputs, classes = engine.inputs(engine.decoded(asked.images[0])), engine.model.classes
            network = _network(engine)
            if options.label is None:
                with torch.inference_mode():
                    outputs = network(inputs)
                if not outputs.isfinite().all():
                    raise InputError(_NOT_FINITE)
                target = int(outputs.argmax())
            elif options.label in classes:
                target = classes.index(options.label)
            else:
                raise unknown("class", options.label, classes)
            heat = attribute(network, inputs, target, options.method, options.layer)
            shown = {"model": engine.name, "method": options.method, "label": classes[target]}
            return shown | {"shape": list(heat.shape), "data": heat.tolist()}

        return Json(await self._threaded(engine, 1, compute))

    async def activations(self, request: Request) -> Response:
        """Every layer of one image, by its own output (conv1:pre, relu1, …): shape, range, sparsity, and an image of
        its first maps."""
        asked, engine = await self._asked(request, one=True)

        def compute() -> list[dict[str, Any]]:
            found = _traced(engine, asked)
            return [seen(name, found.output(name)) for name in found.names]

        return Json({"model": engine.name, "layers": await self._threaded(engine, 1, compute)})

    async def maps(self, request: Request) -> Response:
        """All values of one layer, or of one channel of it (`index`); conv1 is after its ReLU, conv1:pre before it."""
        asked, engine = await self._asked(request, one=True)

        def compute() -> dict[str, Any]:
            found = _traced(engine, asked)
            name = asked.options.layer or "conv1"
            values = found.output(name)
            place = _place(asked.options.index)
            if values.ndim != 3 and place is not None:
                raise InputError(f"{name} has no channels, and is given whole: index is for layers of maps")
            if place is not None and len(place) != 1:
                raise InputError(f"index is here one channel, such as 7, not {asked.options.index!r}")
            if values.ndim == 3:
                channel = place[0] if place else 0
                if channel >= len(values):
                    raise InputError(f"{name} has {counted(len(values), 'channel')}; there is no channel {channel}")
                values = values[channel]
            return {"layer": name, "shape": list(values.shape), "data": values.tolist()}

        return Json(await self._threaded(engine, 1, compute))

    async def arithmetic(self, request: Request) -> Response:
        """How the number at `index` of `layer` came about; of conv1 the sum, which is conv1:pre."""
        asked, engine = await self._asked(request, one=True)

        def compute() -> dict[str, Any]:
            found = _traced(engine, asked)
            layer = found.summed(asked.options.layer or "conv1")
            index = _place(asked.options.index) or tuple(side // 2 for side in found.output(layer).shape)
            told = account(found, layer, index).to_json()
            if layer == found.answer:
                told["label"] = engine.model.classes[index[0]]
            return told

        return Json({"model": engine.name, **await self._threaded(engine, 1, compute)})

    async def similar(self, request: Request) -> Response:
        """The nearest images of the index (`--index`) by a layer's features."""
        asked, engine = await self._asked(request, one=True)
        neighbors = self.neighbors
        if neighbors is None or engine is not self.engines.first:
            raise Problem(404, "this server has no index of that model; start it with --index")

        def compute() -> list[dict[str, Any]]:
            return neighbors.nearest(engine, asked.images[0], min(asked.options.top_k, 50))

        found = await self._threaded(engine, 1, compute)
        return Json({"model": engine.name, "layer": neighbors.index.layer, "neighbors": found})

    async def what_if(self, request: Request) -> Response:
        """One image under changed constants (`change`, several separated by ';'; none: the usual mistakes)."""
        asked, engine = await self._asked(request, one=True)
        options = asked.options

        def compute() -> dict[str, Any]:
            return broken(engine, asked.images[0], options.change, min(options.top_k, 20))

        return Json({"model": engine.name, **await self._threaded(engine, 1, compute)})

    async def samples(self, request: Request) -> Response:
        """A few images of the model's own to try; none where its dataset is not at hand."""
        engine = self.engines.get(queried(request, ("model",)).get("model"))
        if engine.name not in self._samples:
            self._samples[engine.name] = await run_in_threadpool(to_try, engine.model)
        return Json({"model": engine.name, "images": self._samples[engine.name]})

    async def health(self, _: Request) -> Response:
        return Json({"status": "ok", "models": list(self.engines.all)})

    async def exposition(self, _: Request) -> Response:
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def probabilities(self, engine: Engine, contents: list[bytes]) -> np.ndarray:
        """Of encoded images, float32 N×K."""
        return await self._within(engine.answer(contents))

    async def batched(self, engine: Engine, images: np.ndarray) -> np.ndarray:
        """Of images at the stored size, uint8 N×H×W×C."""
        try:
            return await self._within(engine.batcher.submit(images))
        except Full:
            raise busy() from None

    async def _within(self, waiting: Answer) -> np.ndarray:
        try:
            async with asyncio.timeout(self.limits.answer_seconds):
                found = await asyncio.wrap_future(waiting)
        except TimeoutError:
            raise Problem(503, "the answer took too long", {"Retry-After": "1"}) from None
        if len(wrong := np.flatnonzero(~np.isfinite(found).all(1))):  # they have no order: none is the likeliest
            raise Problem(422, of_many(_NOT_FINITE, int(wrong[0]), len(found)))
        return found

    async def _threaded(self, engine: Engine, images: int, compute: Any) -> Any:
        """Work beside the batches, which counts as waiting images so that it cannot pile up either."""
        room(engine, images)
        try:
            return await run_in_threadpool(compute)
        except InputError as error:
            raise Problem(422, str(error)) from None
        finally:
            engine.batcher.withdraw(images)

    async def _asked(self, request: Request, one: bool = False) -> tuple[Asked, Engine]:
        asked = await read(request, self.limits)
        if one and len(asked.images) != 1:
            raise Problem(422, f"this takes one image, not {len(asked.images)}")
        return asked, self.engines.get(asked.options.model)


def described(engine: Engine) -> dict[str, Any]:
    """What /v1/models says of a model."""
    model, wants = engine.model, engine.model.preprocessing
    told: dict[str, Any] = {"task": model.card.task}
    if model.multilabel:
        told["thresholds"] = model.thresholds.tolist()
    return {
        "name": engine.name,
        "network": _network(engine).spec.name,
        "precision": engine.precision,
        "classes": list(model.classes),
        "input": [wants.channels, *wants.size],
        "layers": list(_network(engine).layer_names),
        **told,
    }


def answer(engine: Engine, row: np.ndarray, top: int) -> dict[str, Any]:
    """The `top` likeliest classes of an image, likeliest first, as other pipelines print them; of a model that may name
    several labels an image each with the threshold from which on it is given, and `labels`, all that are given."""
    model, order = engine.model, np.argsort(-row, kind="stable")[:top]
    found = [{"label": model.classes[i], "score": float(row[i])} for i in order]
    if not model.multilabel:
        return {"predictions": found}
    thresholds = model.thresholds
    predictions = [each | {"threshold": float(thresholds[i])} for each, i in zip(found, order, strict=True)]
    given = np.flatnonzero(chosen(row, thresholds))
    return {"predictions": predictions, "labels": [model.classes[int(i)] for i in given]}


def seen(name: str, values: torch.Tensor) -> dict[str, Any]:
    """A layer's output in numbers, and its first maps side by side as a PNG."""
    found: dict[str, Any] = {
        "layer": name,
        "shape": list(values.shape),
        "low": values.min().item(),
        "high": values.max().item(),
        "zeros": (values == 0).float().mean().item(),
    }
    if values.ndim == 3:
        shown = values[:_TILES]
        found |= {"columns": min(8, len(shown)), "tiles": len(shown), "image": tiled(shown, min(8, len(shown)))}
    else:
        found["data"] = values.flatten()[:4096].tolist()
    return found


def tiled(maps: torch.Tensor, columns: int) -> str:
    """float C×H×W as one gray PNG, a data URL: each map from its lowest (black) to its highest value (white).

    What has no place between two finite numbers is black.
    """
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    gray = ((maps - low) / (high - low).clamp_min(1e-12) * 255).nan_to_num(0, 255, 0).clamp(0, 255).byte().numpy()
    count, height, width = gray.shape
    sheet = np.zeros((-(-count // columns) * height, columns * width), np.uint8)
    for at, each in enumerate(gray):
        row, column = divmod(at, columns)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = each
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _traced(engine: Engine, asked: Asked) -> Trace:
    return trace(_network(engine), engine.inputs(engine.decoded(asked.images[0])), engine.model.multilabel)


def _network(engine: Engine) -> Any:
    return engine.model.module


def _place(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = text.split(",")
    if not 1 <= len(parts) <= 3 or not all(part.strip().isascii() and part.strip().isdecimal() for part in parts):
        raise InputError(f"index is a place such as 3,7,12 or 41, not {text[:60]!r}")
    return tuple(int(part) for part in parts)
