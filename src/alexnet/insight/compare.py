"""Runs beside each other: accuracy by epoch and by seconds, size, cost, and what was published."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alexnet.artifacts.figures import score
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.files import check_target, make_folder, write_together
from alexnet.insight import charts, epochs, paired, plots
from alexnet.pages import html
from alexnet.pages.document import Block, Document, Picture, Section, Table
from alexnet.pages.text import ENGLISH, Words, duration, percent

HEAD = ("run", "network", "parameters", "MFLOPs", "epochs", "time", "validation", "test", "published")
PUBLISHED = ("run", "what", "value", "unit", "conditions")


def compare(runs: Sequence[Path]) -> list[dict[str, Any]]:
    """One dict per run: name, network, parameters, flops, epochs, seconds, val_accuracy, test_accuracy (of several
    labels an image val_map, test_map), published, bytes (of the weights file), images_per_second (mean while training),
    repeats (the name of the run of this recipe whose weights it has, if there is one: it is no other seed).

    Accuracies are fractions, None where there is none. Raises InputError for what is not a run with a finished epoch,
    and for runs of both kinds.
    """
    several = {run: Run(run).card.multilabel for run in runs}
    if len(set(several.values())) > 1:
        one, other = (next(run for run in runs if several[run] == kind) for kind in (True, False))
        raise InputError(f"{one} names several labels an image and {other} one class: their figures do not compare")
    repeats = epochs.repeats([Run(run) for run in runs])
    return [_row(run) | {"repeats": runs[repeats[i]].name if i in repeats else None} for i, run in enumerate(runs)]


def repetitions(rows: Sequence[dict[str, Any]], words: Words = ENGLISH) -> list[str]:
    """A line for each row of `compare` that repeats an earlier one."""
    return [
        words("{run} is named twice; it counts once", run=row["name"])
        if row["repeats"] == row["name"]
        else words(
            "{run} has the weights of {other}, so that it is no other seed; they count once",
            run=row["name"],
            other=row["repeats"],
        )
        for row in rows
        if row["repeats"] is not None
    ]


def write_comparison(runs: Sequence[Path], out: Path | None, images: Path | None = None) -> None:
    """Writes a self-contained page of `runs` to `out`, and its curves as epoch.png and seconds.png into `images`.

    InputError as `compare`, and when `out` or `images` cannot be written.
    """
    if out is not None:
        check_target(out)
    if images is not None and images.exists() and not images.is_dir():
        raise InputError(f"{str(images)!r} is a file; name a folder for the PNGs")
    document, curves = describe(runs)
    contents: dict[Path, bytes] = {}
    if images is not None:
        make_folder(images)
        contents = {images / f"{name}.png": content for name, content in curves.items()}
    if out is not None:
        contents[out] = html.render(document).encode("utf-8", "backslashreplace")
    write_together(contents)


def describe(runs: Sequence[Path], words: Words | None = None) -> tuple[Document, dict[str, bytes]]:
    """The page of `runs`, and its curves as PNG by 'epoch' and 'seconds'. InputError as `compare`.

    Runs that differ in their seed or fold only are one curve, their mean, with a band from the lowest to the highest.
    """
    words = words or Words()
    rows = compare(runs)
    opened = [Run(run) for run in runs]
    metrics = {row["name"]: run.metrics for row, run in zip(rows, opened, strict=True)}
    if len(metrics) < len(rows):
        raise InputError("two runs have the same name; give each folder a name of its own")
    groups = _grouped(opened)
    lines = {name: [opened[i].metrics for i in group] for name, group in groups.items()}
    curves = _curves(lines, {name: said for name, group in groups.items() if (said := rows[group[0]]["published"])})
    several = opened[0].card.multilabel
    tested, warnings = paired.pairs(opened, words)
    names = tuple(metrics)
    recipes, classes = paired.recipe_differences(opened), paired.class_differences(opened)
    what = "Loss and mAP" if several else "Loss and accuracy"
    by_epoch = Picture(curves["epoch"], words(f"{what} by epoch"), charts=charts.side_by_side(lines, words, "epoch"))
    numbers = charts.side_by_side(lines, words, "seconds")
    by_time = Picture(curves["seconds"], words(f"{what} by seconds of training"), charts=numbers)

    def table(head: Sequence[str], cells: Sequence[tuple[str, ...]], columns: Sequence[str] = ()) -> list[Block]:
        return [Table([*(words(name) for name in head), *columns], cells)] if cells else []

    sections: dict[str, list[Block]] = {
        "Figures": table(HEAD, [line(row) for row in rows]),
        "At equal epochs, and at equal seconds": table(epochs.EQUAL, epochs.equal(metrics, words)),
        "Seeds": table(epochs.SEEDS, epochs.seeds(opened, words)),
        "Overfitting": [] if several else table(epochs.FIT, list(epochs.fit(opened, words))),
        "Is one better?": table(paired.PAIRS, list(paired.lines(tested, words))),
        "Size and speed": table(epochs.COST, list(epochs.cost(opened))),
        "Recipes: what differs": table(("key",), recipes, names),
        "Published": table(PUBLISHED, _published(runs)),
        "By epoch": [by_epoch],
        "By time": [by_time],
        "Recall by class": table(("class",), classes, names),
    }
    document = Document(
        " · ".join(metrics),
        notes=[*repetitions(rows, words), *warnings],
        all_sections=[Section(words(title), blocks) for title, blocks in sections.items()],
        language=words.language,
    )
    return document, curves


def _grouped(runs: Sequence[Run]) -> dict[str, list[int]]:
    """Which runs each curve is of, by its name."""
    groups = epochs.together(runs)
    found = {epochs.title(runs, group): group for group in groups}
    if len(found) < len(groups):  # several recipes of one name
        found = {run.path.name: [i] for i, run in enumerate(runs)}
    return found


def _curves(lines: Mapping[str, Sequence[charts.Rows]], published: Mapping[str, float]) -> dict[str, bytes]:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for x in ("epoch", "seconds"):
            path = Path(folder) / f"{x}.png"
            plots.curves_side_by_side(lines, path, x, published)
            found[x] = path.read_bytes()
    return found


def line(row: dict[str, Any]) -> tuple[str, ...]:
    """A row of `compare` as cells under HEAD."""
    return (
        row["name"],
        row["network"],
        f"{row['parameters']:,}",
        f"{row['flops'] / 1e6:,.1f}",
        str(row["epochs"]),
        duration(row["seconds"]),
        *(percent(row.get(f"{split}_map", row.get(f"{split}_accuracy"))) for split in ("val", "test")),
        percent(row["published"]),
    )


def _published(runs: Sequence[Path]) -> list[tuple[str, ...]]:
    """All that the sources say, also where it is no accuracy."""
    return [
        (run.name, figure.name, f"{figure.value:g}", figure.unit, figure.note)
        for run in runs
        for figure in Run(run).card.published
    ]


def _row(run: Path) -> dict[str, Any]:
    opened = Run(run)
    card, rows = opened.card, opened.metrics
    figures = card.figures
    # Until a run has ended, what stands in its last rows is all that there is.
    name = "map" if card.multilabel else "accuracy"
    during = {card.data.validated_on: figures.in_training}
    validation, test = figures.validation or during.get("validation"), figures.test or during.get("test")
    return {
        "name": run.name,
        "network": card.name,
        "parameters": card.parameters,
        "flops": card.flops,
        "epochs": figures.epochs,
        "seconds": figures.seconds,
        f"val_{name}": score(validation) if validation else None,
        f"test_{name}": score(test) if test else None,
        "published": plots.published_accuracy(card.published),
        "bytes": opened.weights.stat().st_size if opened.weights.is_file() else None,
        "images_per_second": epochs.images_per_second(rows) if rows else None,
    }
