"""ONNX: one graph from uint8 images to probabilities and class names."""

import json
import logging
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from alexnet import arguments
from alexnet.artifacts.card import Card, RunCard
from alexnet.errors import InputError
from alexnet.graphs.served import BATCH, Served, example
from alexnet.models.layers import LocalResponseNorm
from alexnet.models.mode import evaluating
from alexnet.models.network import Network
from alexnet.preprocessing import Preprocessing

OPSET = 18
_OUTPUTS = ("probabilities", "logits")
_LIMIT = 2**31  # bytes in one protobuf message


class _LRN(nn.Module):
    """A LocalResponseNorm as ONNX's own LRN node, which every runtime knows; PyTorch's trace is slices and scatters.

    ONNX divides alpha by the window (https://onnx.ai/onnx/operators/onnx__LRN.html, which calls k bias); its window
    runs over all channels, so groups are made images of their own.
    """

    def __init__(self, norm: LocalResponseNorm):
        super().__init__()
        self.groups = norm.groups
        alpha = norm.alpha if norm.divide else norm.alpha * norm.size
        self.attributes = {"size": norm.size, "alpha": alpha, "beta": norm.beta, "bias": float(norm.k)}

    def forward(self, x: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        if self.groups > 1:
            x = x.reshape(count * self.groups, channels // self.groups, height, width)
        y = torch.onnx.ops.symbolic("LRN", (x,), self.attributes, dtype=x.dtype, shape=x.shape)
        return y.reshape(count, channels, height, width)


class _Layers(Served):
    """`Served`, with what the network gets and what each of its layers gives as further outputs."""

    def forward(self, images: Tensor) -> Any:
        outputs = [self.augmenter.evaluate(images)]
        for layer in self.network.children():
            outputs.append(layer(outputs[-1]))
        probabilities = outputs[-1].sigmoid() if self.multilabel else outputs[-1].softmax(1)
        return probabilities, outputs[-1].clone(), *outputs


def build(network: nn.Module, preprocessing: Preprocessing, card: Card, layers: Sequence[str] = ()) -> onnx.ModelProto:
    """The graph: input `images`, uint8 N×H×W×C; outputs `probabilities` and `logits`, float32 N×K, and `names`,
    K strings. The card and the class names are in the metadata. InputError when it cannot be made.

    `layers`: the names of the network's layers, for a graph whose outputs are also `input` (float32 N×C×H×W), each
    layer's under its name, and the weights of convolutions and linear layers (`weights_output`).
    """
    kind, parts = _Layers if layers else Served, nn.Sequential(OrderedDict(_parts(network)))
    served = kind(parts, preprocessing, multilabel=card.multilabel)
    graph = _trace(served, example(preprocessing), "images", [*_OUTPUTS, *(("input", *layers) if layers else ())])
    if layers:
        _give_weights(graph, network)
    names = onnx.numpy_helper.from_array(np.array(spelled(card.classes), dtype=object), "names")
    graph.graph.node.append(onnx.helper.make_node("Constant", [], ["names"], "names", value=names))
    graph.graph.output.append(onnx.helper.make_tensor_value_info("names", onnx.TensorProto.STRING, [len(card.classes)]))
    graph.producer_name = "alexnet"
    graph.graph.name = card.name
    about = {"classes": json.dumps(card.classes), "card": json.dumps(card.to_json()), "license": card.license}
    if isinstance(card, RunCard):
        about["weights"] = card.figures.chosen
    onnx.helper.set_model_props(graph, about)
    onnx.checker.check_model(graph)
    return graph


class _Taps(nn.Module):
    """The activations of a network's taps, in their order."""

    def __init__(self, network: Network, taps: Sequence[str]):
        super().__init__()
        self.network, self.taps = network, tuple(taps)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        seen = self.network.tap(x, self.taps)
        return tuple(seen[tap].clone() for tap in self.taps)  # two taps may be one tensor, and each needs its name


def of_network(network: nn.Module, taps: Sequence[str] = ()) -> bytes:
    """The graph of the network alone: float N×C×H×W → its output, or its `taps` in their order.

    InputError for a module that is no network of the catalog, and when the graph cannot be made.
    """
    if not isinstance(network, Network):
        raise InputError(f"{arguments.kind(network)} cannot be written as ONNX; give the network that it came from")
    lowered: nn.Module = Network(_parts(network), network.input, network.classes, network.layers)
    lowered = _Taps(lowered, taps) if taps else lowered  # pyright: ignore[reportArgumentType]
    names = [f"tap{number}" for number in range(len(taps))] or ["output"]
    return _trace(lowered, torch.zeros(2, *network.input), "inputs", names).SerializeToString()


def _parts(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The network's layers, as ONNX has them. InputError when their weights do not fit into one file."""
    size = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    if size > _LIMIT - 2**24:
        raise InputError(f"{size / 1e9:.1f} GB of weights do not fit into one ONNX file, which holds 2 GB")
    for name, part in network.named_children():
        yield name, _LRN(part) if isinstance(part, LocalResponseNorm) else part


def spelled(classes: Sequence[str]) -> list[str]:
    """Class names as UTF-8 can hold them: what a folder's name has of other bytes is escaped."""
    return [name.encode("utf-8", "backslashreplace").decode() for name in classes]


def weights_output(layer: str) -> str:
    """The output that gives a layer's weights, in a graph built with `layers`."""
    return f"network.{layer}.weight"


def _give_weights(graph: onnx.ModelProto, network: nn.Module) -> None:
    """Makes the stored weights outputs: nothing is stored twice, and a run that does not ask for them pays nothing."""
    stored = {each.name: each for each in graph.graph.initializer}
    for name, layer in network.named_children():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            tensor = stored.get(weights_output(name))
            if tensor is None or list(tensor.dims) != list(layer.weight.shape):
                raise InputError(f"PyTorch's exporter changed the weights of {name}, so they cannot be shown")
            info = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            graph.graph.output.append(info)


def _trace(module: nn.Module, example: Tensor, input: str, outputs: list[str]) -> onnx.ModelProto:
    talk = logging.getLogger("torch.onnx")
    level = talk.level
    talk.setLevel(logging.ERROR)  # it misses torchvision, which we do not use
    try:
        with warnings.catch_warnings(), torch.no_grad(), evaluating(module):
            warnings.simplefilter("ignore")  # the exporter's own use of what torch has deprecated
            program = torch.onnx.export(
                module,
                (example,),
                input_names=[input],
                output_names=outputs,
                opset_version=OPSET,
                dynamic_shapes=BATCH,
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise InputError(f"PyTorch cannot write this network as ONNX: {reason}") from error
    finally:
        talk.setLevel(level)
    assert program is not None, "torch.onnx.export returns a program when dynamo is on"
    graph = program.model_proto
    for kept in (graph.graph, *graph.graph.node, *graph.graph.input, *graph.graph.output, *graph.graph.value_info):
        del kept.metadata_props[:]  # stack traces of this machine
    return graph


def drop_logits(graph: onnx.ModelProto) -> None:
    """Takes the `logits` from the graph's outputs."""
    graph.graph.output.remove(next(output for output in graph.graph.output if output.name == "logits"))


class Session:
    """A graph in ONNX Runtime, on the CPU, with as many threads as PyTorch has."""

    def __init__(self, content: bytes):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Probabilities, and logits if the graph gives them."""
        found: dict[str, Any] = dict(zip(self.outputs, self._session.run(None, {"images": images}), strict=True))
        return found["probabilities"], found.get("logits")

    def names(self) -> list[str]:
        """The class names that the graph gives."""
        entry = self._session.get_inputs()[0]
        (names,) = self._session.run(["names"], {"images": np.zeros((1, *entry.shape[1:]), np.uint8)})
        return list(np.asarray(names))
