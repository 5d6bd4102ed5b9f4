"""What the verbs print for people: tables with rich, plain when the output is a pipe."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:  # the tables that need no torch should not wait for it
    from alexnet.benchmark.bench import Bench
    from alexnet.benchmark.latency import Latencies
    from alexnet.benchmark.peers import SideBySide
    from alexnet.data.public_sets import PublicSet
    from alexnet.inference.evaluate import Figures
    from alexnet.inference.predict import Predicted
    from alexnet.insight.doctor import Diagnosis, Trial
    from alexnet.models.summary import Summary
    from alexnet.recipes.schema import Recipe
    from alexnet.verify.check import Check
    from alexnet.weights.public import PublicFile


def models(outlines: "Sequence[Summary]") -> None:
    """The catalog, one network a line."""
    from alexnet.models.catalog import CATALOG

    lines = []
    for outline in outlines:
        spec, costs = CATALOG[outline.name], (f"{outline.parameters:,}", f"{outline.flops / 1e6:,.1f}")
        lines.append((spec.name, *costs, _shape(spec.input), spec.year, spec.title))
    _table(("network", "parameters>", "MFLOPs>", "input>", "year>", "what it is"), lines)


def summary(described: "Summary") -> None:
    """A table like Keras's, with costs."""
    from alexnet.models.catalog import CATALOG

    spec = CATALOG[described.name]
    print(f"{described.name}: {spec.title} ({spec.year})\ninput {_shape(spec.input)}; source: {spec.source}")
    _table(
        ("layer", "output>", "parameters>", "FLOPs>", "activations>"),
        (
            (each.name, _shape(each.output), f"{each.parameters:,}", f"{each.flops:,}", _bytes(each.activation_bytes))
            for each in described.layers
        ),
    )
    print(
        f"parameters {described.parameters:,} (trainable {described.trainable_parameters:,}, not trainable "
        f"{described.parameters - described.trainable_parameters:,})\n"
        f"FLOPs per image {described.flops:,} (2 × multiply-adds of convolutions and fully-connected layers)\n"
        f"activations per image {_bytes(sum(layer.activation_bytes for layer in described.layers))}, "
        f"weights file {_bytes(described.file_bytes)} in float32"
    )
    for trap in spec.traps:
        print(f"note: {trap}")


def recipes(loaded: "Sequence[Recipe]") -> None:
    _table(
        ("recipe", "network", "images", "epochs>", "what it is for"),
        ((each.name, each.model.name, each.data.name, each.train.epochs, each.title) for each in loaded),
    )


def recipe_keys(rows: Sequence[tuple[str, Any, str]]) -> None:
    lines = ((name, "none" if default is None else repr(default), about) for name, default, about in rows)
    _table(("key", "default", "meaning"), lines)


def figures(measured: "Figures") -> None:
    print(
        f"top-1 {measured.top1:.2%}   top-5 {measured.top5:.2%}   loss {measured.loss:.4f}   "
        f"{measured.count:,} images" + (f", {measured.views} views each" if measured.views > 1 else "")
    )


def predictions(predicted: "Sequence[Predicted]") -> None:
    for one in predicted:
        print(one.path)
        for each in one.predictions:
            print(f"  {each.probability:7.2%}  {each.name}")


def comparison(head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Runs beside each other; the first two columns are names, the others numbers."""
    _table((*head[:2], *(f"{name}>" for name in head[2:])), lines)


def reproduction(lines: Sequence[Sequence[str]], machines: Sequence[str], left_out: Sequence[str]) -> None:
    """Published experiments beside ours; below them where they ran, and what did not."""
    from alexnet.experiments.table import HEAD

    _table((HEAD[0], *(f"{name}>" for name in HEAD[1:])), lines)
    for number, machine in enumerate(machines, 1):
        print(f"hardware {number}: {machine}")
    for line in left_out:
        print(f"not run: {line}")


def spreads(summary: dict[str, Any]) -> None:
    """The accuracies of several runs: mean ± standard deviation, and the interval."""
    names = {
        "last_accuracy": "validation, last epoch",
        "val_accuracy": "validation, best epoch",
        "test_accuracy": "test",
    }
    for key, name in names.items():
        if found := summary[key]:
            print(
                f"{name:<22}  {found['mean']:.2%} ± {found['std']:.2%}   95 % interval {found['low']:.2%} to "
                f"{found['high']:.2%}   n = {found['n']}"
            )


def check_line(failures: bool) -> "Callable[[Check], None]":
    """Prints checks as lines of a table, as they come: what, expected, got, source; `failures`: only what is off.

    Long cells are cut short where all is well, and whole where it is not.
    """
    widths = (52, 44, 44)
    print(
        "    ", *(name.ljust(width) for name, width in zip(("what", "expected", "got"), widths, strict=True)), "source"
    )

    def line(check: "Check") -> None:
        if check.passed and failures:
            return
        cells = (check.what, check.expected, check.got)
        if check.passed:
            cells = tuple(_shortened(cell, width) for cell, width in zip(cells, widths, strict=True))
        row = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        print("ok  " if check.passed else "OFF ", *row, check.source, flush=True)

    return line


def bench(measured: "Bench") -> None:
    """The machine's ceilings, what each row reaches of them, and where the time of its steps goes."""
    print(_machine(measured.environment))
    for precision, flops in measured.peaks.flops.items():
        print(f"matrix peak {precision}: {flops / 1e9:,.0f} GFLOP/s")
    print(f"copy bandwidth: {measured.peaks.bandwidth / 1e9:,.1f} GB/s (read and written)\n")
    lines = [
        (
            row.name, row.batch, row.precision, name, f"{work.images_per_second:,.0f}", f"{work.seconds * 1e3:,.2f}",
            f"{work.floor_seconds * 1e3:,.2f}", f"{work.share_of_peak:.1%}", f"{work.share_of_bandwidth:.1%}",
        )
        for row in measured.rows for name, work in (("training", row.training), ("inference", row.inference))
    ]  # fmt: skip
    head = ("what", "batch>", "precision", "work", "images/s>", "ms>", "floor ms>", "of peak>", "of bandwidth>")
    _table(head, lines)
    print()
    lines = []
    for row in measured.rows:
        total = sum(row.phases.values())
        cells = (f"{seconds * 1e3:,.2f} ({seconds / total:4.1%})" for seconds in row.phases.values())
        lines.append((row.name, row.batch, row.precision, *cells))
    _table(("ms of a training step", "batch>", "precision", *(f"{phase}>" for phase in measured.rows[0].phases)), lines)
    print(
        f"medians of {measured.rows[0].steps} steps; what is counted as a FLOP, a byte and the floor: benchmark/cost.py"
    )


def side_by_side(compared: "SideBySide") -> None:
    """A Markdown table, to copy."""
    peer, where = compared.peer, compared.environment
    print(
        f"| network (batch) | {peer}, images/s | alexnet, images/s | ratio | of the peak | peak, GFLOP/s | n |\n"
        "|---|---|---|---|---|---|---|"
    )
    for row in compared.rows:
        low, high = min(row.ratios), max(row.ratios)
        print(
            f"| {row.network} ({row.batch}) | {row.batch / row.peer.seconds:,.0f} | {row.batch / row.own.seconds:,.0f} "
            f"| **{row.ratio:.2f}** ({low:.2f}–{high:.2f}) | {row.share:.0%} | {row.peak / 1e9:,.0f} "
            f"| {row.rounds} × {row.peer.steps // row.rounds} and {row.own.steps // row.rounds} steps |"
        )
    facts = compared.rows[0].peer.facts
    versions = ", ".join(f"{name} {value}" for name, value in facts.items() if name not in ("parameters", "precision"))
    print(
        f"\n{_machine(where)}; {peer} in {facts['precision']} ({versions}). Training on synthetic images in memory, "
        "no augmentation, the published optimizer. Both sides and the matrix peak in turn: medians, ratios of the same "
        "turn with the least and the largest."
    )


def latencies(measured: "Latencies") -> None:
    """Milliseconds of a batch, plain and quick, and what the quick one's answers are worth."""
    print(_machine(measured.environment))
    precision = measured.environment["precision"]
    lines = [
        (
            each.name, row.batch, f"{row.plain * 1e3:,.2f}", precision, f"{row.quick * 1e3:,.2f}",
            f"{row.ratio:.2f}", f"{min(row.ratios):.2f}–{max(row.ratios):.2f}", len(row.ratios),
        )
        for each in measured.models for row in each.rows
    ]  # fmt: skip
    _table(("what", "batch>", "plain fp32 ms>", "quick>", "ms>", "times as quick>", "least–most>", "turns>"), lines)
    for each in measured.models:
        if found := each.agreement:
            print(
                f"{each.name}: {found.images:,} images, top-1 the same on {found.same_top1:.2%}; probabilities "
                f"differ by {found.mean_difference:.1e} in the mean, {found.largest_difference:.1e} at most"
            )


def _machine(environment: Mapping[str, Any]) -> str:
    return (
        f"{environment.get('gpu') or environment['cpu']}, {environment['threads']} threads, torch "
        f"{environment['torch']}, alexnet {environment['alexnet']} in {environment['precision']}"
    )


def public_sets(sets: "Mapping[str, PublicSet]") -> None:
    lines = ((name, each.license or "not stated", "md5", each.base) for name, each in sets.items())
    _table(("name", "license", "checked by", "address"), lines)


def public_files(files: "Sequence[PublicFile]") -> None:
    lines = []
    for each in files:
        checked = f"{each.digest.algorithm} {each.digest.value[:8]}…" if each.digest else "nothing published"
        lines.append((each.name, each.model, each.license or "not stated", checked, each.url))
    _table(("name", "network", "license", "checked by", "address"), lines)


def diagnosis(found: "Diagnosis") -> None:
    """The best combinations, and whether the card has the best one."""
    print(f"{len(found.trials)} combinations on {found.images:,} images")
    lines = (
        (f"{each.top1:.1%}", f"{each.loss:.3f}", each.preprocessing.colors, each.range, _crop(each), each.lrn)
        for each in dict.fromkeys([*found.trials[:8], found.own])
    )
    _table(("top-1>", "loss>", "colors", "range", "crop", "LRN"), lines)
    best = found.best
    if best.loss > 0.98 * found.own.loss:
        print("these weights want what their card says")
    else:
        print(
            f"these weights want: {best.preprocessing.colors}, {best.range}, {_crop(best)}, LRN {best.lrn} "
            f"(top-1 {best.top1:.1%}; as the card says {found.own.top1:.1%})"
        )


def _crop(trial: "Trial") -> str:
    wants = trial.preprocessing
    return f"{wants.fit} to {wants.resize or min(wants.size)}"


def _table(head: Iterable[str], lines: Iterable[Iterable[object]]) -> None:
    """Prints a table; a trailing '>' in its head aligns a column to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in head:
        table.add_column(column.removesuffix(">"), justify="right" if column.endswith(">") else "left", no_wrap=True)
    for line in lines:
        table.add_row(*map(str, line))
    width = None if sys.stdout.isatty() else 400  # a pipe has no width: nothing is cut
    Console(width=width, markup=False, emoji=False).print(table)  # names of folders are no markup


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"
