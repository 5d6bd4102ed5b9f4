"""A run's report as a file: the page in its folder, or the format that another path names."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from alexnet.artifacts.run import Run
from alexnet.errors import InputError, unknown
from alexnet.files import check_target, make_folder, write_bytes, write_text, write_together
from alexnet.insight import compare
from alexnet.insight.report import markdown, notebook, slides, trackers
from alexnet.insight.report.content import describe
from alexnet.insight.report.plots import draw
from alexnet.pages import html
from alexnet.pages.document import Document, Section, Text, Tile
from alexnet.pages.text import Words

FORMATS = ("html", "md", "pdf", "pptx", "ipynb", *trackers.TRACKERS)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_SECONDS = 120.0  # that making a PDF may take


def write_report(run: Path) -> Path:
    """Writes report.html into the folder of a run, finished or under way, and returns its path.

    Raises InputError when the folder holds no run.
    """
    page = Run(run).report
    write_text(page, html.render(describe(run)))
    return page


def report(
    run: Path | Sequence[Path], format: str = "html", out: Path | None = None, language: str = "en"
) -> tuple[Path, list[str]]:
    """Draws a run's plots and writes its report again, from its files alone, as one of FORMATS.

    Of several runs, one report: their comparison, then each run. out: the file, which several runs need; None:
    report.FORMAT in the run's folder (of a tracker, it is a folder). Returns it, and what could not be drawn.
    InputError for what is not a run, an unknown format or language, and a format whose program or library is missing.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    words = Words(language)
    runs = [run] if isinstance(run, Path) else list(run)
    for each in runs:
        if not each.is_dir():
            raise InputError(f"no run folder {str(each)!r}")
        Run(each).check()
    if len(runs) > 1 and out is None:
        raise InputError("a report of several runs lies in none of their folders; name its file with --out")
    target = runs[0] / f"report.{format}" if out is None else out
    if format in trackers.TRACKERS:
        return _tracked(runs, format, target)
    check_target(target)
    if len(runs) == 1:
        left = draw(Run(runs[0]))
        document = describe(runs[0], words)
    else:
        compare.compare(runs)  # refused before anything is drawn
        left = [f"{each.name}: {line}" for each in runs for line in draw(Run(each))]
        document = together(runs, words)
    if format != "html":
        document = _concluded(document, words)
    match format:
        case "html":
            write_text(target, html.render(document))
        case "md":
            folder = files_of(target)
            text, pictures = markdown.render(document, folder.name)
            make_folder(folder)
            page = {target: text.encode("utf-8", "backslashreplace")}
            write_together({folder / name: content for name, content in pictures.items()} | page)
        case "pptx":
            write_bytes(target, slides.render(document))
        case "ipynb":
            write_bytes(target, notebook.render(document, [(each.recipe_text, _data(each)) for each in map(Run, runs)]))
        case _:
            write_bytes(target, _pdf(document))
    return target, left


def _data(run: Run) -> str | None:
    """Where a run's images are; None for one that came from elsewhere, whose path is a stranger's."""
    place = run.card.data.path
    return place if place is not None and run.opens(place) else None


def files_of(target: Path) -> Path:
    """The folder of a Markdown report's images."""
    return target.with_name(f"{target.stem}_files")


def _tracked(runs: Sequence[Path], tracker: str, folder: Path) -> tuple[Path, list[str]]:
    """A tracker's folder; TensorBoard's has a folder for each of several runs. InputError where it holds something."""
    trackers.check(tracker)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{str(folder)!r} holds something else; name an empty or a new folder with --out")
    if len({run.name for run in runs}) < len(runs):
        raise InputError("two runs have the same name; give each folder a name of its own")
    for run in runs:
        _ = Run(run).card  # refused before anything is written
    left = [line for run in runs for line in draw(Run(run))]
    try:
        for run in runs:
            apart = tracker == "tensorboard" and len(runs) > 1
            trackers.write(Run(run), tracker, folder / run.name if apart else folder)
    except BaseException:  # the packages write as they go
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder, left


def together(runs: Sequence[Path], words: Words) -> Document:
    """The comparison of several runs, then what the report of each says. InputError as `compare.compare`."""
    compared, _ = compare.describe(runs, words)
    each = [describe(run, words) for run in runs]
    tiles = [
        Tile(f"{run.name}: {tile.name}", tile.value, tile.detail)
        for run, own in zip(runs, each, strict=True)
        for tile in own.tiles[:1]
    ]
    sections = [
        Section(words("{run}: {section}", run=run.name, section=section.title), section.blocks)
        for run, own in zip(runs, each, strict=True)
        for section in own.sections
    ]
    notes = [f"{run.name}: {note}" for run, own in zip(runs, each, strict=True) for note in own.notes]
    return Document(
        compared.title,
        words("{count} runs", count=len(runs)),
        tiles,
        [*compared.notes, *notes],
        [*compared.sections, *sections],
        words.language,
    )


def _concluded(document: Document, words: Words) -> Document:
    """With a last section for the author to fill."""
    conclusion = Section(words("Conclusion"), [Text(words("To be written by the author."))])
    return Document(
        document.title,
        document.about,
        document.tiles,
        document.notes,
        [*document.all_sections, conclusion],
        document.language,
    )


def _pdf(document: Document) -> bytes:
    """The page as a browser of this machine prints it. InputError where there is none."""
    browser = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    office = shutil.which("soffice") or shutil.which("libreoffice")
    if browser is None and office is None:
        raise InputError(
            "a PDF is printed by Chromium or LibreOffice, and neither is here; --format html prints as well"
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        page, printed = folder / "page.html", folder / "page.pdf"
        page.write_text(html.render(document), encoding="utf-8", errors="backslashreplace")
        if browser:
            flags = ["--headless", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
            if hasattr(os, "geteuid") and os.geteuid() == 0:
                flags.append("--no-sandbox")  # Chromium has none for root; the page has no script
            command = [browser, *flags, "--no-pdf-header-footer", f"--print-to-pdf={printed}", page.as_uri()]
        else:
            command = [str(office), "--headless", "--convert-to", "pdf", "--outdir", name, str(page)]
        try:
            subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise InputError(f"{Path(command[0]).name} took more than {_SECONDS:.0f} s to print a PDF") from None
        if not printed.is_file():
            raise InputError(f"{Path(command[0]).name} printed no PDF; --format html prints as well")
        return printed.read_bytes()
