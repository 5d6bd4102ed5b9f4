"""`alexnet report`: everything is drawn again from a run's files, in every format, also where the run was copied to."""

import ast
import dataclasses
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from alexnet.artifacts.card import Environment
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.insight import compare, epochs, paired
from alexnet.insight.report import about, markdown
from alexnet.insight.report.content import describe
from alexnet.insight.report.write import report
from alexnet.pages.chinese import CHINESE
from alexnet.pages.document import Document, Finding, Picture, Section, Table
from alexnet.pages.text import Words
from alexnet.preprocessing import Preprocessing

ARTIFACTS = ("recipe.toml", "card.json", "metrics.jsonl", "predictions.npz")


@pytest.fixture
def copied(trained: Run, tmp_path: Path) -> Path:
    """What of the digits run is needed for a report: no plots, no weights, no data."""
    folder = tmp_path / "copied"
    folder.mkdir()
    for name in ARTIFACTS:
        shutil.copy(trained.path / name, folder / name)
    return folder


def test_a_copied_run_is_drawn_again(copied: Path, trained: Run) -> None:
    path, left = report(copied)
    assert (path, left) == (copied / "report.html", [])
    for name in ("curves", "confusion", "worst"):
        assert (copied / f"plots/{name}.png").read_bytes() == (trained.path / f"plots/{name}.png").read_bytes(), name
    assert (copied / "plots/samples.png").is_file()
    page = path.read_text(encoding="utf-8")
    for expected in ("balanced accuracy", "95 % interval", "Calibration", "Per class", "image/svg+xml", "fp32"):
        assert expected in page, expected


def test_a_run_without_predictions_says_what_is_missing(copied: Path) -> None:
    (copied / "predictions.npz").unlink()
    left = report(copied)[1]
    assert "no predictions.npz" in left[0]
    assert (copied / "plots/curves.png").is_file()
    assert not (copied / "plots/confusion.png").exists()


def test_a_run_that_was_interrupted_is_not_called_complete(copied: Path) -> None:
    """It was 'epoch 1 of 1, the best on the validation split'."""
    assert describe(copied).notes == []
    rows = (copied / "metrics.jsonl").read_text().splitlines(keepends=True)
    (copied / "metrics.jsonl").write_text("".join(rows[:-1]))
    (note,) = describe(copied).notes
    assert note.startswith(f"Epoch {len(rows) - 1} of {len(rows)}: this run is under way or was interrupted")


def test_markdown_shows_strange_text_as_it_is(copied: Path) -> None:
    card = json.loads((copied / "card.json").read_text())
    card["title"] = "a](http://x) <script> | *b* `c` $d$"
    (copied / "card.json").write_text(json.dumps(card))
    text = report(copied, "md")[0].read_text(encoding="utf-8")
    assert r"a\](http://x) \<script\> \| \*b\* \`c\` \$d\$" in text
    for name in re.findall(r"\]\((report_files/[^)]+)\)", text):
        assert (copied / name).is_file()
    assert "To be written by the author" in text


def test_a_finding_is_told_with_its_labels_apart(copied: Path) -> None:
    """Markdown had no space after the colon, and slides had no colon."""
    finding = {"kind": "confused", "epoch": 2, "step": 9, "seen": "a is b", "cause": "'r' and 's'", "fix": "compare"}
    (copied / "findings.jsonl").write_text(json.dumps(finding) + "\n")
    told = ("Likely: 'r' and 's'.", "Fix: Compare.")
    text = report(copied, "md")[0].read_text(encoding="utf-8")
    assert "**confused** (epoch 2, step 9)\n\n- A is b.\n- {}\n- {}\n".format(*told) in text
    cells = json.loads(report(copied, "ipynb")[0].read_text(encoding="utf-8"))["cells"]
    assert any("- {}\n- {}".format(*told) in "".join(cell["source"]) for cell in cells)
    page = report(copied)[0].read_text(encoding="utf-8")
    assert "<b>Likely:</b> &#39;r&#39; and" in page
    chinese = report(copied, "md", copied / "zh.md", "zh")[0].read_text(encoding="utf-8")
    assert "- 可能原因：'r' and 's'.\n- 解决办法：Compare.\n" in chinese
    assert "**x**\n" in markdown.render(Document("t", all_sections=[Section("s", [Finding("x", "", [])])]), "p")[0]


def test_slides_have_charts_that_stay_editable(copied: Path) -> None:
    pptx = pytest.importorskip("pptx")
    finding = {"kind": "confused", "epoch": 2, "step": 9, "seen": "a is b", "cause": "'r' and 's'", "fix": "compare"}
    (copied / "findings.jsonl").write_text(json.dumps(finding) + "\n")
    deck = pptx.Presentation(str(report(copied, "pptx")[0]))
    shapes = [shape for slide in deck.slides for shape in slide.shapes]
    assert any("Likely: 'r' and 's'." in shape.text_frame.text for shape in shapes if shape.has_text_frame)
    charts = [shape.chart for shape in shapes if shape.has_chart]
    assert charts
    width, height = deck.slide_width, deck.slide_height
    assert all(0 <= s.left <= s.left + s.width <= width and s.top + s.height <= height * 1.05 for s in shapes)


def test_the_notebook_holds_the_recipe_as_a_cell_that_runs(copied: Path) -> None:
    content = json.loads(report(copied, "ipynb")[0].read_text(encoding="utf-8"))
    assert content["nbformat"] == 4
    code = [cell["source"] for cell in content["cells"] if cell["cell_type"] == "code"]
    assert len(code) == 1
    tree = ast.parse(code[0])
    written = next(
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and "[train]" in str(node.value)
    )
    assert written == (copied / "recipe.toml").read_text(encoding="utf-8")
    assert "alexnet.train(recipe)" in code[0]
    for cell in content["cells"]:
        for name in re.findall(r"\(attachment:([^)]+)\)", "".join(cell["source"])):
            assert name in cell["attachments"]


def test_the_notebook_names_the_images_of_a_run_of_ones_own(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cell failed with own images; a path in a stranger's card is not taken."""
    card = json.loads((copied / "card.json").read_text())
    card["data"]["path"] = "/my/'images'"
    (copied / "card.json").write_text(json.dumps(card))

    def code() -> str:
        return next(c["source"] for c in json.loads(report(copied, "ipynb")[0].read_text())["cells"] if "outputs" in c)

    monkeypatch.setattr(Run, "opens", lambda run, place: True)
    assert """alexnet.train(recipe, data="/my/'images'")""" in code()
    monkeypatch.setattr(Run, "opens", lambda run, place: False)
    assert "alexnet.train(recipe)" in code()


def test_a_pdf_needs_a_printer(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(InputError, match="Chromium or LibreOffice"):
        report(copied, "pdf")


def test_pictures_and_numbers_say_the_same(copied: Path) -> None:
    report(copied)
    blocks = [block for section in describe(copied).sections for block in section.blocks]
    charts = [chart for block in blocks if isinstance(block, Picture) for chart in block.charts]
    assert len(charts) == 3
    assert all(len(values) == len(chart.x) for chart in charts for values in chart.series.values())
    drawing = next(block for block in blocks if isinstance(block, Picture) and block.mime == "image/svg+xml")
    assert drawing.pixels.startswith(b"\x89PNG")


def untranslated(patched: pytest.MonkeyPatch) -> list[str]:
    """Sentences that are asked for from now on and that there are not in Chinese."""
    missing: list[str] = []
    plain = Words.__call__

    def checked(self: Words, text: str, /, **values: object) -> str:
        if text not in CHINESE:
            missing.append(text)
        return plain(self, text, **values)

    patched.setattr(Words, "__call__", checked)
    return missing


def test_every_sentence_of_a_report_is_translated(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report(copied)
    missing = untranslated(monkeypatch)
    document = describe(copied, Words("zh"))
    assert missing == []
    assert document.language == "zh"


def test_what_cards_may_hold_has_a_chinese_name() -> None:
    facts = [name for name in Environment.model_fields if name != "precision"]
    fields = [
        *facts,
        "training precision",
        *(f"preprocessing: {each.name}" for each in dataclasses.fields(Preprocessing)),
    ]
    assert [name for name in (*fields, *about.NETWORK.values(), "seed") if name not in CHINESE] == []


def test_every_heading_and_sentence_of_a_comparison_is_translated(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    shutil.copytree(copied, other)
    with monkeypatch.context() as patched:
        missing = untranslated(patched)
        document, _ = compare.describe([copied, other], Words("zh"))
    assert missing == []
    assert "另一个种子" in document.notes[0]
    pictures = [block for section in document.all_sections for block in section.blocks if isinstance(block, Picture)]
    axes = [[chart.axis for chart in each.charts] for each in pictures]
    assert axes == [["轮次", "轮次"], ["秒", "秒"]]
    tables = [block for section in document.all_sections for block in section.blocks if isinstance(block, Table)]
    heads = {name for each in tables for name in each.head} - {"copied", "other", "MFLOPs"}
    assert len(tables) >= 4
    assert [name for name in heads if name.isascii()] == []
    every = (compare.HEAD, epochs.EQUAL, epochs.SEEDS, epochs.FIT, epochs.COST, paired.PAIRS, compare.PUBLISHED)
    assert [name for head in every for name in head if name not in CHINESE] == []


def test_a_translation_has_the_fields_of_its_sentence() -> None:
    for english, chinese in CHINESE.items():
        assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", chinese)), english


def test_the_verb(copied: Path, command: Callable, refused: Callable, tmp_path: Path) -> None:
    ended = command("report", copied, "--format", "md", "--out", tmp_path / "r.md", "--language", "zh")
    assert (ended.code, (tmp_path / "r.md").is_file()) == (0, True)
    assert "html, md, pdf, pptx, ipynb, tensorboard, mlflow, wandb" in refused("report", copied, "--format", "docx")
    assert "en, zh" in refused("report", copied, "--language", "fr")
    assert "is not a run" in refused("report", tmp_path)


def test_leaks_stand_above_the_accuracy(copied: Path) -> None:
    card = json.loads((copied / "card.json").read_text())
    card["data"]["notes"] = ["class folders", "12 test images are also train images, such as a/1.png"]
    (copied / "card.json").write_text(json.dumps(card))
    page = report(copied)[0].read_text(encoding="utf-8")
    leak, accuracy = page.index("Leak: 12 test images are also train images"), page.index('class="tiles"')
    assert leak < accuracy
    assert "Leak: class folders" not in page
    assert page.count("12 test images are also train images") == 3  # above, with the images, among the limits


def test_limits_references_task_and_how_to_train_again(copied: Path) -> None:
    page = report(copied)[0].read_text(encoding="utf-8")
    for said in ("One run, with seed 0", "No test split", "Krizhevsky, Sutskever and Hinton 2012",
                 "alexnet train recipe.toml", "tells the 10 classes of digits apart"):  # fmt: skip
        assert said in page, said


@pytest.mark.parametrize("format", ["html", "md", "pptx", "ipynb"])
def test_several_runs_are_one_report(copied: Path, tmp_path: Path, format: str) -> None:
    if format == "pptx":
        pytest.importorskip("pptx")
    other = tmp_path / "other"
    shutil.copytree(copied, other)
    with pytest.raises(InputError, match="name its file with --out"):
        report([copied, other], format)
    path, left = report([copied, other], format, tmp_path / f"both.{format}", "zh")
    assert left == []
    if format == "pptx":
        return
    text = path.read_text(encoding="utf-8")
    for said in ("相同轮数与相同时间下", "copied：任务" if format != "ipynb" else "任务", "other"):
        assert said in text, said
    if format == "ipynb":
        assert sum(cell["cell_type"] == "code" for cell in json.loads(text)["cells"]) == 2


def test_tensorboard_has_curves_hyperparameters_images_and_text(copied: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    path, left = report(copied, "tensorboard", tmp_path / "board")
    assert (path, left) == (tmp_path / "board", [])
    events = EventAccumulator(str(path), size_guidance={"images": 0})
    events.Reload()
    tags = events.Tags()
    assert {"train_loss", "val_accuracy", "top1/validation"} <= set(tags["scalars"])
    assert set(tags["images"]) == {"samples", "curves", "confusion", "worst"}
    assert "recipe/text_summary" in tags["tensors"]
    assert events.SummaryMetadata("_hparams_/experiment").plugin_data.plugin_name == "hparams"
    with pytest.raises(InputError, match="holds something else"):
        report(copied, "tensorboard", tmp_path / "board")


@pytest.mark.parametrize("tracker", ["mlflow", "wandb"])
def test_a_tracker_that_is_not_installed_is_one_line(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: str
) -> None:
    monkeypatch.setitem(sys.modules, tracker, None)
    before = dict(os.environ)
    with pytest.raises(InputError, match=rf"needs {tracker}: pip install 'alexnet\[track\]'"):
        report(copied, tracker, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
    assert dict(os.environ) == before
