"""torchvision's own alexnet, trained as its references do: plain eager PyTorch, SGD, automatic mixed precision."""

# The peer lives in an environment of its own.
# pyright: reportMissingImports=false

from collections.abc import Callable
from typing import Any

import torch
import torchvision
from torch.nn import functional

from alexnet.benchmark.machine import seconds
from alexnet.device import choose_device
from alexnet.errors import InputError
from alexnet.models import catalog
from alexnet.recipes.schema import Recipe


def start(
    recipe: Recipe, threads: int, device_name: str = "auto"
) -> tuple[Callable[[int], list[float]], dict[str, Any]]:
    """(steps → seconds of each, facts) of alexnet on noise that lies on the device.

    references/classification/train.py with --amp: float16 and a gradient scaler on CUDA, bfloat16 on a CPU.
    """
    if recipe.model.name != "alexnet-owt":
        raise InputError("torchvision has one AlexNet, alexnet-owt: alexnet bench alexnet-owt --peer torchvision")
    device, of = choose_device(device_name), recipe.optimizer
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    spec, size = catalog.get(recipe.model.name), recipe.train.batch_size
    model = torchvision.models.alexnet(num_classes=spec.classes).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), of.lr, of.momentum, weight_decay=of.weight_decay)
    dtype = torch.float16 if device.type == "cuda" else torch.bfloat16
    scaler = torch.amp.GradScaler(device.type, enabled=device.type == "cuda")
    images = torch.randn(size, *spec.input, device=device)
    labels = torch.randint(spec.classes, (size,), device=device)

    def step() -> None:
        with torch.autocast(device.type, dtype):
            loss = functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    facts = {
        "torchvision": torchvision.__version__,
        "torch": torch.__version__,
        "precision": str(dtype),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    return lambda steps: [seconds(device, step) for _ in range(steps)], facts
