"""What a request did wrong, as problem details (RFC 9457)."""

from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class Problem(Exception):
    """A request that cannot be answered: its status and one line for the client, which names no server path."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None):
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}

    def to_json(self) -> dict[str, Any]:
        title = HTTPStatus(self.status).phrase
        return {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}

    def response(self) -> Response:
        return JSONResponse(self.to_json(), self.status, headers=self.headers, media_type="application/problem+json")


def of_many(detail: str, place: int, count: int) -> str:
    """What is wrong with an image, where a request holds several: with the number of that one, the first being 1."""
    return detail if count == 1 else f"image {place + 1} of {count}: {detail}"


def busy() -> Problem:
    return Problem(503, "too many images are waiting; try again in a second", {"Retry-After": "1"})


async def answered(_: Request, error: Exception) -> Response:
    """Starlette's handler of a Problem."""
    assert isinstance(error, Problem)
    return error.response()


async def not_routed(_: Request, error: Exception) -> Response:
    """Starlette's own HTTP errors (404, 405), in the same form."""
    status = getattr(error, "status_code", 500)
    known = {404: "there is nothing at this path; see /docs", 405: "this path takes another method; see /docs"}
    return Problem(
        status, known.get(status, HTTPStatus(status).phrase), dict(getattr(error, "headers", None) or {})
    ).response()


async def failed(_: Request, error: Exception) -> Response:
    """A fault of ours: the client learns only that there was one."""
    return Problem(500, f"the server failed to answer ({type(error).__name__}); its log says more").response()
