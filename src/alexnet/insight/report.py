"""report.html: one page that holds everything a run is and found, to open anywhere and to mail.

It is built from the files of the run's folder alone; a piece that is not there yet is left out. The page asks the
network for nothing (its own policy forbids it), and whatever stood in a file or folder name is escaped.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from alexnet.errors import InputError
from alexnet.files import read_json, read_lines, write_text
from alexnet.pages import page

Card = Mapping[str, Any]
Rows = Sequence[Mapping[str, Any]]

SKIPPED_SHOWN = 50
LONG = 30  # epochs from which the table is folded


def write_report(run: Path) -> Path:
    """Writes report.html into the folder of a run, finished or under way, and returns its path.

    Raises InputError when the folder holds no run.
    """
    if not (run / "recipe.toml").is_file():
        raise InputError(f"{str(run)!r} is not a run: it has no recipe.toml")
    card: Card = read_json(run / "card.json") if (run / "card.json").is_file() else {}
    rows = read_lines(run / "metrics.jsonl")
    title = card.get("title") or card.get("recipe") or run.name
    sections = [
        _headline(run, card, rows, title),
        page.section("What went wrong", _findings(read_lines(run / "findings.jsonl"))),
        page.section("Published, and ours beside it", _published(card, rows)),
        page.section("Curves", page.image(run / "plots" / "curves.png", "Loss and accuracy by epoch")),
        page.section("Epoch by epoch", _epochs(card, rows)),
        page.section(
            "Confusion", page.image(run / "plots" / "confusion.png", "Confusion matrix of the validation split")
        ),
        page.section("Worst mistakes", _worst(run)),
        page.section(
            "The images",
            page.image(run / "plots" / "samples.png", "Training images with their labels") + _data(run, card),
        ),
        page.section("The network", _network(card)),
        page.section("Recipe", f"<pre>{escape((run / 'recipe.toml').read_text(encoding='utf-8'))}</pre>"),
        page.section("Environment", page.facts(card.get("environment", {}) | _given("seed", card.get("seed")))),
        page.section(
            "Weights", page.facts({f"{k}.safetensors": f"sha256 {v}" for k, v in card.get("sha256", {}).items()})
        ),
    ]
    write_text(run / "report.html", page.whole(title, sections))
    return run / "report.html"


def _headline(run: Path, card: Card, rows: Rows, title: str) -> str:
    """The title, what was trained on what, when and where, and the figures that everyone asks for first."""
    figures, data, environment = (card.get(name, {}) for name in ("figures", "data", "environment"))
    newest = max(file.stat().st_mtime for file in run.iterdir() if file.is_file())
    about = [
        card.get("name"),
        data.get("set"),
        f"recipe {card['recipe']}" if "recipe" in card else None,
        environment.get("gpu") or environment.get("cpu"),
        datetime.fromtimestamp(newest, UTC).strftime("%d %B %Y, %H:%M UTC").lstrip("0"),
    ]
    tiles = []
    if rows:
        accuracy = figures.get("val_accuracy", rows[-1].get("val_accuracy"))
        chosen = bool(figures) and not data.get("validation_is_test")
        of = f"best of {figures['epochs']} epochs, epoch {figures['best_epoch']}" if chosen else f"epoch {len(rows)}"
        what = "test accuracy" if data.get("validation_is_test") else "validation accuracy"
        tiles.append(page.tile(what, page.percent(accuracy), of))
    if figures.get("test"):
        test = figures["test"]
        tiles.append(page.tile("test accuracy", page.percent(test["top1"]), f"{test['count']:,} images, measured once"))
    if rows:
        seconds = rows[-1].get("seconds", 0.0)
        tiles.append(
            page.tile(
                "training", page.duration(seconds), f"{rows[-1].get('images_per_second', 0):,.0f} images a second"
            )
        )
    if "parameters" in card:
        tiles.append(page.tile("parameters", f"{card['parameters']:,}", f"{len(card.get('classes', ()))} classes"))
    note = ""
    if data.get("validation_is_test"):
        note = (
            "<p class=note>This published experiment validated on the test set, so the validation figures on this page "
            "are test figures. Nothing was chosen on them: the weights are the last epoch's.</p>"
        )
    line = " · ".join(escape(str(part)) for part in about if part)
    return f"<header><h1>{escape(title)}</h1><p>{line}</p></header>\n<div class=tiles>{''.join(tiles)}</div>{note}\n"


def _findings(findings: Rows) -> str:
    return "".join(
        f"<div class=finding><h3>{escape(found['kind'])}"
        f"<span>epoch {found['epoch']}, step {found['step']:,}</span></h3>"
        f"<p>{_sentence(found['seen'])}</p><p><b>Likely</b> {escape(found['cause'])}.</p>"
        f"<p><b>Fix</b> {escape(found['fix'])}.</p></div>"
        for found in findings
    )


def _published(card: Card, rows: Rows) -> str:
    if not card.get("published"):
        return ""
    lines = []
    for figure in card["published"]:
        fraction = figure["unit"] in ("accuracy", "top-1", "top-5")
        value = page.percent(figure["value"]) if fraction else f"{figure['value']:g} {figure['unit']}"
        lines.append((figure["name"], value, *_ours(figure, card, rows), figure.get("note", "")))
    source = f"<p>Source: {escape(card['source'])}</p>" if card.get("source") else ""
    return source + page.table(("what", "published", "ours", "measured on", "conditions as published"), lines)


def _ours(figure: Mapping[str, Any], card: Card, rows: Rows) -> tuple[str, str]:
    """Our figure of the same kind and where it was measured: on the test split as the source did, when there is one."""
    figures, unit = card["figures"], figure["unit"]
    if unit in ("accuracy", "top-1", "loss") and "train" in figure["name"].lower() and rows:
        value, where = rows[-1]["train_loss" if unit == "loss" else "train_accuracy"], f"training, epoch {len(rows)}"
    elif unit in ("accuracy", "top-1", "top-5", "loss") and figures.get("test"):
        value = figures["test"][{"loss": "loss", "top-5": "top5"}.get(unit, "top1")]
        where = f"test, {figures['test']['count']:,} images"
    elif unit in ("accuracy", "top-1", "top-5", "loss"):
        value = figures.get({"loss": "val_loss", "top-5": "val_top5"}.get(unit, "val_accuracy"))
        where = "test (validated on it)" if card["data"]["validation_is_test"] else "validation"
    else:
        value, where = None, ""
    if value is None:
        return "–", ""
    return (f"{value:.4f}" if unit == "loss" else page.percent(value)), where


def _epochs(card: Card, rows: Rows) -> str:
    if not rows:
        return ""
    best = card.get("figures", {}).get("best_epoch")
    head = (
        "epoch",
        "learning rate",
        "train loss",
        "train acc.",
        "val. loss",
        "val. acc.",
        "val. top-5",
        "images/s",
        "time",
    )
    lines = [
        (
            row["epoch"],
            f"{row['lr']:.3g}",
            f"{row['train_loss']:.4f}",
            page.percent(row["train_accuracy"]),
            f"{row['val_loss']:.4f}",
            page.percent(row["val_accuracy"]),
            page.percent(row["val_top5"]),
            f"{row['images_per_second']:,.0f}",
            page.duration(row["seconds"]),
        )
        for row in rows
    ]
    table = page.table(head, lines, marked=[i for i, row in enumerate(rows) if row["epoch"] == best])
    folded = "" if len(rows) > LONG else " open"
    return f"<details{folded}><summary>{len(rows)} epochs</summary>{table}</details>"


def _worst(run: Path) -> str:
    image = page.image(run / "plots" / "worst.png", "The images that the network gets most wrong")
    return image and f"<p>True class, and below it what the network says with which probability.</p>{image}"


def _data(run: Path, card: Card) -> str:
    data = card.get("data", {})
    if not data:
        return ""
    facts = {name: data.get(name) for name in ("set", "path", "train", "validation", "test")}
    if data.get("validation_is_test"):
        facts["validation"] = f"{data['validation']:,} (the test split)"
    facts["fingerprint"] = f"sha256 {data['fingerprint']}"
    body = page.facts(facts)
    if (run / "skipped.txt").is_file():
        skipped = (run / "skipped.txt").read_text(encoding="utf-8").splitlines()
        more = f"\n… and {len(skipped) - SKIPPED_SHOWN:,} more" if len(skipped) > SKIPPED_SHOWN else ""
        body += (
            f"<details><summary>{len(skipped):,} files could not be read or used: left out (skipped.txt)</summary>"
            f"<pre>{escape(chr(10).join(skipped[:SKIPPED_SHOWN]) + more)}</pre></details>"
        )
    return body


def _network(card: Card) -> str:
    facts = {name: card.get(name) for name in ("name", "source", "parameters", "flops", "init", "license")}
    if "input" in card:
        facts["input"] = " × ".join(map(str, card["input"])) + " (channels × height × width)"
    facts |= {f"preprocessing {name}": value for name, value in card.get("preprocessing", {}).items()}
    for lrn in card.get("lrn", ()):
        constants = ", ".join(f"{name} {value}" for name, value in lrn.items() if name != "layer")
        facts[f"LRN {lrn['layer']}"] = constants
    return page.facts(facts)


def _given(name: str, value: Any) -> dict[str, Any]:
    return {} if value is None else {name: str(value)}


def _sentence(text: str) -> str:
    return escape(text[:1].upper() + text[1:]) + "."
