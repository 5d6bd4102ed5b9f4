"""What the server accepts, and the middleware that enforces it before anything else looks at a request."""

import asyncio
import hmac
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alexnet.serving.problems import Problem


@dataclass(frozen=True)
class Limits:
    body_bytes: int = 32 * 2**20
    """Of a request."""
    pixels: int = 50_000_000
    """Of an image."""
    images: int = 64
    """In a request."""
    body_seconds: float = 20.0
    """In which a request's body must have arrived."""
    answer_seconds: float = 60.0
    """In which a request must be answered."""
    waiting_images: int = 256
    """That are accepted and not answered yet; beyond, requests get 503."""


SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
OPEN = ("/healthz", "/v2/health/live", "/v2/health/ready")
"""Paths that need no token."""


class Guard:
    """ASGI middleware: bearer token, size and time of the body, security headers."""

    def __init__(self, app: ASGIApp, limits: Limits, token: str | None = None) -> None:
        self.app, self.limits, self.token = app, limits, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self._authorize(scope)
            body = await self._body(scope, receive)
        except Problem as problem:
            await problem.response()(scope, receive, secured)
            return

        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:  # the body was given: what comes next is the client's leaving
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, secured)

    def _authorize(self, scope: Scope) -> None:
        if self.token is None or scope["path"] in OPEN:
            return
        kind, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        # Compared in constant time, as bytes: a token may be any text.
        right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self.token.encode())
        if kind.lower() != "bearer" or not right:
            raise Problem(401, "this server wants a bearer token", {"WWW-Authenticate": "Bearer"})

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        most = self.limits.body_bytes
        too_large = Problem(413, f"a request may have at most {most:,} bytes")
        told = Headers(scope=scope).get("content-length", "0")
        if not told.isascii() or not told.isdecimal() or len(told) > 18 or int(told) > most:
            raise too_large
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Problem(400, "the client left before its request was complete")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > most:
                        raise too_large
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise Problem(408, f"the request did not arrive within {self.limits.body_seconds:g} s") from None
