"""The images of a request and its options, in each form that the API takes."""

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from alexnet.errors import counted
from alexnet.serving.limits import Limits
from alexnet.serving.problems import Problem

T = TypeVar("T", bound=BaseModel)


class Options(BaseModel):
    """What a request may choose beside its images; USES says which path takes what."""

    model_config = ConfigDict(extra="forbid")
    model: str | None = Field(None, max_length=200, description="Name of the model; none: the server's first.")
    top_k: int = Field(5, ge=1, le=1000, description="How many classes to return, likeliest first.")
    layers: str = Field("fc7", max_length=500, description="Taps for /v1/features, separated by commas.")
    layer: str | None = Field(None, max_length=100, description="The layer to look at.")
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
    chosen: dict[str, Any] = {}
    _choose(chosen, request.query_params.multi_items())
    if kind == "multipart/form-data":
        images = await _multipart(request, limits, chosen)
        options = checked(Options, chosen)
    elif kind == "application/json":
        _choose(chosen, parsed(await request.body()).items())
        body = checked(Body, chosen)
        images, options = [decoded64(text) for text in body.images], body
    elif kind == "application/x-www-form-urlencoded":
        raise Problem(415, "send an image as multipart/form-data, as JSON with base64, or as the body itself")
    else:
        images, options = [await request.body()], checked(Options, chosen)
    path = request.url.path.rpartition("/")[2]
    takes = ("model", *USES[path])
    if extra := options.model_fields_set - {"images", *takes}:
        raise Problem(422, f"{min(extra)}: {path} takes {', '.join(takes)}")
    if not images or not any(images):
        raise Problem(422, "the request holds no image")
    if len(images) > limits.images:
        raise Problem(413, f"a request may hold at most {counted(limits.images, 'image')}, not {len(images)}")
    return Asked(images, options)


def _choose(chosen: dict[str, Any], given: Iterable[tuple[str, Any]]) -> None:
    """Adds options. Problem 422 for one that is there already, in the query or the body: neither would be right."""
    for name, value in given:
        if name in chosen:
            raise Problem(422, f"{name[:60]}: given more than once")
        chosen[name] = value


async def _multipart(request: Request, limits: Limits, chosen: dict[str, Any]) -> list[bytes]:
    images = []
    try:
        async with request.form(max_files=limits.images, max_fields=32, max_part_size=2**16) as form:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    images.append(await value.read())
                else:
                    _choose(chosen, [(name, value)])
    except HTTPException as error:
        raise Problem(400, f"the form cannot be read: {error.detail}") from None
    except (ValueError, KeyError, UnicodeError):
        raise Problem(400, "the form cannot be read") from None
    return images


def parsed(content: bytes) -> dict[str, Any]:
    """A JSON object. Raises Problem 400."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise Problem(400, "the body is not JSON") from None
    if not isinstance(found, dict):
        raise Problem(400, "the body must be a JSON object")
    return found


def decoded64(text: str) -> bytes:
    try:
        return base64.b64decode(text.partition("base64,")[2] or text, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(422, "an image is not valid base64") from None


def checked(kind: type[T], values: dict[str, Any]) -> T:
    """`values` as `kind`. Raises Problem 422 that names the first field that is wrong."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:60] for part in first["loc"])
        raise Problem(422, f"{where}: {first['msg']}" if where else first["msg"]) from None
