"""The Open Inference Protocol (version 2), which existing clients speak.

https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md
"""

from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from alexnet import __version__
from alexnet.errors import counted
from alexnet.serving.answers import Json
from alexnet.serving.api import Api
from alexnet.serving.engine import Engine, room
from alexnet.serving.inputs import all_decoded64, checked, parsed
from alexnet.serving.problems import Problem

INPUT, OUTPUT = "images", "probabilities"


class Tensor(BaseModel):
    name: str = Field(max_length=100)
    shape: list[int] = Field(min_length=1, max_length=4)
    datatype: Literal["UINT8", "BYTES"]
    data: list[Any]
    parameters: dict[str, Any] = {}


class Infer(BaseModel):
    id: str | None = Field(None, max_length=200)
    inputs: list[Tensor] = Field(min_length=1, max_length=1)
    outputs: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {}


class OpenInference:
    """The routes under /v2."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def routes(self) -> list[Route]:
        return [
            Route("/v2", self.server),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.live),
            Route("/v2/models/{model}", self.model),
            Route("/v2/models/{model}/ready", self.ready),
            Route("/v2/models/{model}/infer", self.infer, methods=["POST"]),
        ]

    async def server(self, _: Request) -> Response:
        return Json({"name": "alexnet", "version": __version__, "extensions": []})

    async def live(self, request: Request) -> Response:
        return Json({request.url.path.rpartition("/")[2]: True})

    async def ready(self, request: Request) -> Response:
        engine = self._engine(request)
        return Json({"name": engine.name, "ready": True})

    async def model(self, request: Request) -> Response:
        engine = self._engine(request)
        shape = [-1, *engine.size, engine.model.preprocessing.channels]
        return Json(
            {
                "name": engine.name,
                "versions": ["1"],
                "platform": "pytorch",
                "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": shape}],
                "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, len(engine.model.classes)]}],
            }
        )

    async def infer(self, request: Request) -> Response:
        """`images`: UINT8 N×H×W×C of any height and width, or BYTES with N encoded images in base64."""
        engine = self._engine(request)
        asked = checked(Infer, parsed(await request.body()))
        tensor = asked.inputs[0]
        count = tensor.shape[0]
        if not 1 <= count <= self.api.limits.images:
            raise Problem(422, f"inputs.0.shape: from 1 to {counted(self.api.limits.images, 'image')}, not {count}")
        if tensor.datatype == "BYTES":
            if tensor.shape != [count] or len(tensor.data) != count or not all(isinstance(d, str) for d in tensor.data):
                raise Problem(422, "inputs.0: BYTES takes shape [N] and N base64 strings")
            rows = await self.api.probabilities(engine, all_decoded64(tensor.data))
        else:
            room(engine, count)
            try:
                images = await run_in_threadpool(self._array, engine, tensor)
            finally:
                engine.batcher.withdraw(count)
            rows = await self.api.batched(engine, images)
        output = {"name": OUTPUT, "datatype": "FP32", "shape": list(rows.shape), "data": rows.flatten().tolist()}
        answer: dict[str, Any] = {"model_name": engine.name, "model_version": "1", "outputs": [output]}
        return Json(answer if asked.id is None else {"id": asked.id, **answer})

    def _array(self, engine: Engine, tensor: Tensor) -> np.ndarray:
        wrong = Problem(
            422, "inputs.0: UINT8 takes shape [N, H, W, C] with C 1 or 3, and that many numbers from 0 to 255"
        )
        if len(tensor.shape) != 4 or tensor.shape[3] not in (1, 3) or min(tensor.shape) < 1:
            raise wrong
        height, width = tensor.shape[1:3]
        if height * width > self.api.limits.pixels:
            raise Problem(
                413, f"an image may have at most {self.api.limits.pixels:,} pixels, not {width:,} × {height:,}"
            )
        try:
            flat = np.asarray(tensor.data)
            if flat.dtype.kind not in "iu" or flat.min() < 0 or flat.max() > 255:
                raise ValueError
            images = flat.astype(np.uint8).reshape(tensor.shape)
        except (ValueError, TypeError, OverflowError):
            raise wrong from None
        return np.stack([engine.fitted(image) for image in images])

    def _engine(self, request: Request) -> Engine:
        return self.api.engines.get(request.path_params["model"])
