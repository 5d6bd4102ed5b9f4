"""report.html: one page that holds everything a run is and found, to open anywhere and to mail.

It is built from the files of the run's folder alone; a piece that is not there yet is left out. The page asks the
network for nothing (its own policy forbids it), and whatever stood in a file or folder name is escaped.
"""

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from alexnet.errors import InputError
from alexnet.files import read_json, write_text
from alexnet.insight.style import CSS

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
    rows = _lines(run / "metrics.jsonl")
    title = card.get("title") or card.get("recipe") or run.name
    sections = [
        _headline(run, card, rows, title),
        _section("What went wrong", _findings(_lines(run / "findings.jsonl"))),
        _section("Published, and ours beside it", _published(card, rows)),
        _section("Curves", _picture(run, "curves", "Loss and accuracy by epoch")),
        _section("Epoch by epoch", _epochs(card, rows)),
        _section("Confusion", _picture(run, "confusion", "Confusion matrix of the validation split")),
        _section("Worst mistakes", _worst(run)),
        _section("The pictures", _picture(run, "samples", "Training pictures with their labels") + _data(run, card)),
        _section("The network", _network(card)),
        _section("Recipe", f"<pre>{escape((run / 'recipe.toml').read_text(encoding='utf-8'))}</pre>"),
        _section("Environment", _facts(card.get("environment", {}) | _given("seed", card.get("seed")))),
        _section("Weights", _facts({f"{k}.safetensors": f"sha256 {v}" for k, v in card.get("sha256", {}).items()})),
    ]
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>{CSS}</style>
</head>
<body>
{"".join(sections)}
</body>
</html>
"""
    write_text(run / "report.html", page)
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
        of = f"best of {figures['epochs']} epochs, epoch {figures['best_epoch']}" if figures else f"epoch {len(rows)}"
        tiles.append(_tile("validation accuracy", _percent(accuracy), of))
    if figures.get("test"):
        test = figures["test"]
        tiles.append(_tile("test accuracy", _percent(test["top1"]), f"{test['count']:,} pictures, measured once"))
    if rows:
        seconds = rows[-1].get("seconds", 0.0)
        tiles.append(
            _tile("training", _duration(seconds), f"{rows[-1].get('images_per_second', 0):,.0f} pictures a second")
        )
    if "parameters" in card:
        tiles.append(_tile("parameters", f"{card['parameters']:,}", f"{len(card.get('classes', ()))} classes"))
    note = ""
    if data.get("validation_is_test"):
        note = (
            "<p class=note>This published experiment validated on the test set, so the validation figures on this page "
            "are test figures, and the best epoch was chosen on them.</p>"
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
        value = _percent(figure["value"]) if fraction else f"{figure['value']:g} {figure['unit']}"
        lines.append((figure["name"], value, *_ours(figure, card, rows), figure.get("note", "")))
    source = f"<p>Source: {escape(card['source'])}</p>" if card.get("source") else ""
    return source + _table(("what", "published", "ours", "measured on", "conditions as published"), lines)


def _ours(figure: Mapping[str, Any], card: Card, rows: Rows) -> tuple[str, str]:
    """Our figure of the same kind and where it was measured: on the test split as the source did, when there is one."""
    figures, unit = card["figures"], figure["unit"]
    if unit in ("accuracy", "top-1", "loss") and "train" in figure["name"].lower() and rows:
        value, where = rows[-1]["train_loss" if unit == "loss" else "train_accuracy"], f"training, epoch {len(rows)}"
    elif unit in ("accuracy", "top-1", "top-5", "loss") and figures.get("test"):
        value = figures["test"][{"loss": "loss", "top-5": "top5"}.get(unit, "top1")]
        where = f"test, {figures['test']['count']:,} pictures"
    elif unit in ("accuracy", "top-1", "loss"):
        value = figures["val_loss" if unit == "loss" else "val_accuracy"]
        where = "test (validated on it)" if card["data"]["validation_is_test"] else "validation"
    else:
        return "–", ""
    return (f"{value:.4f}" if unit == "loss" else _percent(value)), where


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
        "pictures/s",
        "time",
    )
    lines = [
        (
            row["epoch"],
            f"{row['lr']:.3g}",
            f"{row['train_loss']:.4f}",
            _percent(row["train_accuracy"]),
            f"{row['val_loss']:.4f}",
            _percent(row["val_accuracy"]),
            _percent(row["val_top5"]),
            f"{row['images_per_second']:,.0f}",
            _duration(row["seconds"]),
        )
        for row in rows
    ]
    table = _table(head, lines, marked=[i for i, row in enumerate(rows) if row["epoch"] == best])
    folded = "" if len(rows) > LONG else " open"
    return f"<details{folded}><summary>{len(rows)} epochs</summary>{table}</details>"


def _worst(run: Path) -> str:
    picture = _picture(run, "worst", "The pictures that the network gets most wrong")
    return picture and f"<p>True class, and below it what the network says with which probability.</p>{picture}"


def _data(run: Path, card: Card) -> str:
    data = card.get("data", {})
    if not data:
        return ""
    facts = {name: data.get(name) for name in ("set", "path", "train", "validation", "test")}
    if data.get("validation_is_test"):
        facts["validation"] = f"{data['validation']:,} (the test split)"
    facts["fingerprint"] = f"sha256 {data['fingerprint']}"
    body = _facts(facts)
    if (run / "skipped.txt").is_file():
        skipped = (run / "skipped.txt").read_text(encoding="utf-8").splitlines()
        more = f"\n… and {len(skipped) - SKIPPED_SHOWN:,} more" if len(skipped) > SKIPPED_SHOWN else ""
        body += (
            f"<details><summary>{len(skipped):,} pictures could not be read and were left out (skipped.txt)</summary>"
            f"<pre>{escape(chr(10).join(skipped[:SKIPPED_SHOWN]) + more)}</pre></details>"
        )
    return body


def _network(card: Card) -> str:
    facts = {name: card.get(name) for name in ("name", "source", "parameters", "flops", "init", "licence")}
    if "input" in card:
        facts["input"] = " × ".join(map(str, card["input"])) + " (channels × height × width)"
    facts |= {f"preprocessing {name}": value for name, value in card.get("preprocessing", {}).items()}
    for lrn in card.get("lrn", ()):
        constants = ", ".join(f"{name} {value}" for name, value in lrn.items() if name != "layer")
        facts[f"LRN {lrn['layer']}"] = constants
    return _facts(facts)


# Pieces of a page


def _section(title: str, body: str) -> str:
    return body and f"<section><h2>{title}</h2>{body}</section>\n"


def _tile(name: str, value: str, detail: str) -> str:
    return f"<div><small>{name}</small><strong>{value}</strong><small>{escape(detail)}</small></div>"


def _picture(run: Path, name: str, caption: str) -> str:
    file = run / "plots" / f"{name}.png"
    if not file.is_file():
        return ""
    content = base64.b64encode(file.read_bytes()).decode()
    return f'<img alt="{caption}" src="data:image/png;base64,{content}">'


def _table(head: Iterable[str], lines: Iterable[Iterable[object]], marked: Sequence[int] = ()) -> str:
    body = "".join(
        f"<tr{' class=best' if i in marked else ''}>{''.join(f'<td>{escape(str(cell))}</td>' for cell in line)}</tr>"
        for i, line in enumerate(lines)
    )
    titles = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f"<div class=scroll><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"


def _facts(facts: Mapping[str, Any]) -> str:
    lines = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(_value(value))}</dd>" for name, value in facts.items() if value is not None
    )
    return lines and f"<dl>{lines}</dl>"


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_value, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _given(name: str, value: Any) -> dict[str, Any]:
    return {} if value is None else {name: str(value)}


def _sentence(text: str) -> str:
    return escape(text[:1].upper() + text[1:]) + "."


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None or not math.isfinite(fraction) else f"{fraction:.2%}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _lines(file: Path) -> Rows:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []
