"""Files of torch: safetensors, and what torch.save wrote (.pth), opened with weights_only, so that no code runs.

torchvision names AlexNet's layers by their place: features.0, 3, 6, 8, 10 and classifier.1, 4, 6
(github.com/pytorch/vision, torchvision/models/alexnet.py).
"""

import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from alexnet.weights.foreign import MAX_NUMBERS, Foreign, Source, natural

_HEADER = 8  # safetensors begin with the length of their header
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch.save before version 1.6
_TORCHVISION = re.compile(r"(features|classifier)(\.\d+)?")


def is_safetensors(content: bytes) -> bool:
    length = int.from_bytes(content[:_HEADER], "little")
    return content[_HEADER : _HEADER + 1] == b"{" and length <= 100_000_000


def is_legacy(content: bytes) -> bool:
    return content.startswith(_LEGACY)


def read_safetensors(source: Source) -> Foreign:
    try:
        tensors = safetensors.torch.load(source.content)
    except (SafetensorError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise source.wrong(f"is not a readable safetensors file: {error}") from None
    return _foreign(source, tensors)


def read_torch(source: Source) -> Foreign:
    """A state dict, by itself or in a checkpoint's 'state_dict' or 'model'. InputError for anything else."""
    try:
        if not is_legacy(source.content):
            _check_archive(source)
        content = torch.load(io.BytesIO(source.content), map_location="cpu", weights_only=True)
    except Exception:  # nearly anything; torch's reason tells how to load a file that is not to be trusted
        raise source.wrong("is damaged, or holds more than tensors and would run code; nothing of it was run") from None
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise source.wrong("holds no state dict, which is tensors by name")
    return _foreign(source, content)


def _check_archive(source: Source) -> None:
    """torch stores its tensors as they are; what is compressed could claim any size."""
    with zipfile.ZipFile(io.BytesIO(source.content)) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("compressed")
        if sum(entry.file_size for entry in archive.infolist()) > len(source.content):
            raise ValueError("entries lie over each other")


def _foreign(source: Source, tensors: Mapping[Any, Tensor]) -> Foreign:
    if sum(value.numel() for value in tensors.values()) > MAX_NUMBERS:
        raise source.wrong("claims more numbers than any network of this family")
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name in sorted(tensors, key=natural):
        # DataParallel, and the old ImageNet example within its features, put 'module.' in between.
        layer, _, role = re.sub(r"(^|\.)module\.", r"\1", str(name)).rpartition(".")
        value = tensors[name]
        plain = value.layout == torch.strided and value.device.type == "cpu" and not value.is_nested
        if not plain or value.is_complex() or value.is_quantized:
            raise source.wrong(f"holds {name!r}, which is no plain tensor of numbers")
        value = value if role == "num_batches_tracked" else value.float()
        layers.setdefault(layer, {})[role] = value.detach().contiguous().numpy()
    if layers and all(_TORCHVISION.fullmatch(layer) for layer in layers):
        ordered = sorted(layers, key=lambda layer: (not layer.startswith("features"), natural(layer)))
        return Foreign("torch", {layer: layers[layer] for layer in ordered}, prefer=("alexnet-owt",))
    return Foreign("own", layers)
