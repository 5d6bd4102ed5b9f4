"""The images of a request and its options, in each form that the API takes."""

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from alexnet.errors import counted
from alexnet.serving.limits import Limits
from alexnet.serving.problems import Problem, of_many

T = TypeVar("T", bound=BaseModel)


class Options(BaseModel):
    """What a request may choose beside its images; USES says which path takes what."""

    model_config = ConfigDict(extra="forbid")
    model: str | None = Field(None, max_length=200, description="Name of the model; none: the server's first.")
    top_k: int = Field(5, ge=1, le=1000, description="How many classes to return, likeliest first.")
    layers: str = Field("fc7", max_length=500, description="Taps for /v1/features, separated by commas.")
    layer: str | None = Field(
        None, max_length=100, description="The layer to look at: conv1 is after its ReLU, conv1:pre before it."
    )
    method: str = Field("gradcam", max_length=40, description="How /v1/explain explains.")
    label: str | None = Field(None, max_length=1000, description="The class to explain; none: the likeliest.")
    index: str | None = Field(None, max_length=60, description="Place in a layer's output, such as 3,7,12 or 41.")
    change: str = Field("", max_length=300, description="Constants to break, such as channels=BGR, separated by ';'.")


USES: dict[str, tuple[str, ...]] = {
    "predict": ("top_k",),
    "features": ("layers",),
    "explain": ("method", "label", "layer"),
    "activations": (),
    "maps": ("layer", "index"),
    "arithmetic": ("layer", "index"),
    "similar": ("top_k",),
    "what-if": ("change", "top_k"),
}
"""Last part of a path under /v1 → the options that it takes beside `model`."""


class Body(Options):
    """A JSON request."""

    images: list[Annotated[str, Field(min_length=1, json_schema_extra={"contentEncoding": "base64"})]] = Field(
        min_length=1, description="Encoded images (PNG, JPEG, …) in base64."
    )


@dataclass(frozen=True)
class Asked:
    images: list[bytes]
    options: Options


async def read(request: Request, limits: Limits) -> Asked:
    """Multipart (field `image`, repeated), JSON (`images` in base64) or the image itself as the body."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    path = request.url.path.rpartition("/")[2]
    takes = ("model", *USES[path])
    chosen = queried(request, takes)
    if kind == "multipart/form-data":
        images = await _multipart(request, limits, chosen)
        _take(chosen, takes, path)
        options = checked(Options, chosen)
    elif kind == "application/json":
        _choose(chosen, parsed(await request.body()).items())
        _take(chosen, ("images", *takes), path)
        body = checked(Body, chosen)
        images, options = all_decoded64(body.images), body
    elif kind == "application/x-www-form-urlencoded":
        raise Problem(
            415,
            "an image comes as the body itself with Content-Type: image/png (or its own type), as multipart/form-data, "
            "or in base64 as JSON; this request says application/x-www-form-urlencoded",
        )
    else:
        images, options = [await request.body()], checked(Options, chosen)
    if not images or not any(images):
        raise Problem(422, "the request holds no image")
    if len(images) > limits.images:
        raise Problem(413, f"a request may hold at most {counted(limits.images, 'image')}, not {len(images)}")
    return Asked(images, options)


def queried(request: Request, takes: Sequence[str]) -> dict[str, str]:
    """The options of a request's query. Raises Problem 422 for one that is none of `takes`, or stands there twice."""
    chosen: dict[str, str] = {}
    _choose(chosen, request.query_params.multi_items())
    _take(chosen, takes, request.url.path.rpartition("/")[2])
    return chosen


def _take(chosen: Iterable[str], takes: Sequence[str], path: str) -> None:
    """Raises Problem 422 for an option that the path does not take."""
    if extra := set(chosen) - set(takes):
        own = f"takes {', '.join(takes)}" if takes else "takes no options"
        raise Problem(422, f"{min(extra)[:60]}: {path} {own}")


def _choose(chosen: dict[str, Any], given: Iterable[tuple[str, Any]]) -> None:
    """Adds options. Problem 422 for one that is there already, in the query or the body: neither would be right."""
    for name, value in given:
        if name in chosen:
            raise Problem(422, f"{name[:60]}: given more than once")
        chosen[name] = value


async def _multipart(request: Request, limits: Limits, chosen: dict[str, Any]) -> list[bytes]:
    images = []
    body = await request.body()
    boundary = parse_options_header(request.headers["content-type"])[1].get(b"boundary", b"")
    if boundary and b"--" + boundary + b"--" not in body:  # the parser takes what came before the end for all
        raise Problem(400, "the form cannot be read: its last boundary is missing")
    try:
        async with request.form(max_files=limits.images, max_fields=32, max_part_size=2**16) as form:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    images.append(await value.read())
                elif name == "image":
                    raise Problem(422, "image: this is text; it takes a file, such as curl's -F image=@cat.png")
                else:
                    _choose(chosen, [(name, value)])
    except HTTPException as error:
        raise Problem(400, f"the form cannot be read: {error.detail}") from None
    except (ValueError, KeyError, UnicodeError):
        raise Problem(400, "the form cannot be read") from None
    return images


def parsed(content: bytes) -> dict[str, Any]:
    """A JSON object. Raises Problem 400, and 422 for a name that stands twice in it."""
    try:
        found = json.loads(content, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        raise Problem(400, "the body is not JSON") from None
    if not isinstance(found, dict):
        raise Problem(400, "the body must be a JSON object")
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    _choose(found, pairs)
    return found


def all_decoded64(texts: Sequence[str]) -> list[bytes]:
    """Images in base64, as a data URL too, in lines or in one. Raises Problem 422 that says which one is not."""
    return [_decoded64(text, place, len(texts)) for place, text in enumerate(texts)]


def _decoded64(text: str, place: int, count: int) -> bytes:
    try:
        return base64.b64decode("".join((text.partition("base64,")[2] or text).split()), validate=True)
    except (binascii.Error, ValueError):
        raise Problem(422, of_many("the image is not valid base64", place, count)) from None


def checked(kind: type[T], values: dict[str, Any]) -> T:
    """`values` as `kind`. Raises Problem 422 that names the first field that is wrong."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:60] for part in first["loc"])
        raise Problem(422, f"{where}: {first['msg']}" if where else first["msg"]) from None
