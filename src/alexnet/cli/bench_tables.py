"""What `alexnet bench` prints."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from alexnet.cli.screen import say, table
from alexnet.errors import counted

if TYPE_CHECKING:
    from alexnet.benchmark.bench import Bench
    from alexnet.benchmark.latency import Latencies
    from alexnet.benchmark.peers import SideBySide


def bench(measured: "Bench") -> None:
    """The machine's ceilings, what each row reaches of them, and where the time of its steps goes."""
    say(_machine(measured.environment))
    for precision, flops in measured.peaks.flops.items():
        say(f"matrix peak {precision}: {flops / 1e9:,.0f} GFLOP/s ({measured.peaks.libraries[precision]})")
    say(f"copy bandwidth: {measured.peaks.bandwidth / 1e9:,.1f} GB/s (read and written)\n")
    lines = [
        (
            row.name, row.batch, row.precision, name, f"{work.images_per_second:,.0f}", f"{work.seconds * 1e3:,.2f}",
            f"{work.floor_seconds * 1e3:,.2f}", f"{work.share_of_peak:.1%}", f"{work.share_of_bandwidth:.1%}",
        )
        for row in measured.rows for name, work in (("training", row.training), ("inference", row.inference))
    ]  # fmt: skip
    head = ("what", "batch>", "precision", "work", "images/s>", "ms>", "floor ms>", "of peak>", "of bandwidth>")
    table(head, lines)
    say()
    lines = []
    for row in measured.rows:
        total = sum(row.phases.values())
        cells = (f"{seconds * 1e3:,.2f} ({seconds / total:4.1%})" for seconds in row.phases.values())
        lines.append((row.name, row.batch, row.precision, *cells))
    table(("ms of a training step", "batch>", "precision", *(f"{phase}>" for phase in measured.rows[0].phases)), lines)
    say(
        f"medians of {counted(measured.rows[0].steps, 'step')}; what is counted as a FLOP, a byte and the floor: "
        "benchmark/cost.py"
    )


def side_by_side(compared: "SideBySide") -> None:
    """A Markdown table, to copy."""
    say(
        "| network (batch) | peer | its images/s | alexnet, images/s | ratio | of the peak | peak, GFLOP/s | n |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for row in compared.rows:
        low, high = min(row.ratios), max(row.ratios)
        say(
            f"| {row.network} ({row.batch}) | {row.against} | {row.batch / row.peer.seconds:,.0f} "
            f"| {row.batch / row.own.seconds:,.0f} | **{row.ratio:.2f}** ({low:.2f}–{high:.2f}) | {row.share:.0%} "
            f"| {row.peak / 1e9:,.0f} | {row.rounds} × {row.peer.steps // row.rounds} and "
            f"{row.own.steps // row.rounds} steps |"
        )
    said = []
    for row in compared.rows[: len(compared.peers)]:
        facts = row.peer.facts
        versions = (f"{name} {value}" for name, value in facts.items() if name not in ("parameters", "precision"))
        said.append(f"{row.against} in {facts['precision']} ({', '.join(versions)})")
    say(
        f"\n{_machine(compared.environment)}; {', '.join(said)}. Training on synthetic images in memory, "
        "no augmentation, the published optimizer. All sides and the matrix peak in turn: medians, ratios of the same "
        "turn with the least and the largest."
    )


def latencies(measured: "Latencies") -> None:
    """Milliseconds of a batch, plain, quick and in other runtimes, and what the quick one's answers are worth."""
    say(_machine(measured.environment))
    precision = measured.environment["precision"]
    lines = [
        (
            each.name, row.batch, f"{row.plain * 1e3:,.2f}", precision, f"{row.quick * 1e3:,.2f}",
            f"{row.ratio:.2f}", f"{min(row.ratios):.2f}–{max(row.ratios):.2f}", len(row.ratios),
            *(f"{seconds * 1e3:,.2f}" for seconds in row.peers),
        )
        for each in measured.models for row in each.rows
    ]  # fmt: skip
    others = (f"{peer} {its} ms>" for peer, its in measured.peers)
    head = ("what", "batch>", "plain fp32 ms>", "quick>", "ms>", "times as quick>", "least–most>", "turns>", *others)
    table(head, lines)
    for line in measured.left_out:
        say(line)
    for each in measured.models:
        for found in each.agreements:
            images = f"{found.images:,} images, top-1 the same on {found.same_top1:.2%}"
            say(
                f"{each.name} in {found.form}: {images}; probabilities "
                f"differ by {found.mean_difference:.1e} in the mean, {found.largest_difference:.1e} at most"
            )


def _machine(environment: Mapping[str, Any]) -> str:
    return (
        f"{environment.get('gpu') or environment['cpu']}, {counted(environment['threads'], 'thread')}, torch "
        f"{environment['torch']}, alexnet {environment['alexnet']} in {environment['precision']}"
    )
