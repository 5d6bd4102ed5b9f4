"""`alexnet summary`."""

from typing import TYPE_CHECKING, Annotated

import typer

from alexnet.cli.models import outline_json
from alexnet.cli.options import Json
from alexnet.cli.screen import megabytes, print_json, say, shape, table

if TYPE_CHECKING:
    from alexnet.models.summary import Summary


def summary(
    model: Annotated[str, typer.Argument(help="A network of `alexnet models`.")],
    classes: Annotated[int | None, typer.Option(min=1, max=10**6, help="Number of classes.")] = None,
    as_json: Json = False,
) -> None:
    """Print a network's layers: name, output shape, parameters, FLOPs."""
    from alexnet.models.summary import outline

    described = outline(model, classes)
    if as_json:
        layers = [vars(layer) for layer in described.layers]
        print_json({**outline_json(described), "file_bytes": described.file_bytes, "layers": layers})
    else:
        _summary(described)


def _summary(described: "Summary") -> None:
    """A table like Keras's, with costs."""
    from alexnet.models.catalog import CATALOG

    spec = CATALOG[described.name]
    say(f"{described.name}: {spec.title} ({spec.dated})\ninput {shape(spec.input)}; source: {spec.source}")
    table(
        ("layer", "output>", "parameters>", "FLOPs>", "activations>"),
        (
            (each.name, shape(each.output), f"{each.parameters:,}", f"{each.flops:,}", megabytes(each.activation_bytes))
            for each in described.layers
        ),
    )
    say(
        f"parameters {described.parameters:,} (trainable {described.trainable_parameters:,}, not trainable "
        f"{described.parameters - described.trainable_parameters:,})\n"
        f"FLOPs per image {described.flops:,} (2 × multiply-adds of convolutions and fully-connected layers)\n"
        f"activations per image {megabytes(sum(layer.activation_bytes for layer in described.layers))}, "
        f"weights file {megabytes(described.file_bytes)} in float32"
    )
    for trap in spec.traps:
        say(f"note: {trap}")
