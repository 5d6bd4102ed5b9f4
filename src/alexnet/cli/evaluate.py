"""`alexnet evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alexnet.cli import targets
from alexnet.cli.evaluate_corruptions import say_robustness
from alexnet.cli.evaluate_labels import refuse_reject, tell
from alexnet.cli.launch import together
from alexnet.cli.opening import say_runtime
from alexnet.cli.options import (
    DataOrAddress,
    Device,
    ExportedToo,
    Force,
    Json,
    LabelsOption,
    PrecisionOption,
    Processes,
    RuntimeOption,
    SeparatorOption,
)
from alexnet.cli.screen import print_json, say, table
from alexnet.errors import counted

if TYPE_CHECKING:
    from alexnet.inference.measures import Measures
    from alexnet.inference.model import Model

_CLASSES = 20  # up to which the table of classes is printed without being asked for


def evaluate(
    model: ExportedToo,
    data: DataOrAddress = None,
    labels: LabelsOption = None,
    label_separator: SeparatorOption = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation or test. Default: test, if there is one.")
    ] = None,
    views: Annotated[
        int, typer.Option(help="Views averaged per image: 1, 2 (mirrored) or 10 (corners, mirrored).")
    ] = 1,
    precision: PrecisionOption = "fp32",
    runtime: RuntimeOption = "torch",
    per_class: Annotated[bool, typer.Option("--per-class", help="Print every class, however many there are.")] = False,
    reject: Annotated[
        float | None, typer.Option(help="Probability below which a prediction is rejected: coverage and accuracy.")
    ] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Fit a temperature on the validation split and keep it in the card.")
    ] = False,
    calibrated: Annotated[bool, typer.Option("--calibrated", help="Apply the card's temperature.")] = False,
    corruptions: Annotated[
        bool, typer.Option("--corruptions", help="Also measure under 15 standard corruptions in 5 strengths.")
    ] = False,
    corruption_images: Annotated[
        int, typer.Option(min=1, max=10**9, help="Number of images that --corruptions corrupts, evenly spread.")
    ] = 1000,
    baseline: Annotated[
        Path | None, typer.Option(help="A run to divide by: --corruptions then gives the mean corruption error.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Every image's prediction: a .csv, .jsonl or .parquet file.")] = None,
    page: Annotated[Path | None, typer.Option(help="An HTML page to write, with the most frequent confusions.")] = None,
    force: Force = False,
    device: Device = "auto",
    processes: Processes = None,
    as_json: Json = False,
) -> None:
    """Measure a trained model on labeled images: top-1, top-5, loss; of several labels an image mAP, F1."""
    import dataclasses

    from alexnet.cli.progress import bar
    from alexnet.device import choose_device
    from alexnet.errors import InputError
    from alexnet.inference import calibrate as temperatures
    from alexnet.inference.data import fitted, measured_images, repeated
    from alexnet.inference.exported import loss_of
    from alexnet.inference.label_evaluation import LabelEvaluation
    from alexnet.inference.label_evaluation import evaluate as run
    from alexnet.inference.label_measures import measure_labels
    from alexnet.inference.measures import check_format, measure, write_predictions
    from alexnet.inference.model import is_exported, load_model
    from alexnet.inference.robustness import robustness
    from alexnet.inference.runtimes import ready
    from alexnet.inference.views import corners

    targets.named(page, ".html", ".htm")
    targets.check((out, page), force)
    if out is not None:
        check_format(out)
    if baseline is not None and not corruptions:
        raise InputError("--baseline is the run that --corruptions divides by; add --corruptions")
    with together(processes, device) as world:
        if world.size > 1 and (calibrate or corruptions):
            raise InputError("--calibrate and --corruptions run in one process; leave out --processes")
        other = None
        if baseline:
            other = ready(load_model(baseline, choose_device(device), several=True), precision, runtime)
        opened = ready(load_model(model, choose_device(device), graphs=True, several=True), precision, runtime)
        if opened.remark:
            say(opened.remark, err=True)
        say_runtime(runtime, opened, device, err=as_json)
        if opened.multilabel:
            refuse_reject(reject is not None)
        if calibrate:
            opened = _calibrate(opened, data, labels, label_separator, quiet=as_json)
        temperature = None
        if calibrated:
            opened = temperatures.calibrated(opened)
            temperature = opened.card.calibration.temperature if opened.card.calibration else None
        dataset, measured = measured_images(
            opened, data, split, lambda line: say(line, err=as_json), labels, label_separator
        )
        with bar("evaluating", quiet=as_json) as progress:
            evaluation = run(opened, dataset, progress=progress, views=views, world=world)
    if not world.is_writer:
        return
    corrupted = None
    if corruptions:
        with bar("corrupting", quiet=as_json) as progress:
            corrupted = robustness(opened, dataset, images=corruption_images, baseline=other, progress=progress)
    if isinstance(evaluation, LabelEvaluation):
        found = measure_labels(evaluation, opened.classes, opened.card.thresholds, temperature)
        found = dataclasses.replace(found, robustness=corrupted, measured=measured)
        return tell(found, opened, dataset, str(model), out=out, page=page, per_class=per_class, as_json=as_json)
    truth = fitted(opened, dataset).labels
    copies = repeated(opened, dataset)
    measures = measure(evaluation, truth, opened.classes, reject=reject, temperature=temperature, copies=copies)
    measures = dataclasses.replace(measures, robustness=corrupted, measured=measured)
    if out is not None:
        write_predictions(measures, dataset.names, out)
    if page is not None:
        from alexnet.files import write_text
        from alexnet.insight.evaluated import describe
        from alexnet.pages import html

        write_text(page, html.render(describe(measures, fitted(opened, dataset), str(model))))
    if as_json:
        print_json(measures.to_json())
        return
    _print(measures, per_class)
    if is_exported(Path(model)):
        say(loss_of(opened.card, evaluation.figures, str(model)))
    if views == 10 and (told := corners(opened)):
        say(told)
    for target in (out, page):
        if target is not None:
            say(f"wrote {target}")


def _calibrate(model: "Model", data: str | None, labels: Path | None, separator: str | None, quiet: bool) -> "Model":
    """The model with a card that has a temperature, fitted on its validation split."""
    import dataclasses

    from alexnet.cli.progress import bar
    from alexnet.inference import calibrate
    from alexnet.inference.data import dataset_for, fitted
    from alexnet.inference.label_evaluation import evaluate as run

    calibrate.check_calibration(model)
    dataset = dataset_for(model, data, "validation", lambda line: say(line, err=quiet), labels, separator)
    with bar("calibrating", quiet=quiet) as progress:
        evaluation = run(model, dataset, progress=progress, keep=True)
    found = calibrate.fitted(evaluation, fitted(model, dataset).targets, "validation")
    calibrate.keep(model, found)
    if not quiet:
        say(
            f"temperature {found.temperature:.3f}, fitted on {counted(found.count, 'validation image')} and kept in "
            f"the card: calibration error {found.ece_before:.2%} → {found.ece_after:.2%}; --calibrated applies it"
        )
    return dataclasses.replace(model, card=model.card.changed(calibration=found.to_json()))


def _print(measures: "Measures", every: bool) -> None:
    from alexnet.inference import metrics
    from alexnet.pages.text import decimals, percent

    figures, found = measures.evaluation.figures, measures.per_class
    low, high = measures.intervals["accuracy"]
    views = f", {figures.views} views each" if figures.views > 1 else ""
    say(
        f"top-1 {figures.top1:.2%}   top-5 {figures.top5:.2%}   loss {figures.loss:.4f}   "
        f"{counted(figures.count, 'image')} in {figures.precision}{views}"
    )
    say(f"95 % interval of top-1 (Wilson): {low:.2%} to {high:.2%}")
    say(str(measures.measured))
    most, share = metrics.majority(measures.labels)
    balanced = metrics.balanced_accuracy(measures.evaluation.confusion)
    between = " to ".join(map(percent, measures.intervals["balanced_accuracy"]))
    say(
        f"balanced accuracy {percent(balanced)} (bootstrap: {between}), macro F1 {decimals(found.macro('f1'))}; "
        f"always answering {measures.classes[most]!r} gives {share:.2%}"
    )
    for line, names in metrics.told_unknown(found.recall, found.f1, measures.classes, "balanced accuracy"):
        say(line.format(**names))
    applied = "" if measures.temperature is None else f" (temperature {measures.temperature:.3f} applied)"
    squared = "" if figures.mse is None else f", mean squared error of the probabilities {figures.mse:.4f}"
    say(f"expected calibration error {measures.reliability.ece:.2%}{applied}{squared}")
    if measures.copies is not None and measures.copies.any():
        left = measures.without_copies
        rest = f"top-1 {left[1]:.2%} on the {counted(left[0], 'other')}" if left else "there are no others"
        copies = counted(int(measures.copies.sum()), "image is a copy", "images are copies")
        say(f"{copies} of training images or of each other: {rest}")
    if covered := measures.covered:
        say(
            f"rejecting below {measures.reject:g}: {counted(covered.rejected, 'image')} rejected, "
            f"{covered.coverage:.2%} kept, accuracy on these {percent(covered.accuracy)}"
        )
    if every or len(measures.classes) <= _CLASSES:
        lines = (
            (name, percent(found.precision[i]), percent(found.recall[i]), decimals(found.f1[i]), found.support[i])
            for i, name in enumerate(measures.classes)
        )
        table(("class", "precision>", "recall>", "F1>", "images>"), lines)
    if measures.robustness:
        say_robustness(measures.robustness)
    for each in measures.confusions[:5]:
        say(f"{measures.classes[each.true]} as {measures.classes[each.predicted]}: {each.images:,} ({each.share:.1%})")
