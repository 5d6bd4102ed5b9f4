"""What a report says of a run, as a document, built from the files of its folder alone.

A piece that is not there yet is left out.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alexnet.artifacts.card import Published, RunCard
from alexnet.artifacts.figures import Figures, score
from alexnet.artifacts.label_predictions import LabelPredictions
from alexnet.artifacts.predictions import Predictions
from alexnet.artifacts.rows import score_key
from alexnet.artifacts.run import Run
from alexnet.insight import charts
from alexnet.insight.report import about, judged, several
from alexnet.pages.document import Block, Chart, Code, Document, Finding, Fold, Picture, Section, Table, Text, Tile
from alexnet.pages.text import Words, duration, percent, sentence

Rows = Sequence[Mapping[str, Any]]

SKIPPED_SHOWN = 50
CLASSES_NAMED = 20
_LEAKS = (" images are also ", " are the same under ", " lie in several splits")
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
    labels = files.label_predictions if card and card.multilabel else None
    found = files.predictions if card and not card.multilabel else None
    return Document(
        title=(card and (card.title or card.recipe)) or run.name,
        about=_about(run, card, words),
        tiles=[
            *_tiles(card, rows, words),
            *(judged.tiles(found, card.classes, words) if card and found else []),
            *(several.tiles(labels, words) if labels else []),
        ],
        notes=[*about.unfinished(files, card, words), *_notes(card, words)],
        all_sections=[
            Section(words("Task"), _task(card, words) if card else []),
            Section(words("What went wrong"), [_finding(each, words) for each in findings]),
            Section(words("Published, and ours beside it"), _published(card, rows, words) if card else []),
            Section(
                words("Curves"),
                _plot(
                    run,
                    "curves",
                    words("Loss and mAP by epoch" if card and card.multilabel else "Loss and accuracy by epoch"),
                    charts.curves(rows, words) if rows else (),
                ),
            ),
            Section(words("Epoch by epoch"), _epochs(card, rows, words)),
            Section(
                words("Confusion"),
                _plot(
                    run,
                    "confusion",
                    words("Confusion matrix, {split} images", split=words(found.split if found else "validation")),
                ),
            ),
            Section(words("Worst mistakes"), _worst(run, card, words)),
            Section(words("Per class"), _per_class(card, found, labels, words)),
            Section(words("Calibration"), judged.calibration(found, words) if found else []),
            Section(
                words("The images"),
                [
                    *_plot(run, "samples", words("Training images with their labels")),
                    *(_data(run, card, words) if card else []),
                ],
            ),
            Section(words("The network"), [*about.drawing(card, words), *about.network(card, words)] if card else []),
            Section(words("Recipe"), [Text(words(AGAIN)), Code(recipe, "toml")]),
            Section(words("Environment"), about.environment(card, words) if card else []),
            Section(words("Weights"), about.weights(card, chosen(card, words), words) if card else []),
            Section(words("Limits"), _limits(card, words) if card else []),
            Section(words("References"), _references(card) if card else []),
        ],
        language=words.language,
    )


def _about(run: Path, card: RunCard | None, words: Words) -> str:
    """What was trained on what, when and where."""
    when = f"{datetime.fromtimestamp(Run(run).changed, UTC):%Y-%m-%d %H:%M} UTC"
    if card is None:
        return when
    where = card.environment.gpu or card.environment.cpu
    return " · ".join((card.name, card.data.name, words("recipe {name}", name=card.recipe), where, when))


def _tiles(card: RunCard | None, rows: Rows, words: Words) -> list[Tile]:
    """The figures that everyone asks for first, each with its images and its precision."""
    tiles = []
    if card:
        figures = card.figures
        what = _score(card)
        measured = {f"validation {what}": figures.validation, f"test {what}": figures.test}
        if figures.final is figures.in_training:
            measured = {f"{card.data.validated_on} {what} while training": figures.in_training}
        for name, found in measured.items():
            if found:
                of = words.counted(
                    found.count, "1 image, {precision}", "{count} images, {precision}", precision=found.precision
                )
                tiles.append(Tile(words(name), percent(score(found)), of))
        tiles.append(Tile(words("weights"), words("epoch {epoch}", epoch=figures.epoch), chosen(card, words)))
    elif rows:
        of = words("epoch {epoch}", epoch=len(rows))
        key = score_key(rows)
        name = "validation mAP" if key == "val_map" else "validation accuracy"
        tiles.append(Tile(words(name), percent(rows[-1].get(key)), of))
    if rows:
        speed = words("{speed} images a second", speed=f"{rows[-1].get('images_per_second', 0):,.0f}")
        tiles.append(Tile(words("training"), duration(rows[-1].get("seconds", 0.0)), speed))
    if card:
        tiles.append(
            Tile(words("parameters"), f"{card.parameters:,}", words("{count} classes", count=len(card.classes)))
        )
    return tiles


def _score(card: RunCard | None) -> str:
    """By which the epochs are judged."""
    return "mAP" if card and card.multilabel else "accuracy"


def _per_class(
    card: RunCard | None, found: Predictions | None, labels: LabelPredictions | None, words: Words
) -> list[Block]:
    if card and labels:
        return several.per_class(labels, card, words)
    return judged.per_class(found, card.classes, words) if card and found else []


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
        "{network} ({parameters} parameters) gives each image of {name} any number of {count} labels: {classes}."
        if card.multilabel
        else "{network} ({parameters} parameters) tells the {count} classes of {name} apart: {classes}.",
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
    if not isinstance(found, Figures):
        return [Text(text) for text in [*several.limits(card, words), *_cautions(card, words)]]
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
    return [Text(text) for text in [*said, *_cautions(card, words)]]


def _cautions(card: RunCard, words: Words) -> list[str]:
    skipped = card.data.skipped
    left = [words.counted(skipped, "1 file was left out.", "{count} files were left out.")] if skipped else []
    return left + [words("Leak: {found}", found=note) for note in leaks(card)]


def _references(card: RunCard) -> list[Block]:
    origin = f"{card.origin.source} ({card.origin.license})" if card.origin else ""
    return [Text(text) for text in dict.fromkeys((card.source, origin, PAPER)) if text]


def _finding(found: Mapping[str, Any], words: Words) -> Finding:
    return Finding(
        str(found["kind"]),
        words("epoch {epoch}, step {step}", epoch=found["epoch"], step=found["step"]),
        [
            ("", sentence(str(found["seen"]))),
            (words("Likely:"), sentence(str(found["cause"]))),
            (words("Fix:"), sentence(str(found["fix"]))),
        ],
    )


def _published(card: RunCard, rows: Rows, words: Words) -> list[Block]:
    if not card.published or card.multilabel:  # whatever was published was measured otherwise
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
        assert isinstance(found, Figures)
        value = {"loss": found.loss, "mse": found.mse, "top-5": found.top5}.get(unit, found.top1)
        split = words("test") if figures.test else words(card.data.validated_on)
        images = words.counted(
            found.count, "1 image, {precision}", "{count} images, {precision}", precision=found.precision
        )
        where = f"{split}, {images}"
    if value is None:
        return "–", ""
    return (f"{value:.4f}" if unit in ("loss", "mse") else percent(value)), where


def _epochs(card: RunCard | None, rows: Rows, words: Words) -> list[Block]:
    if not rows:
        return []
    best = card.figures.epoch if card else None
    if "val_map" in rows[0]:
        return _folded(card, rows, several.epochs(rows, best, words), words)
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
    return _folded(card, rows, Table([words(name) for name in head], lines, marked), words)


def _folded(card: RunCard | None, rows: Rows, table: Table, words: Words) -> list[Block]:
    summary = words.counted(len(rows), "1 epoch", "{count} epochs")
    if card:
        summary = words.counted(
            len(rows), "1 epoch, measured in {precision}", "{count} epochs, measured in {precision}",
            precision=card.environment.precision,
        )  # fmt: skip
    return [Fold(summary, [table], open=len(rows) <= LONG)]


def _worst(run: Path, card: RunCard | None, words: Words) -> list[Block]:
    image = _plot(run, "worst", words("The images that the network gets most wrong"))
    caption = Text(
        words("True labels, and below them the labels that are given, with the probability of the likeliest label.")
        if card and card.multilabel
        else words("True class, and below it the predicted class with its probability.")
    )
    return [caption, *image] if image else []


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
    blocks: list[Block] = about.facts_of({words(name): value for name, value in named.items()})
    blocks += [Text(note) for note in data.notes]
    if skipped := Run(run).skipped:
        shown = skipped[:SKIPPED_SHOWN]
        if more := len(skipped) - len(shown):
            shown.append(words("… and {count} more", count=f"{more:,}"))
        summary = words.counted(
            len(skipped), "1 file could not be read or used: left out (skipped.txt)",
            "{count} files could not be read or used: left out (skipped.txt)",
        )  # fmt: skip
        blocks.append(Fold(summary, [Code("\n".join(shown))]))
    return blocks


def _plot(run: Path, name: str, caption: str, numbers: Sequence[Chart] = ()) -> list[Block]:
    """A PNG of the run; nothing when there is none. `numbers`: what it shows."""
    content = Run(run).plot_content(name)
    return [Picture(content, caption, charts=numbers)] if content else []
