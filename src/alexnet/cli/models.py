"""`alexnet models`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from alexnet.cli.options import Json
from alexnet.cli.screen import print_json, shape, table

if TYPE_CHECKING:
    from alexnet.models.summary import Summary


def models(as_json: Json = False) -> None:
    """List every network: name, parameters, FLOPs, input, source."""
    from alexnet.models.catalog import CATALOG
    from alexnet.models.summary import outline

    outlines = [outline(name) for name in CATALOG]
    if as_json:
        print_json([outline_json(each) for each in outlines])
    else:
        _models(outlines)


def _models(outlines: "Sequence[Summary]") -> None:
    """The catalog, one network a line."""
    from alexnet.models.catalog import CATALOG

    lines = []
    for outline in outlines:
        spec, costs = CATALOG[outline.name], (f"{outline.parameters:,}", f"{outline.flops / 1e6:,.1f}")
        lines.append((spec.name, *costs, shape(spec.input), spec.dated, spec.title))
    table(("network", "parameters>", "MFLOPs>", "input>", "year>", "what it is"), lines)


def outline_json(summary: "Summary") -> dict[str, Any]:
    from alexnet.models.catalog import get

    spec = get(summary.name)
    return {
        "name": summary.name,
        "parameters": summary.parameters,
        "trainable_parameters": summary.trainable_parameters,
        "flops": summary.flops,
        "input": list(spec.input),
        "source": spec.source,
    }
