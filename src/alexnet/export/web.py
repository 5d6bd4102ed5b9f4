"""A folder of static files: the page of `alexnet serve`, with the network in ONNX Runtime's WebAssembly."""

import io
import json
import tarfile
from importlib import resources
from pathlib import Path
from typing import Any

from torch import nn

from alexnet.data.download import Digest, fetch
from alexnet.data.loading.decode import stored_size
from alexnet.data.public_sets import folder, offline
from alexnet.errors import InputError
from alexnet.graphs.onnx_graph import weights_output
from alexnet.inference.model import Model
from alexnet.models import aliases
from alexnet.models.layers import LocalResponseNorm, PaddedConv2d, ScaledDropout, SpatialResponseNorm

RUNTIME = "1.20.1"
"""The version of onnxruntime-web, from the npm registry (MIT license)."""
_URL = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{RUNTIME}.tgz"
_SHA512 = (
    "4de3c5e975692cbd6b59530897963d00205073208d15385938dfe380494d77d4"
    "f16fbdc22041a5925858477504af5729e6bd2b6c623a9c3c30aecefd83b5a3a0"
)
_SIZE = 20_439_316
_PACKED = {
    "ort.wasm.min.js": "package/dist/ort.wasm.min.js",
    "ort-wasm-simd-threaded.mjs": "package/dist/ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm": "package/dist/ort-wasm-simd-threaded.wasm",
}
"""What a browser needs of it, and where that lies in the package."""

_SHARED = ("app.js", "beside.js", "maps.js", "words.js", "style.css")
_OWN = ("decoding.js", "sums.js", "local.js")


def files(model: Model, graph: bytes, layers: bool) -> dict[str, bytes]:
    """Path in the folder → content. `layers`: the graph gives every layer's output and the weights.

    Raises InputError where onnxruntime-web is neither cached nor can be fetched.
    """
    pages = resources.files("alexnet.pages")
    policy, scripts = ((pages / "site" / f"{name}.html").read_text(encoding="utf-8") for name in ("policy", "scripts"))
    lines = []
    for line in (pages / "serve" / "index.html").read_text(encoding="utf-8").splitlines(keepends=True):
        lines += [scripts, line] if 'src="app.js"' in line else [line, policy] if "charset=" in line else [line]
    found = {f"ort/{name}": content for name, content in runtime().items()}
    found |= {name: (pages / "serve" / name).read_bytes() for name in _SHARED}
    found |= {name: (pages / "site" / name).read_bytes() for name in _OWN}
    about = json.dumps(described(model, layers), ensure_ascii=False).encode("utf-8", "backslashreplace")
    return found | {"site.json": about, "model.onnx": graph, "index.html": "".join(lines).encode()}


def runtime() -> dict[str, bytes]:
    """The files of onnxruntime-web, by name. They are fetched once, checked by their SHA-512, and kept."""
    kept = folder("onnxruntime-web") / f"onnxruntime-web-{RUNTIME}.tgz"
    if offline() and not kept.is_file():
        raise InputError(
            f"format web needs onnxruntime-web {RUNTIME}, and $ALEXNET_OFFLINE is set: put {_URL} at {kept}"
        )
    try:
        content = fetch(_URL, kept, digest=Digest("sha512", _SHA512), size=_SIZE, attempts=2).read_bytes()
    except (InputError, OSError) as error:
        raise InputError(
            f"format web needs onnxruntime-web {RUNTIME}: {error}; without a network, put {_URL} at {kept}"
        ) from None
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:  # its digest is ours: what it holds is known
        return {name: archive.extractfile(place).read() for name, place in _PACKED.items()}  # pyright: ignore


def described(model: Model, layers: bool) -> dict[str, Any]:
    """What the page knows of the model; the same as /v1/models of the server, and how images are prepared."""
    wants, network = model.preprocessing, model.module
    shown = list(network.named_children()) if layers else []
    told: dict[str, Any] = {"task": model.card.task}
    if model.multilabel:
        told["thresholds"] = model.thresholds.tolist()
    return {
        "name": Path(model.card.name).name,
        "network": model.card.name,
        "precision": "fp32" if layers else "int8",
        "classes": list(model.classes),
        "input": [wants.channels, *wants.size],
        "stored": list(stored_size(wants.size, wants.resize)),
        "fit": wants.fit,
        "antialias": wants.antialias,
        "layers": [
            {"layer": aliases.own([each for each, _ in shown], name), "output": name, **constants(part)}
            | _weights(name, part)
            for name, part in shown
        ],
        **told,
    }


def _weights(name: str, part: nn.Module) -> dict[str, str]:
    return {"weights": weights_output(name)} if isinstance(part, nn.Conv2d | nn.Linear) else {}


def constants(part: nn.Module) -> dict[str, Any]:
    """A layer's kind, by insight/arithmetic's names, and the constants of its arithmetic."""
    match part:
        case nn.Conv2d():
            pads = (part.pads[2], part.pads[0]) if isinstance(part, PaddedConv2d) else part.padding
            shape = {"kernel": part.kernel_size[0], "stride": part.stride[0], "groups": part.groups}
            return {"kind": "conv", **shape, "pads": _pair(pads), "bias": _numbers(part.bias)}
        case nn.Linear():
            return {"kind": "linear", "bias": _numbers(part.bias)}
        case nn.MaxPool2d() | nn.AvgPool2d():
            kind = "max-pool" if isinstance(part, nn.MaxPool2d) else "mean-pool"
            size, stride, pads = _pair(part.kernel_size), _pair(part.stride), _pair(part.padding)
            return {"kind": kind, "size": size[0], "stride": stride[0], "pads": pads}
        case nn.AdaptiveAvgPool2d():
            return {"kind": "mean-pool", "output": _pair(part.output_size)}
        case LocalResponseNorm():
            named = ("size", "alpha", "beta", "k", "divide", "groups")
            return {"kind": "lrn"} | {name: getattr(part, name) for name in named}
        case SpatialResponseNorm():
            return {"kind": "spatial-norm", "size": part.size, "alpha": part.alpha, "beta": part.beta}
        case nn.BatchNorm2d():
            named = {"mean": part.running_mean, "variance": part.running_var, "weight": part.weight, "bias": part.bias}
            return {"kind": "batch-norm", "eps": part.eps} | {name: _numbers(each) for name, each in named.items()}
        case ScaledDropout():
            return {"kind": "dropout", "p": part.p}
    kinds = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Dropout: "dropout", nn.Flatten: "flatten"}
    return {"kind": kinds.get(type(part)) or ("log-softmax" if isinstance(part, nn.LogSoftmax) else _named(part))}


def _named(part: nn.Module) -> str:
    return type(part).__name__


def _numbers(tensor: Any) -> list[float] | None:
    return None if tensor is None else tensor.tolist()


def _pair(sides: Any) -> list[int]:
    return [sides, sides] if isinstance(sides, int) else list(sides)
