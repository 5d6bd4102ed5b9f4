"""`alexnet check`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alexnet.cli import targets
from alexnet.cli.options import Force, Json, LabelsOption, NeededDataOrAddress, SeparatorOption
from alexnet.cli.screen import print_json, say, table
from alexnet.errors import counted

if TYPE_CHECKING:
    from alexnet.insight.check.check import Checked
    from alexnet.insight.check.listing import Listed

_SHOWN = 3
_LABELS = 40  # of which the counts are printed


def check(
    data: NeededDataOrAddress,
    labels: LabelsOption = None,
    label_separator: SeparatorOption = None,
    out: Annotated[Path | None, typer.Option(help="An HTML page to write, with thumbnails.")] = None,
    quarantine: Annotated[
        Path | None, typer.Option(help="A list to write, for data.quarantine: images training is better without.")
    ] = None,
    force: Force = False,
    group_by: Annotated[
        str | None, typer.Option(help="Regular expression that finds an image's group (patient, burst) in its name.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="A run, or weights with their card, whose features find likely label errors, ranked."),
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Whose features --weights takes. Default: the last before the classifier.")
    ] = None,
    name: Annotated[
        str, typer.Option(help="The dataset's kind, such as folder or cifar10; auto: by its files.")
    ] = "auto",
    language: Annotated[str, typer.Option(help="Of the page: en or zh.")] = "en",
    as_json: Json = False,
) -> None:
    """Check a dataset before training: damaged files, duplicates, leaks, labels, names.

    Exit code 3: something serious was found.
    """
    from alexnet.cli.progress import bar
    from alexnet.data.readers.source import Labels
    from alexnet.errors import InputError
    from alexnet.files import write_text
    from alexnet.inference.model import load_model
    from alexnet.insight.check.check import check as examine
    from alexnet.insight.check.check import quarantine_text
    from alexnet.insight.check.page import describe
    from alexnet.pages import html
    from alexnet.pages.text import Words

    words = Words(language)
    if layer is not None and weights is None:
        raise InputError("--layer names a layer of --weights; add --weights RUN")
    targets.named(out, ".html", ".htm")
    targets.check((out, quarantine), force)
    asked = labels is not None or label_separator is not None
    said = Labels(labels and labels.expanduser(), label_separator) if asked else None
    model = load_model(weights) if weights is not None else None
    with bar("checking", quiet=as_json) as progress:
        checked = examine(data, name, group_by=group_by, model=model, layer=layer, progress=progress, table=said)
    if out is not None:
        write_text(out, html.render(describe(checked, words)))
    if quarantine is not None:
        write_text(quarantine, quarantine_text(checked))
    if as_json:
        print_json(checked.to_json())
    else:
        _print(checked)
        for target in (out, quarantine):
            if target is not None:
                say(f"wrote {target}")
    if checked.serious:
        raise typer.Exit(3)


def _print(checked: "Checked") -> None:
    listed = checked.listed
    if listed.targets is None:
        classes = f"in {counted(len(listed.classes), 'class', 'classes')}"
    else:
        classes = f"with any of {counted(len(listed.classes), 'label')} each"
    say(f"{counted(len(listed.names), 'image')} {classes}, read as {listed.kind}")
    if listed.targets is not None:
        _labels(listed)
    for fault in checked.faults:
        say(f"{'SERIOUS ' if fault.serious else ''}{fault.kind}: {len(fault.items):,}. {fault.about}")
        for item in fault.items[:_SHOWN]:
            names = ", ".join(listed.names[row] for row in item.images[:4]) + (", …" if len(item.images) > 4 else "")
            say("  " + ": ".join(part for part in (names, item.text) if part))
        if (more := len(fault.items) - _SHOWN) > 0:
            say(f"  … and {more:,} more")
    for note in checked.notes:
        say(note)
    if not checked.faults:
        say("nothing was found")
    elif checked.quarantine:
        say(f"{counted(len(checked.quarantine), 'image')} training is better without: --quarantine FILE lists them")


def _labels(listed: "Listed") -> None:
    """How many images of each split have each label."""
    from alexnet.insight.check.faults import counts_of
    from alexnet.insight.check.listing import SPLITS

    counts, totals = counts_of(listed), [int((listed.splits == split).sum()) for split in range(len(SPLITS))]
    there = [split for split, total in enumerate(totals) if total]
    rows = [(name, *(f"{counts[split, k]:,}" for split in there)) for k, name in enumerate(listed.classes[:_LABELS])]
    without = (listed.splits[~listed.targets.any(1)] == split for split in there) if listed.targets is not None else ()
    rows.append(("(no label)", *(f"{int(each.sum()):,}" for each in without)))
    table(("label", *(f"{SPLITS[split]}>" for split in there)), rows)
    if (more := len(listed.classes) - _LABELS) > 0:
        say(f"… and {counted(more, 'more label')}; --json has all")
