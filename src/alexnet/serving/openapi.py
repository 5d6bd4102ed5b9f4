"""The OpenAPI description of the server."""

from functools import partial
from typing import Any

from alexnet import __version__
from alexnet.errors import counted
from alexnet.insight.explain import METHODS
from alexnet.serving.inputs import USES, Body
from alexnet.serving.limits import OPEN, Limits
from alexnet.serving.open_inference import Infer

Schema = dict[str, Any]


def describe(limits: Limits, models: list[str], secured: bool) -> Schema:
    """OpenAPI 3.1, as /openapi.json answers."""
    images = partial(_images, limits, models)
    paths = {
        "/v1/predict": images("predict", "The likeliest classes of one or many images.", _PREDICTED),
        "/v1/features": images("features", "Activations of layers, for one or many images.", _FEATURES),
        "/v1/explain": images("explain", "Which parts of one image speak for a class.", _OBJECT),
        "/v1/activations": images(
            "activations", "Every layer of one image, each by its own output: conv1:pre, relu1, …", _OBJECT
        ),
        "/v1/maps": images("maps", "All values of one channel of one layer, for one image.", _OBJECT),
        "/v1/arithmetic": images(
            "arithmetic", "How one number of one layer came about, for one image; of conv1 the sum, conv1:pre.", _OBJECT
        ),
        "/v1/similar": images("similar", "The nearest images of the server's index, for one image.", _OBJECT),
        "/v1/what-if": images("what-if", "One image under changed constants.", _OBJECT),
        "/v1/samples": {
            "get": {
                "summary": "Images to try: of the model's own dataset, where it is at hand.",
                "parameters": [{"name": "model", "in": "query", "required": False, "schema": {"enum": models}}],
                "responses": _answers(_OBJECT),
            }
        },
        "/v1/models": _get("The models of this server.", {"type": "array", "items": {"type": "object"}}),
        "/healthz": _get("Whether the server answers.", _OBJECT),
        "/metrics": _get("Counters for Prometheus.", {"type": "string"}, "text/plain"),
        "/v2": _get("The server, in the Open Inference Protocol.", _OBJECT),
        "/v2/health/live": _get("Liveness.", _OBJECT),
        "/v2/health/ready": _get("Readiness.", _OBJECT),
        "/v2/models/{model}": _named(_get("A model's inputs and outputs.", _OBJECT), models),
        "/v2/models/{model}/ready": _named(_get("A model's readiness.", _OBJECT), models),
        "/v2/models/{model}/infer": _named(_infer(limits), models),
    }
    described: Schema = {
        "openapi": "3.1.0",
        "info": {"title": "alexnet", "version": __version__, "description": "Image classification."},
        "paths": paths,
        "components": {"schemas": {"Problem": _PROBLEM}},
    }
    if secured:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
        for path in OPEN:
            described["paths"][path]["get"]["security"] = []
    return described


_OBJECT: Schema = {"type": "object"}
_FILE: Schema = {"type": "string", "format": "binary"}
_PROBLEM: Schema = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
_PREDICTED: Schema = {
    "type": "object",
    "required": ["model", "precision", "results"],
    "properties": {
        "model": {"type": "string"},
        "precision": {"enum": ["fp32", "bf16", "int8"]},
        "seconds": {"type": "number"},
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "predictions": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["label", "score"],
                            "properties": {
                                "label": {"type": "string"},
                                "score": {"type": "number", "minimum": 0, "maximum": 1},
                                "threshold": {
                                    "type": "number",
                                    "minimum": 0,
                                    "maximum": 1,
                                    "description": "Several labels an image: from which score on it is given.",
                                },
                            },
                        },
                    },
                    "labels": {
                        "type": "array",
                        "items": {"type": "string"},
                        "description": "Several labels an image: those that are given.",
                    },
                },
            },
        },
    },
}
_FEATURES: Schema = {
    "type": "object",
    "required": ["model", "layers"],
    "properties": {"model": {"type": "string"}, "precision": {"type": "string"}, "layers": {"type": "object"}},
}


def _answers(schema: Schema, kind: str = "application/json") -> Schema:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    wrong = {
        "400": "The request cannot be read.",
        "401": "A bearer token is missing or wrong.",
        "404": "There is no such model.",
        "408": "The request arrived too slowly.",
        "413": "The request, an image, or the number of images is too large.",
        "415": "This is not an image, or the content type is not supported.",
        "422": "A value or an image is wrong.",
        "503": "Too many images are waiting; Retry-After says when to try again.",
    }
    return {
        "200": {"description": "The answer.", "content": {kind: {"schema": schema}}},
        **{status: {"description": text, "content": problem} for status, text in wrong.items()},
    }


def _get(summary: str, schema: Schema, kind: str = "application/json") -> Schema:
    return {"get": {"summary": summary, "responses": _answers(schema, kind)}}


def _images(limits: Limits, models: list[str], name: str, summary: str, schema: Schema) -> Schema:
    body = Body.model_json_schema()
    takes = {each: body["properties"][each] for each in ("model", *USES[name])}
    for each, choices in (("model", [*models, None]), ("method", list(METHODS))):
        if each in takes:
            takes[each] = {key: takes[each][key] for key in ("default", "description")} | {"enum": choices}
    texts = {each: _text(own) for each, own in takes.items()}
    encoded = {**body["properties"]["images"], "maxItems": limits.images}
    body["properties"] = {"images": encoded, **takes}
    files = {"type": "array", "items": _FILE, "minItems": 1, "maxItems": limits.images}
    form = {"type": "object", "required": ["image"], "properties": {"image": files, **texts}}
    content = {
        "application/json": {"schema": body},
        "multipart/form-data": {"schema": form},
        "image/*": {"schema": _FILE},
    }
    parameters = [
        {"name": each, "in": "query", "required": False, "schema": own, "description": own["description"]}
        for each, own in texts.items()
    ]
    return {
        "post": {
            "summary": summary,
            "description": f"At most {counted(limits.images, 'image')} and {limits.body_bytes:,} bytes in a request.",
            "parameters": parameters,
            "requestBody": {"required": True, "content": content},
            "responses": _answers(schema),
        }
    }


def _text(schema: Schema) -> Schema:
    """An option's schema where it comes as text, in a query or a form: there is no null."""
    told = {key: value for key, value in schema.items() if value is not None and key != "anyOf"}
    if "enum" in told:
        told["enum"] = [each for each in told["enum"] if each is not None]
    return told | next((each for each in schema.get("anyOf", ()) if each["type"] != "null"), {})


def _named(path: Schema, models: list[str]) -> Schema:
    name = {"name": "model", "in": "path", "required": True, "schema": {"enum": models}}
    return {**path, "parameters": [name]}


def _infer(limits: Limits) -> Schema:
    schema = Infer.model_json_schema(ref_template="#/paths/~1v2~1models~1{{model}}~1infer/post/requestBody/{model}")
    tensor = schema.pop("$defs")["Tensor"]
    tensor["properties"]["shape"]["items"] |= {"minimum": 1, "maximum": limits.pixels}
    tensor["properties"]["shape"]["prefixItems"] = [{"type": "integer", "minimum": 1, "maximum": limits.images}]
    schema["properties"]["inputs"]["items"] = tensor
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {
        "post": {"summary": "Probabilities of a batch of images.", "requestBody": body, "responses": _answers(_OBJECT)}
    }
