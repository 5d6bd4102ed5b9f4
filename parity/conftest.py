"""Collects what the comparisons found and, with --write, puts it as tables between the marks of a Markdown page."""

import os
import platform
import time
from importlib import metadata
from pathlib import Path

import pytest

from parity.compare import Table

# TensorFlow reads these when a test module imports it: the CPU only, no chatter, its plain kernels (oneDNN's reorder).
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1", TF_ENABLE_ONEDNN_OPTS="0")
os.environ["KERAS_BACKEND"] = "tensorflow"

Rows = dict[str, list[dict[str, str]]]

SECTIONS = pytest.StashKey[Rows]()
START = pytest.StashKey[float]()
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
PACKAGES = ("torch", "tensorflow-cpu", "keras", "opencv-python-headless", "onnx", "onnxruntime", "numpy", "h5py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write", type=Path, help="Markdown page to put the tables into (docs/PARITY.md)")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SECTIONS] = {}
    config.stash[START] = time.monotonic()


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Table:
    """table(section, **cells): one row; floats are written as 1.2e-07, integers with thousands separated."""
    sections = request.config.stash[SECTIONS]

    def add(section: str, **cells: object) -> None:
        row = {name.replace("_", " "): _cell(value) for name, value in cells.items()}
        sections.setdefault(section, []).append(row)

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    page = config.getoption("--write")
    if page is None:
        return
    counts = {kind: len(terminalreporter.stats.get(kind, ())) for kind in ("passed", "failed", "error", "skipped")}
    seconds = time.monotonic() - config.stash[START]
    summary = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    skips = {report.longrepr[2] for report in terminalreporter.stats.get("skipped", ())}
    lines = [f"Last run: {summary} in {seconds:.0f} s ({platform.machine()}, {os.cpu_count()} cores).", _versions()]
    lines += [f"Skipped: {reason.removeprefix('Skipped: ')}." for reason in sorted(skips)]
    for section, rows in config.stash[SECTIONS].items():
        lines += [f"### {section}", _markdown(rows)]
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n" + "\n\n".join(lines) + f"\n\n{END}{after}", encoding="utf-8")


def _versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            found.append(f"{package} absent")
    return "Versions: " + ", ".join(found) + "."


def _cell(value: object) -> str:
    match value:
        case float():
            return f"{value:.1e}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def _markdown(rows: list[dict[str, str]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names), *([row.get(name, "") for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
