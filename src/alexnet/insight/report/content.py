"""What a report says of a run, as a document, built from the files of its folder alone.

A piece that is not there yet is left out.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alexnet.artifacts.card import Published, RunCard
from alexnet.artifacts.run import Run
from alexnet.insight.draw import draw, to_png
from alexnet.insight.report import judged
from alexnet.pages.document import Block, Code, Document, Facts, Finding, Fold, Picture, Section, Table, Text, Tile
from alexnet.pages.text import Words, duration, facts, percent, sentence

Rows = Sequence[Mapping[str, Any]]

SKIPPED_SHOWN = 50
CLASSES_NAMED = 20
_LEAKS = (" images are also ", " are the same under two classes", " lie in several splits")
PAPER = (
    "Krizhevsky, Sutskever and Hinton 2012: ImageNet Classification with Deep Convolutional Neural Networks, "
    "Advances in Neural Information Processing Systems 25"
)
AGAIN = "Saved as recipe.toml, it trains again: alexnet train recipe.toml --data PATH"
LONG = 30  # epochs from which the table is folded


def describe(run: Path, words: Words | None = None) -> Document:
    """The report of a run, finished or under way. Raises InputError when the folder holds no run."""
    files = Run(run)
    recipe = files.recipe_text
    words = words or Words()
    card = files.card if files.has_card else None
    rows = files.metrics
    findings = files.findings
    found = files.predictions if card else None
    return Document(
        title=(card and (card.title or card.recipe)) or run.name,
        about=_about(run, card),
        tiles=[*_tiles(card, rows, words), *(judged.tiles(found, card.classes, words) if card and found else [])],
        notes=_notes(card, words),
        all_sections=[
            Section(words("Task"), _task(card, words) if card else []),
            Section(words("What went wrong"), [_finding(each, words) for each in findings]),
            Section(words("Published, and ours beside it"), _published(card, rows, words) if card else []),
            Section(words("Curves"), _plot(run, "curves", words("Loss and accuracy by epoch"))),
            Section(words("Epoch by epoch"), _epochs(card, rows, words)),
            Section(
                words("Confusion"),
                _plot(
                    run,
                    "confusion",
                    words("Confusion matrix, {split} images", split=words(found.split if found else "validation")),
                ),
            ),
            Section(words("Worst mistakes"), _worst(run, words)),
            Section(words("Per class"), judged.per_class(found, card.classes, words) if card and found else []),
            Section(words("Calibration"), judged.calibration(found, words) if found else []),
            Section(
                words("The images"),
                [
                    *_plot(run, "samples", words("Training images with their labels")),
                    *(_data(run, card, words) if card else []),
                ],
            ),
            Section(words("The network"), [*_drawing(card, words), *_network(card, words)] if card else []),
            Section(words("Recipe"), [Text(words(AGAIN)), Code(recipe, "toml")]),
            Section(
                words("Environment"),
                _facts(card.environment.to_json() | {"seed": str(card.seed)}) if card else [],
            ),
            Section(words("Weights"), _weights(card, words) if card else []),
            Section(words("Limits"), _limits(card, words) if card else []),
            Section(words("References"), _references(card) if card else []),
        ],
        language=words.language,
    )


def _about(run: Path, card: RunCard | None) -> str:
    """What was trained on what, when and where."""
    when = datetime.fromtimestamp(Run(run).changed, UTC).strftime("%d %B %Y, %H:%M UTC").lstrip("0")
    if card is None:
        return when
    where = card.environment.gpu or card.environment.cpu
    return " · ".join((card.name, card.data.name, f"recipe {card.recipe}", where, when))


def _tiles(card: RunCard | None, rows: Rows, words: Words) -> list[Tile]:
    """The figures that everyone asks for first, each with its images and its precision."""
    tiles = []
    if card:
        figures = card.figures
        measured = {"validation accuracy": figures.validation, "test accuracy": figures.test}
        if figures.final is figures.in_training:
            measured = {f"{card.data.validated_on} accuracy while training": figures.in_training}
        for name, found in measured.items():
            if found:
                of = words("{count} images, {precision}", count=f"{found.count:,}", precision=found.precision)
                tiles.append(Tile(words(name), percent(found.top1), of))
        tiles.append(Tile(words("weights"), words("epoch {epoch}", epoch=figures.epoch), chosen(card, words)))
    elif rows:
        of = words("epoch {epoch}", epoch=len(rows))
        tiles.append(Tile(words("validation accuracy"), percent(rows[-1].get("val_accuracy")), of))
    if rows:
        speed = words("{speed} images a second", speed=f"{rows[-1].get('images_per_second', 0):,.0f}")
        tiles.append(Tile(words("training"), duration(rows[-1].get("seconds", 0.0)), speed))
    if card:
        tiles.append(
            Tile(words("parameters"), f"{card.parameters:,}", words("{count} classes", count=len(card.classes)))
        )
    return tiles


def chosen(card: RunCard, words: Words) -> str:
    """Which epoch's weights these are, and what chose it: `Trained.chosen` in the document's language."""
    figures = card.figures
    if figures.selection == "validation":
        of = "epoch {epoch} of {epochs}, the best on the validation split"
    else:
        of = "epoch {epoch}, the last; the test split validated and chose nothing"
    return words(of, epoch=figures.epoch, epochs=figures.epochs)


def _notes(card: RunCard | None, words: Words) -> list[str]:
    if card is None:
        return []
    notes = [words("Leak: {found}", found=note) for note in leaks(card)]
    if card.data.validation_is_test:
        notes.append(
            words(
                "This published experiment validated on the test set, so the validation figures on this page are test "
                "figures. Nothing was chosen on them: the weights are the last epoch's."
            )
        )
    return notes


def leaks(card: RunCard) -> list[str]:
    """Of the notes on a run's images those by which its accuracy is not to be trusted."""
    return [note for note in card.data.notes if any(sign in note for sign in _LEAKS)]


def _task(card: RunCard, words: Words) -> list[Block]:
    text = words(
        "{network} ({parameters} parameters) tells the {count} classes of {name} apart: {classes}.",
        network=card.name,
        parameters=f"{card.parameters:,}",
        count=len(card.classes),
        name=card.data.name,
        classes=", ".join(card.classes[:CLASSES_NAMED]) + (", …" if len(card.classes) > CLASSES_NAMED else ""),
    )
    return [Text(text)]


def _limits(card: RunCard, words: Words) -> list[Block]:
    """What the figures do not say, by what the card says of how they came about."""
    found, data = card.figures.test or card.figures.final, card.data
    low, high = found.interval
    said = [
        words("One run, with seed {seed}: other seeds give other accuracies; --seeds 5 measures by how much.",
              seed=card.seed),
        words("{count} images: on others of their kind the accuracy lies between {low} and {high} (95 %).",
              count=f"{found.count:,}", low=percent(low), high=percent(high)),
    ]  # fmt: skip
    if card.figures.test is None and not data.validation_is_test:
        said.append(
            words("No test split: the epoch was chosen on the images that it is measured on, which flatters a little.")
        )
    if data.skipped:
        said.append(words("{count} files were left out.", count=f"{data.skipped:,}"))
    said += [words("Leak: {found}", found=note) for note in leaks(card)]
    return [Text(text) for text in said]


def _references(card: RunCard) -> list[Block]:
    origin = f"{card.origin.source} ({card.origin.license})" if card.origin else ""
    return [Text(text) for text in dict.fromkeys((card.source, origin, PAPER)) if text]


def _finding(found: Mapping[str, Any], words: Words) -> Finding:
    return Finding(
        str(found["kind"]),
        words("epoch {epoch}, step {step}", epoch=found["epoch"], step=found["step"]),
        [
            ("", sentence(str(found["seen"]))),
            (words("Likely"), sentence(str(found["cause"]))),
            (words("Fix"), sentence(str(found["fix"]))),
        ],
    )


def _published(card: RunCard, rows: Rows, words: Words) -> list[Block]:
    if not card.published:
        return []
    lines = []
    for figure in card.published:
        fraction = figure.unit in ("accuracy", "top-1", "top-5")
        value = percent(figure.value) if fraction else f"{figure.value:g} {figure.unit}"
        lines.append((figure.name, value, *_ours(figure, card, rows, words), figure.note))
    head = ("what", "published", "ours", "measured on", "conditions as published")
    source = [Text(words("Source: {source}", source=card.source))] if card.source else []
    return [*source, Table([words(name) for name in head], lines)]


def _ours(figure: Published, card: RunCard, rows: Rows, words: Words) -> tuple[str, str]:
    """Our figure of the same kind and where it was measured: on the test split as the source did, when there is one."""
    figures, unit = card.figures, figure.unit
    if unit not in ("accuracy", "top-1", "top-5", "loss", "mse"):
        return "–", ""
    if "train" in figure.name.lower() and unit not in ("top-5", "mse") and rows:
        value, precision = rows[-1]["train_loss" if unit == "loss" else "train_accuracy"], card.environment.precision
        where = words("training, epoch {epoch}, {precision}", epoch=len(rows), precision=precision)
    else:
        found = figures.test or figures.final
        value = {"loss": found.loss, "mse": found.mse, "top-5": found.top5}.get(unit, found.top1)
        split = words("test") if figures.test else words(card.data.validated_on)
        images = words("{count} images, {precision}", count=f"{found.count:,}", precision=found.precision)
        where = f"{split}, {images}"
    if value is None:
        return "–", ""
    return (f"{value:.4f}" if unit in ("loss", "mse") else percent(value)), where


def _epochs(card: RunCard | None, rows: Rows, words: Words) -> list[Block]:
    if not rows:
        return []
    best = card.figures.epoch if card else None
    head = ("epoch", "learning rate", "train loss", "train acc.", "val. loss", "val. acc.", "val. top-5", "images/s",
            "time")  # fmt: skip
    lines = [
        (
            str(row["epoch"]),
            f"{row['lr']:.3g}",
            f"{row['train_loss']:.4f}",
            percent(row["train_accuracy"]),
            f"{row['val_loss']:.4f}",
            percent(row["val_accuracy"]),
            percent(row["val_top5"]),
            f"{row['images_per_second']:,.0f}",
            duration(row["seconds"]),
        )
        for row in rows
    ]
    marked = frozenset(i for i, row in enumerate(rows) if row["epoch"] == best)
    table = Table([words(name) for name in head], lines, marked)
    summary = words("{count} epochs", count=len(rows))
    if card:
        summary = words(
            "{count} epochs, measured in {precision}", count=len(rows), precision=card.environment.precision
        )
    return [Fold(summary, [table], open=len(rows) <= LONG)]


def _worst(run: Path, words: Words) -> list[Block]:
    image = _plot(run, "worst", words("The images that the network gets most wrong"))
    about = Text(words("True class, and below it the predicted class with its probability."))
    return [about, *image] if image else []


def _data(run: Path, card: RunCard, words: Words) -> list[Block]:
    data = card.data
    named: dict[str, Any] = {
        "dataset": data.name,
        "path": data.path,
        "train": data.train,
        "validation": data.validation,
        "test": data.test,
        "fingerprint": f"sha256 {data.fingerprint}",
    }
    if data.validation_is_test:
        named["validation"] = words("{count} (the test split)", count=f"{data.validation:,}")
    blocks: list[Block] = _facts({words(name): value for name, value in named.items()})
    blocks += [Text(note) for note in data.notes]
    if skipped := Run(run).skipped:
        shown = skipped[:SKIPPED_SHOWN]
        if more := len(skipped) - len(shown):
            shown.append(words("… and {count} more", count=f"{more:,}"))
        summary = words("{count} files could not be read or used: left out (skipped.txt)", count=f"{len(skipped):,}")
        blocks.append(Fold(summary, [Code("\n".join(shown))]))
    return blocks


def _network(card: RunCard, words: Words) -> list[Block]:
    named = {name: getattr(card, name) for name in ("name", "source", "parameters", "flops", "init", "license")}
    if origin := card.origin:
        about = words("{source}; license: {license}", source=origin.source, license=origin.license)
        named["pretrained weights"] = f"{origin.file}: {about}"
    named["input"] = " × ".join(map(str, card.input)) + " (channels × height × width)"
    named |= {f"preprocessing {name}": value for name, value in card.preprocessing.to_json().items()}
    for lrn in card.lrn:
        constants = ", ".join(f"{name} {value}" for name, value in lrn.to_json().items() if name != "layer")
        named[f"LRN {lrn.layer}"] = constants
    return _facts(named)


def _weights(card: RunCard, words: Words) -> list[Block]:
    digests = {f"{name}.safetensors": f"sha256 {digest}" for name, digest in card.sha256.items()}
    return _facts({words("best.safetensors holds"): chosen(card, words)} | digests)


def _plot(run: Path, name: str, caption: str) -> list[Block]:
    """A PNG of the run; nothing when there is none."""
    content = Run(run).plot_content(name)
    return [Picture(content, caption)] if content else []


def _facts(named: Mapping[str, Any]) -> list[Block]:
    items = facts(named)
    return [Facts(items)] if items else []


def _drawing(card: RunCard, words: Words) -> list[Block]:
    drawing = draw(card.name, len(card.classes), card.input)
    return [Picture(drawing.to_svg().encode(), words("Drawing of the layers"), raster=to_png(drawing))]
