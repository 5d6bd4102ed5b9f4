"""report.html: one page that holds everything a run is and found, to open anywhere and to mail."""

from pathlib import Path

from alexnet.artifacts.run import Run
from alexnet.files import write_text
from alexnet.insight.report.content import describe
from alexnet.pages import html


def write_report(run: Path) -> Path:
    """Writes report.html into the folder of a run, finished or under way, and returns its path.

    Raises InputError when the folder holds no run.
    """
    report = Run(run).report
    write_text(report, html.render(describe(run)))
    return report
