"""The wheel holds every file of the package, and nothing else; installed without the repository, it trains.

`make wheels` does so with the packages that pip chooses, in each Python that is on the machine.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import alexnet

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: nothing is left in the repository."""
    pytest.importorskip("setuptools")
    place = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.pyc")
    shutil.copytree(ROOT / "src", place / "copy" / "src", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / "copy" / name)
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(place)!r})"
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=place / "copy", capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    (found,) = place.glob("*.whl")
    return found


def test_the_changelog_begins_with_this_version() -> None:
    """What the code records of itself in cards and figures is not the name of an older release."""
    newest = next(line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## "))
    assert newest.split()[1] == alexnet.__version__.partition(".dev")[0]


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = ROOT / "src"
    own = {path.relative_to(package).as_posix() for path in (package / "alexnet").rglob("*") if path.is_file()}
    own = {name for name in own if "__pycache__" not in name}
    assert packed == own
    for kind in ("alexnet/recipes/digits.toml", "alexnet/pages/templates/document.html", "alexnet/pages/serve/app.js"):
        assert kind in packed


def test_its_metadata_is_the_projects(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folder = next(name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name)
        metadata = archive.read(f"{folder}/METADATA").decode()
        scripts = archive.read(f"{folder}/entry_points.txt").decode()
        assert f"{folder}/licenses/LICENSE" in archive.namelist()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "alexnet = alexnet.cli:main" in scripts
    assert f"\nVersion: {alexnet.__version__}\n" in metadata
    for extra in project["optional-dependencies"]:
        assert f"Provides-Extra: {extra}" in metadata
    assert wheel.name.endswith("-py3-none-any.whl")  # nothing in it depends on the system


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel in it, which sees the packages that the tests run with, and no repository: the
    .pth files of those packages, the editable install's among them, are not followed."""
    place = tmp_path_factory.mktemp("installed") / "venv"
    _succeeds([sys.executable, "-m", "venv", "--without-pip", place], place.parent)
    python = place / "bin" / "python"
    install = ["install", "-q", "--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check", wheel]
    _succeeds([sys.executable, "-m", "pip", "--python", python, *install], place.parent)
    found = _succeeds([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], place.parent)
    Path(found.strip(), "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place


def test_it_runs_where_there_is_no_repository(environment: Path) -> None:
    home = environment.parent / "home"
    home.mkdir()
    code = "import alexnet; print(alexnet.__file__)"
    package = Path(_succeeds([environment / "bin" / "python", "-c", code], home).strip())
    assert package.is_relative_to(environment)
    alexnet = environment / "bin" / "alexnet"
    assert "train" in _succeeds([alexnet, "--help"], home)
    assert "digits" in _succeeds([alexnet, "recipes"], home)
    short = ["--set", "train.steps=3", "--set", "train.batch_size=32", "--device", "cpu"]
    _succeeds([alexnet, "train", "digits", *short, "--out", "run"], home)
    assert {"best.safetensors", "card.json", "report.html"} <= {path.name for path in (home / "run").iterdir()}
    assert "top-1" in _succeeds([alexnet, "evaluate", "run"], home)


def _succeeds(command: Sequence[str | Path], folder: Path) -> str:
    """Runs it there, for a user who has nothing else; what it printed."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "ALEXNET_OFFLINE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout
