"""Counters in the text format that Prometheus reads."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alexnet.serving.engine import Engines


class Metrics:
    """Requests by path and status, seconds by path; images, batches and waiting images by model."""

    def __init__(self, engines: Engines) -> None:
        self.engines = engines
        self.registry = CollectorRegistry()
        self.requests = Counter("alexnet_requests", "Requests answered.", ("path", "status"), registry=self.registry)
        self.seconds = Histogram(
            "alexnet_request_seconds", "From request to answer.", ("path",), registry=self.registry
        )
        self.waiting = Gauge(
            "alexnet_waiting_images", "Accepted, not answered yet.", ("model",), registry=self.registry
        )
        self.images = Gauge("alexnet_images", "Images that ran since the start.", ("model",), registry=self.registry)
        self.batches = Gauge("alexnet_batches", "Batches that ran since the start.", ("model",), registry=self.registry)

    def text(self) -> bytes:
        for name, engine in self.engines.all.items():
            self.waiting.labels(name).set(engine.batcher.waiting)
            self.images.labels(name).set(engine.batcher.images)
            self.batches.labels(name).set(engine.batcher.batches)
        return generate_latest(self.registry)


class Counted:
    """ASGI middleware that counts; paths that are not routes share one label, so that nobody can make up more."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: frozenset[str]) -> None:
        self.app, self.metrics, self.paths = app, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self.paths else "other"
        started = time.monotonic()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.metrics.requests.labels(path, str(message["status"])).inc()
                self.metrics.seconds.labels(path).observe(time.monotonic() - started)
            await send(message)

        await self.app(scope, receive, counted)
