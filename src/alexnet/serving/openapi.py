"""The OpenAPI description of the server."""

from typing import Any

from alexnet import __version__
from alexnet.serving.inputs import Body, Options
from alexnet.serving.limits import Limits
from alexnet.serving.open_inference import Infer

Schema = dict[str, Any]


def describe(limits: Limits, models: list[str], secured: bool) -> Schema:
    """OpenAPI 3.1, as /openapi.json answers."""
    paths = {
        "/v1/predict": _images("The likeliest classes of one or many images.", _PREDICTED, limits),
        "/v1/features": _images("Activations of layers, for one or many images.", _FEATURES, limits),
        "/v1/explain": _images("Which parts of one image speak for a class.", _OBJECT, limits),
        "/v1/activations": _images("Every layer of one image.", _OBJECT, limits),
        "/v1/maps": _images("All values of one channel of one layer, for one image.", _OBJECT, limits),
        "/v1/arithmetic": _images("How one number of one layer came about, for one image.", _OBJECT, limits),
        "/v1/similar": _images("The nearest images of the server's index, for one image.", _OBJECT, limits),
        "/v1/what-if": _images("One image under changed constants.", _OBJECT, limits),
        "/v1/samples": {
            "get": {
                "summary": "Images to try: of the model's own dataset, where it is at hand.",
                "parameters": [{"name": "model", "in": "query", "required": False, "schema": {"type": "string"}}],
                "responses": _answers(_OBJECT),
            }
        },
        "/v1/models": _get("The models of this server.", {"type": "array", "items": {"type": "object"}}),
        "/healthz": _get("Whether the server answers.", _OBJECT),
        "/metrics": {
            "get": {
                "summary": "Counters for Prometheus.",
                "responses": {
                    "200": {"description": "Metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}}
                },
            }
        },
        "/v2": _get("The server, in the Open Inference Protocol.", _OBJECT),
        "/v2/health/live": _get("Liveness.", _OBJECT),
        "/v2/health/ready": _get("Readiness.", _OBJECT),
        "/v2/models/{model}": _named(_get("A model's inputs and outputs.", _OBJECT), models),
        "/v2/models/{model}/ready": _named(_get("A model's readiness.", _OBJECT), models),
        "/v2/models/{model}/infer": _named(_infer(), models),
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
    return described


_OBJECT: Schema = {"type": "object"}
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
                            },
                        },
                    }
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


def _answers(schema: Schema) -> Schema:
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
        "200": {"description": "The answer.", "content": {"application/json": {"schema": schema}}},
        **{status: {"description": text, "content": problem} for status, text in wrong.items()},
    }


def _get(summary: str, schema: Schema) -> Schema:
    return {"get": {"summary": summary, "responses": _answers(schema)}}


def _images(summary: str, schema: Schema, limits: Limits) -> Schema:
    options = Options.model_json_schema()["properties"]
    form = {
        "type": "object",
        "required": ["image"],
        "properties": {
            "image": {"type": "array", "items": {"type": "string", "format": "binary"}, "maxItems": limits.images}
        },
    }
    content = {
        "application/json": {"schema": Body.model_json_schema()},
        "multipart/form-data": {"schema": form},
        "image/*": {"schema": {"type": "string", "format": "binary"}},
    }
    parameters = [
        {"name": name, "in": "query", "required": False, "schema": own, "description": own.get("description", "")}
        for name, own in options.items()
    ]
    return {
        "post": {
            "summary": summary,
            "description": f"At most {limits.images} images and {limits.body_bytes:,} bytes in a request.",
            "parameters": parameters,
            "requestBody": {"required": True, "content": content},
            "responses": _answers(schema),
        }
    }


def _named(path: Schema, models: list[str]) -> Schema:
    name = {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "examples": models}}
    return {**path, "parameters": [name]}


def _infer() -> Schema:
    schema = Infer.model_json_schema(ref_template="#/paths/~1v2~1models~1{{model}}~1infer/post/requestBody/{model}")
    tensor = schema.pop("$defs")["Tensor"]
    schema["properties"]["inputs"]["items"] = tensor
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {
        "post": {"summary": "Probabilities of a batch of images.", "requestBody": body, "responses": _answers(_OBJECT)}
    }
