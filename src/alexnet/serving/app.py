"""The application: API, page and limits put together."""

import contextlib
import mimetypes
from collections.abc import AsyncIterator, Sequence
from importlib import resources

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from alexnet.inference.model import Model
from alexnet.serving.api import Api
from alexnet.serving.engine import Engine, Engines, named
from alexnet.serving.limits import Guard, Limits
from alexnet.serving.metrics import Counted, Metrics
from alexnet.serving.neighbors import Neighbors
from alexnet.serving.open_inference import OpenInference
from alexnet.serving.openapi import describe
from alexnet.serving.problems import Problem, answered, failed, not_routed

ASSETS = {"/": "index.html", "/docs": "docs.html"} | {
    f"/{name}": name for name in ("app.js", "beside.js", "maps.js", "words.js", "docs.js", "style.css")
}
"""Paths of the page's files, and their names in alexnet/pages/serve."""


def create_app(
    models: Sequence[Model],
    limits: Limits | None = None,
    *,
    token: str | None = None,
    precision: str = "fp32",
    runtime: str = "torch",
    batch: int = 64,
    neighbors: Neighbors | None = None,
) -> Starlette:
    """The ASGI application for one or more models, the first of which answers when a request names none.

    `batch`: images that run together at most. `neighbors`: an index of the first model.
    `token`: a bearer token that every request but health checks must carry.
    Raises InputError when a model's serving form does not answer as the plain network does.
    """
    limits = limits or Limits()
    engines = Engines(
        [
            Engine(name, model, limits, precision, batch, runtime)
            for name, model in zip(named(models), models, strict=True)
        ]
    )
    metrics = Metrics(engines)
    api = Api(engines, limits, metrics, neighbors)
    description = describe(limits, list(engines.all), token is not None)

    async def openapi(_: Request) -> Response:
        return JSONResponse(description)

    routes = [
        *api.routes(),
        *OpenInference(api).routes(),
        Route("/openapi.json", openapi),
        *(Route(path, _asset(name)) for path, name in ASSETS.items()),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        engines.close()

    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[
            Middleware(Counted, metrics=metrics, paths=frozenset(route.path for route in routes)),
            Middleware(Guard, limits=limits, token=token),
        ],
        exception_handlers={Problem: answered, HTTPException: not_routed, Exception: failed},
    )
    app.state.engines = engines
    return app


def _asset(name: str):
    content = (resources.files("alexnet.pages") / "serve" / name).read_bytes()
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"

    async def asset(_: Request) -> Response:
        return Response(content, media_type=f"{kind}; charset=utf-8", headers={"Cache-Control": "no-cache"})

    return asset
