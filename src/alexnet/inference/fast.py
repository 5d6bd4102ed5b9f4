"""A trained network made quick for inference; in bfloat16, its weights are converted once, channels last."""

import copy
import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional

from alexnet.arguments import choice
from alexnet.device import choose_precision
from alexnet.errors import InputError
from alexnet.inference.model import Model, check_model
from alexnet.models.quick import quicken

PRECISIONS = ("auto", "fp32", "bf16", "int8")


def at_precision(model: Model, precision: str | None = None) -> Model:
    """`model` at a precision: the one policy of predict, evaluate and serving, in Python and on the command line.

    None leaves it as it is (a model is loaded in fp32). 'fp32' is the model itself, 'bf16' a copy for inference that
    computes in bfloat16, and 'auto' asks the processor. `precision` of the result is 'fp32' or 'bf16'. InputError for
    another name, and for a bf16 model that is asked for fp32.
    """
    check_model(model)
    if precision is None:
        return model
    choice("precision", precision, PRECISIONS)
    if model.runtime != "torch":
        if precision not in ("auto", model.precision):
            raise InputError(
                f"this model computes in {model.precision} in {model.runtime}; load it again for {precision}"
            )
        return model
    if model.exported:
        if precision not in ("auto", "fp32", model.precision):
            raise InputError(f"{str(model.path)!r} computes in {model.precision}, as it was exported, in no other")
        return model
    wanted = torch_precision(precision, model.module)
    if wanted == model.precision:
        return model
    if model.precision != "fp32":
        raise InputError(f"the weights of this model were rounded to {model.precision}; load it again for {wanted}")
    return dataclasses.replace(model, module=_BF16(model.module), precision=wanted)


def quick(module: nn.Module, precision: str = "auto") -> nn.Module:
    """`module` quickened for 'fp32'; for 'bf16' a copy whose layers compute in bfloat16, all but the last.

    'auto' is bf16 where the device multiplies bf16 matrices natively (device.choose_precision), else fp32: it follows
    from the machine and never from a timing, so that an image gets the same answer every time, in any batch size.
    The copy is for inference only, and does not follow when `module` is trained on. InputError for another name.
    """
    return quicken(module) if torch_precision(precision, module) == "fp32" else _BF16(module)


def torch_precision(precision: str, module: nn.Module) -> str:
    """'fp32' or 'bf16', in which PyTorch computes `module`. InputError for another name, and for 'int8'."""
    choice("precision", precision, PRECISIONS)
    if precision == "int8":
        raise InputError(
            "precision int8 needs the runtime openvino (in Python, see alexnet.inference.runtimes.ready): "
            "PyTorch computes in fp32 or bf16"
        )
    return choose_precision(precision, next(module.parameters()).device)


class _BF16(nn.Module):
    """float32 images in, float32 logits out; bfloat16, channels last, in between."""

    def __init__(self, module: nn.Module):
        super().__init__()
        linear = [part for part in module.modules() if isinstance(part, nn.Linear)]
        # What deepcopy finds here it takes in place of a copy: nothing is copied that is not converted.
        taken: dict[int, object] = {id(value): value for value in (*module.parameters(), *module.buffers())}
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                taken |= {id(p): _converted(p) for p in part.parameters()}
            elif isinstance(part, nn.Linear):
                taken[id(part)] = _Logits(part) if part is linear[-1] else _Linear(part)
        self.network = copy.deepcopy(module, taken).eval()

    def forward(self, x: Tensor) -> Tensor:
        return quicken(self.network)(x.to(torch.bfloat16, memory_format=torch.channels_last))


class _Logits(nn.Module):
    """The last layer, in float32: three digits of a logit of 20 would be a probability off by 6 %."""

    def __init__(self, of: nn.Linear):
        super().__init__()
        self.of = of

    def forward(self, x: Tensor) -> Tensor:
        return self.of(x.float())


class _Linear(nn.Module):
    """A fully-connected layer in bfloat16.

    One image on a CPU is a matrix times a vector: the product of two matrices lays the weights out anew in every
    call, which takes longer than the product itself.
    """

    def __init__(self, of: nn.Linear):
        super().__init__()
        self.weight, self.bias = _converted(of.weight), _converted(of.bias)

    def forward(self, x: Tensor) -> Tensor:
        if len(x) == 1 and x.device.type == "cpu":
            return (torch.mv(self.weight, x[0]) + self.bias)[None]
        return functional.linear(x, self.weight, self.bias)


def _converted(parameter: Tensor) -> nn.Parameter:
    layout = torch.channels_last if parameter.ndim == 4 else torch.preserve_format
    return nn.Parameter(parameter.detach().to(torch.bfloat16, memory_format=layout), requires_grad=False)
