"""`alexnet doctor`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alexnet.cli.opening import opened_model
from alexnet.cli.options import AnyModel, Device, Json, LabelsOption, SeparatorOption, WeightsOption
from alexnet.cli.screen import print_json, say, table
from alexnet.errors import InputError, counted

if TYPE_CHECKING:
    from alexnet.inference.opening import Opened
    from alexnet.insight.doctor import Diagnosis, Trial


def doctor(
    model: AnyModel,
    data: Annotated[
        Path, typer.Option("--data", help="Labeled images that the model should classify well; with --features any.")
    ],
    features: Annotated[
        bool, typer.Option("--features", help="Show how far a layer moves between published preprocessings instead.")
    ] = False,
    layer: Annotated[str, typer.Option(help="With --features: the layer.")] = "fc7",
    images: Annotated[int, typer.Option(min=1, max=10**6, help="Maximum number of images.")] = 200,
    labels: LabelsOption = None,
    label_separator: SeparatorOption = None,
    weights: WeightsOption = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Find the preprocessing and LRN constants that some weights were trained with."""
    from alexnet.cli.progress import bar
    from alexnet.insight.doctor import examine

    opened = opened_model(model, device, weights, several=True)
    if features and (labels or label_separator is not None):
        raise InputError("--features takes images without labels; leave out --labels and --label-separator")
    if features:
        _features(opened, data, layer, images, as_json)
        return
    with bar("trying", quiet=as_json) as progress:
        diagnosis = examine(opened.model, data, images, progress, labels, label_separator)
    if as_json:
        print_json(diagnosis.to_json())
    else:
        _diagnosis(diagnosis)


def _features(opened: "Opened", data: Path, layer: str, most: int, as_json: bool) -> None:
    """Cosine and RSA of the features under each preprocessing with those under the card's own."""
    from alexnet.cli.progress import bar
    from alexnet.inference.features import want
    from alexnet.inference.images import open_images
    from alexnet.inference.opening import untrained
    from alexnet.inference.preprocess import CHOICES
    from alexnet.insight.moved import moved

    if remark := untrained(opened, want(opened.model, [layer]).taps):
        say(remark, err=True)
    with bar("images", quiet=as_json) as progress:
        found = moved(opened.model, open_images([data]), layer, most, progress)
    if as_json:
        print_json(found.to_json())
    else:
        say(f"{layer} of {counted(found.images, 'image')}, against the card's own preprocessing:")
        rows = (
            (name, f"{found.cosine[0, at]:.3f}", f"{found.lowest[0, at]:.3f}", f"{found.rsa[0, at]:.3f}", CHOICES[name])
            for at, name in enumerate(found.choices)
        )
        table(("preprocessing", "cosine>", "lowest>", "RSA>", "which is"), rows)
    for reason in found.failed[:20]:
        say(f"skipped {reason}", err=True)
    if found.failed:
        raise typer.Exit(3)


def _diagnosis(found: "Diagnosis") -> None:
    """The best combinations, and whether the card has the best one."""
    say(f"{counted(len(found.trials), 'combination')} on {counted(found.images, 'image')}")
    lines = (
        (f"{each.score:.1%}", f"{each.loss:.3f}", each.preprocessing.colors, each.range, _crop(each), each.lrn)
        for each in dict.fromkeys([*found.trials[:8], found.own])
    )
    name = "top-1" if found.own.map is None else "mAP"
    table((f"{name}>", "loss>", "colors", "range", "crop", "LRN"), lines)
    best = found.best
    if best.loss > 0.98 * found.own.loss:
        say("the card is right: no combination is clearly better")
    else:
        say(
            f"best match: {best.preprocessing.colors}, {best.range}, {_crop(best)}, LRN {best.lrn} "
            f"({name} {best.score:.1%}; with the card's settings {found.own.score:.1%})"
        )


def _crop(trial: "Trial") -> str:
    wants = trial.preprocessing
    return f"{wants.fit} to {wants.resize or min(wants.size)}"
