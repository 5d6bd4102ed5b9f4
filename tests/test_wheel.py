"""The wheel holds every file of the package, and nothing else; `make wheels` installs it and runs it."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

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
    for extra in project["optional-dependencies"]:
        assert f"Provides-Extra: {extra}" in metadata
    assert wheel.name.endswith("-py3-none-any.whl")  # nothing in it depends on the system
