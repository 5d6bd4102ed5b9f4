"""What a report says of a run, as a document, built from the files of its folder alone.

A piece that is not there yet is left out.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alexnet.errors import InputError
from alexnet.files import read_json, read_lines
from alexnet.pages.document import Block, Code, Document, Facts, Finding, Fold, Picture, Section, Table, Text, Tile
from alexnet.pages.text import Words, duration, facts, percent, sentence

Card = Mapping[str, Any]
Rows = Sequence[Mapping[str, Any]]

SKIPPED_SHOWN = 50
LONG = 30  # epochs from which the table is folded


def describe(run: Path, words: Words | None = None) -> Document:
    """The report of a run, finished or under way. Raises InputError when the folder holds no run."""
    if not (run / "recipe.toml").is_file():
        raise InputError(f"{str(run)!r} is not a run: it has no recipe.toml")
    words = words or Words()
    card: Card = read_json(run / "card.json") if (run / "card.json").is_file() else {}
    rows = read_lines(run / "metrics.jsonl")
    findings = read_lines(run / "findings.jsonl")
    environment = dict(card.get("environment", {})) | ({"seed": str(card["seed"])} if "seed" in card else {})
    digests = {f"{name}.safetensors": f"sha256 {value}" for name, value in card.get("sha256", {}).items()}
    return Document(
        title=str(card.get("title") or card.get("recipe") or run.name),
        about=_about(run, card),
        tiles=_tiles(card, rows, words),
        notes=_notes(card, words),
        all_sections=[
            Section(words("What went wrong"), [_finding(each, words) for each in findings]),
            Section(words("Published, and ours beside it"), _published(card, rows, words)),
            Section(words("Curves"), _plot(run, "curves", words("Loss and accuracy by epoch"))),
            Section(words("Epoch by epoch"), _epochs(card, rows, words)),
            Section(words("Confusion"), _plot(run, "confusion", words("Confusion matrix of the validation split"))),
            Section(words("Worst mistakes"), _worst(run, words)),
            Section(
                words("The images"),
                [*_plot(run, "samples", words("Training images with their labels")), *_data(run, card, words)],
            ),
            Section(words("The network"), _network(card)),
            Section(words("Recipe"), [Code((run / "recipe.toml").read_text(encoding="utf-8"), "toml")]),
            Section(words("Environment"), _facts(environment)),
            Section(words("Weights"), _facts(digests)),
        ],
        language=words.language,
    )


def _about(run: Path, card: Card) -> str:
    """What was trained on what, when and where."""
    data, environment = card.get("data", {}), card.get("environment", {})
    newest = max(file.stat().st_mtime for file in run.iterdir() if file.is_file())
    parts = [
        card.get("name"),
        data.get("set"),
        f"recipe {card['recipe']}" if "recipe" in card else None,
        environment.get("gpu") or environment.get("cpu"),
        datetime.fromtimestamp(newest, UTC).strftime("%d %B %Y, %H:%M UTC").lstrip("0"),
    ]
    return " · ".join(str(part) for part in parts if part)


def _tiles(card: Card, rows: Rows, words: Words) -> list[Tile]:
    """The figures that everyone asks for first."""
    figures, data = card.get("figures", {}), card.get("data", {})
    tiles = []
    if rows:
        accuracy = figures.get("val_accuracy", rows[-1].get("val_accuracy"))
        on_test = data.get("validation_is_test")
        of = words("epoch {epoch}", epoch=len(rows))
        if figures and not on_test:
            of = words("best of {epochs} epochs, epoch {best}", epochs=figures["epochs"], best=figures["best_epoch"])
        tiles.append(Tile(words("test accuracy") if on_test else words("validation accuracy"), percent(accuracy), of))
    if figures.get("test"):
        test = figures["test"]
        counted = words("{count} images, measured once", count=f"{test['count']:,}")
        tiles.append(Tile(words("test accuracy"), percent(test["top1"]), counted))
    if rows:
        speed = words("{speed} images a second", speed=f"{rows[-1].get('images_per_second', 0):,.0f}")
        tiles.append(Tile(words("training"), duration(rows[-1].get("seconds", 0.0)), speed))
    if "parameters" in card:
        classes = words("{count} classes", count=len(card.get("classes", ())))
        tiles.append(Tile(words("parameters"), f"{card['parameters']:,}", classes))
    return tiles


def _notes(card: Card, words: Words) -> list[str]:
    if not card.get("data", {}).get("validation_is_test"):
        return []
    return [
        words(
            "This published experiment validated on the test set, so the validation figures on this page are test "
            "figures. Nothing was chosen on them: the weights are the last epoch's."
        )
    ]


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


def _published(card: Card, rows: Rows, words: Words) -> list[Block]:
    if not card.get("published"):
        return []
    lines = []
    for figure in card["published"]:
        fraction = figure["unit"] in ("accuracy", "top-1", "top-5")
        value = percent(figure["value"]) if fraction else f"{figure['value']:g} {figure['unit']}"
        lines.append((figure["name"], value, *_ours(figure, card, rows, words), figure.get("note", "")))
    head = ("what", "published", "ours", "measured on", "conditions as published")
    source = [Text(words("Source: {source}", source=card["source"]))] if card.get("source") else []
    return [*source, Table([words(name) for name in head], lines)]


def _ours(figure: Mapping[str, Any], card: Card, rows: Rows, words: Words) -> tuple[str, str]:
    """Our figure of the same kind and where it was measured: on the test split as the source did, when there is one."""
    figures, unit = card["figures"], figure["unit"]
    if unit in ("accuracy", "top-1", "loss") and "train" in figure["name"].lower() and rows:
        value = rows[-1]["train_loss" if unit == "loss" else "train_accuracy"]
        where = words("training, epoch {epoch}", epoch=len(rows))
    elif unit in ("accuracy", "top-1", "top-5", "loss") and figures.get("test"):
        value = figures["test"][{"loss": "loss", "top-5": "top5"}.get(unit, "top1")]
        where = words("test, {count} images", count=f"{figures['test']['count']:,}")
    elif unit in ("accuracy", "top-1", "top-5", "loss"):
        value = figures.get({"loss": "val_loss", "top-5": "val_top5"}.get(unit, "val_accuracy"))
        where = words("test (validated on it)") if card["data"]["validation_is_test"] else words("validation")
    else:
        value, where = None, ""
    if value is None:
        return "–", ""
    return (f"{value:.4f}" if unit == "loss" else percent(value)), where


def _epochs(card: Card, rows: Rows, words: Words) -> list[Block]:
    if not rows:
        return []
    best = card.get("figures", {}).get("best_epoch")
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
    return [Fold(words("{count} epochs", count=len(rows)), [table], open=len(rows) <= LONG)]


def _worst(run: Path, words: Words) -> list[Block]:
    image = _plot(run, "worst", words("The images that the network gets most wrong"))
    about = Text(words("True class, and below it the predicted class with its probability."))
    return [about, *image] if image else []


def _data(run: Path, card: Card, words: Words) -> list[Block]:
    data = card.get("data", {})
    if not data:
        return []
    named = {name: data.get(name) for name in ("set", "path", "train", "validation", "test")}
    if data.get("validation_is_test"):
        named["validation"] = words("{count} (the test split)", count=f"{data['validation']:,}")
    named["fingerprint"] = f"sha256 {data['fingerprint']}"
    blocks: list[Block] = _facts({words(name): value for name, value in named.items()})
    if (run / "skipped.txt").is_file():
        skipped = (run / "skipped.txt").read_text(encoding="utf-8").splitlines()
        shown = skipped[:SKIPPED_SHOWN]
        if more := len(skipped) - len(shown):
            shown.append(words("… and {count} more", count=f"{more:,}"))
        summary = words("{count} files could not be read or used: left out (skipped.txt)", count=f"{len(skipped):,}")
        blocks.append(Fold(summary, [Code("\n".join(shown))]))
    return blocks


def _network(card: Card) -> list[Block]:
    named = {name: card.get(name) for name in ("name", "source", "parameters", "flops", "init", "license")}
    if "input" in card:
        named["input"] = " × ".join(map(str, card["input"])) + " (channels × height × width)"
    named |= {f"preprocessing {name}": value for name, value in card.get("preprocessing", {}).items()}
    for lrn in card.get("lrn", ()):
        constants = ", ".join(f"{name} {value}" for name, value in lrn.items() if name != "layer")
        named[f"LRN {lrn['layer']}"] = constants
    return _facts(named)


def _plot(run: Path, name: str, caption: str) -> list[Block]:
    """A PNG of the run; nothing when there is none."""
    file = run / "plots" / f"{name}.png"
    return [Picture(file.read_bytes(), caption)] if file.is_file() else []


def _facts(named: Mapping[str, Any]) -> list[Block]:
    items = facts(named)
    return [Facts(items)] if items else []
