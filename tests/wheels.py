"""Builds the wheel, installs it into new environments without the repository, and runs it there: `make wheels`.

    python tests/wheels.py [--python 3.11 --python 3.12 …]

Each Python 3.11, 3.12 and 3.13 that is on this machine gets an environment of its own with the versions of
constraints.txt, in which `alexnet --version`, `alexnet models`, an import and a training of one epoch must pass. Where
no PyTorch can be installed for a Python, all that needs none is run, and the line says so. Ends with 1 if anything
failed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
_LIGHT = (["--version"], ["models"], ["recipes"], ["train", "--help"])
_FULL = (["train", "digits", "--epochs", "1", "--out", "run"], ["evaluate", "run"], ["summary", "alexnet-2012"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", help="A version such as 3.12; repeatable. Default: all there are.")
    wanted = parser.parse_args().python or PYTHONS
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        wheel = _built(place)
        print(f"built {wheel.name} ({wheel.stat().st_size:,} bytes)", flush=True)
        results = [_tried(version, wheel, place) for version in wanted]
    return int(not all(results))


def _built(place: Path) -> Path:
    """From a copy of what git tracks, so that nothing of this checkout gets in and nothing is left in it."""
    copy = place / "source"
    copy.mkdir()
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    for file in filter(None, map(os.fsdecode, listed)):
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, copy / file)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", place, copy], check=True)
    return next(place.glob("*.whl"))


def _tried(version: str, wheel: Path, place: Path) -> bool:
    interpreter = _interpreter(version)
    if interpreter is None:
        print(f"Python {version}: not on this machine", flush=True)
        return True
    folder = place / f"python-{version}"
    subprocess.run([interpreter, "-m", "venv", folder / "venv"], check=True)
    with_torch = _pip(folder, [str(wheel), "-c", str(ROOT / "constraints.txt")])
    if not with_torch and not (_pip(folder, _without_torch()) and _pip(folder, ["--no-deps", str(wheel)])):
        print(f"Python {version}: could not be installed", flush=True)
        return False
    failed = [words for words in (*_LIGHT, *(_FULL if with_torch else ())) if not _runs(folder, words)]
    what = (
        "with PyTorch: trained and measured" if with_torch else "no PyTorch for it here: only what needs none was run"
    )
    print(f"Python {version}: {'FAILED ' + str(failed) if failed else 'passed'}; {what}", flush=True)
    return not failed


def _interpreter(version: str) -> str | None:
    """By its name, else among pyenv's, newest first; one that starts."""
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}*/bin/python"), reverse=True)
    for found in (*map(str, kept), shutil.which(f"python{version}")):
        if found and subprocess.run([found, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
            return found
    return None


def _without_torch() -> list[str]:
    """What the command line needs to start, and every other dependency that is no framework."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [each for each in project["dependencies"] if not each.startswith(("torch", "tensorboard", "simplejpeg"))]


def _pip(folder: Path, words: Sequence[str]) -> bool:
    command = [folder / "venv" / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *words]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _runs(folder: Path, words: Sequence[str]) -> bool:
    """In a folder of its own, by a user who has nothing else: no repository, no cache, no settings."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "ALEXNET_OFFLINE": "1"}
    command = [folder / "venv" / "bin" / "alexnet", *words]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"alexnet {' '.join(words)}: {done.stderr.strip()[-500:]}", file=sys.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
