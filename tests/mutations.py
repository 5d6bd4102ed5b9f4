"""Changes one expression at a time in a copy of the source, and runs the tests that should notice.

    python tests/mutations.py [--only WORD] [--write docs/MUTATIONS.md]

The mutations stand in tests/mutations.txt. One is killed when a test fails; one that survives is in the table too, and
the exit code is 1. The tests must pass on the source as it is: that is tried first. An old text that is not there
exactly once is an error: the list follows the code.
"""

import argparse
import contextlib
import importlib
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "alexnet"
LIST = Path(__file__).with_suffix(".txt")
HEADING = "## By tests/mutations.py"
_MOST_SECONDS = 300
_IMPORTED = ("numpy", "scipy.stats", "sklearn.linear_model", "sklearn.manifold", "matplotlib.figure", "PIL.Image",
             "pydantic", "jinja2", "typer", "rich", "safetensors.torch", "tensorboard.summary", "onnxruntime", "h5py",
             "torch.export", "torch._dynamo")  # fmt: skip
"""What most tests import, loaded once for all of them."""


@dataclass(frozen=True)
class Mutation:
    file: str
    """Below src/alexnet."""
    old: str
    new: str
    tests: str
    """Arguments of pytest, files below tests/."""

    def mutated(self, source: str) -> str:
        """The file's text with the mutation. SystemExit where the old text is not there exactly once."""
        if (count := source.count(self.old)) != 1:
            raise SystemExit(f"{self.file}: {self.old!r} stands there {count} times, not once")
        return source.replace(self.old, self.new)

    def row(self, killer: str | None) -> str:
        old, new = (" ".join(text.split()).replace("|", "\\|") for text in (self.old, self.new))
        return f"| {self.file} | `{old}` → {f'`{new}`' if new else 'nothing'} | {killer or '**survives**'} |"


def read(path: Path = LIST) -> list[Mutation]:
    """The mutations of a list."""
    found = []
    for block in path.read_text(encoding="utf-8").split("\n@ ")[1:]:
        head, *lines = block.rstrip("\n").split("\n")
        file, tests = head.split(" ", 1)
        old, new = ("\n".join(line[2:] for line in lines if line.startswith(f"{sign} ")) for sign in "-+")
        found.append(Mutation(file, old, new, tests))
    return found


def killer(mutation: Mutation, root: Path) -> str | None:
    """The test that fails with the mutation, of the copy at `root`; None: it survives."""
    path = root / "alexnet" / mutation.file
    kept = path.read_text(encoding="utf-8")
    path.write_text(mutation.mutated(kept), encoding="utf-8")
    try:
        failed, said = in_a_child(mutation.tests, root)
    finally:
        path.write_text(kept, encoding="utf-8")
    if not failed:
        return None
    found = re.search(r"^(?:FAILED|ERROR) \S+?::(\w+)", said, re.M)
    return found[1] if found else "the tests do not start"


def in_a_child(tests: str, root: Path) -> tuple[bool, str]:
    """Whether pytest failed on the copy at `root`, and what it printed. The child has torch loaded already."""
    arguments = [f"tests/{each}" if each.endswith(".py") else each for each in shlex.split(tests)]
    with tempfile.TemporaryFile("w+") as printed:
        child = os.fork()
        if child == 0:
            os.dup2(printed.fileno(), 1)
            os.dup2(printed.fileno(), 2)
            signal.alarm(_MOST_SECONDS)
            sys.path.insert(0, str(root))
            os.environ["PYTHONPATH"] = str(root)
            sys.dont_write_bytecode = True
            os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
            # Rewritten asserts only say more, and rewriting takes longer than most of the tests.
            code = pytest.main(["-q", "-x", "--assert=plain", "-p", "no:cacheprovider", *arguments])
            sys.stdout.flush()
            os._exit(int(code))
        _, status = os.waitpid(child, 0)
        printed.seek(0)
        return status != 0, printed.read()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="mutations with this word in the file's name")
    parser.add_argument("--write", type=Path, help="write the table into this document")
    options = parser.parse_args()
    chosen = [each for each in read() if options.only in each.file]
    rows, survived, passed = [], 0, set()
    os.chdir(ROOT)
    torch.set_num_threads(1)
    for name in _IMPORTED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(SOURCE, Path(folder) / "alexnet", ignore=shutil.ignore_patterns("__pycache__"))
        for each in chosen:
            if each.tests not in passed:
                failed, said = in_a_child(each.tests, Path(folder))
                if failed:
                    raise SystemExit(f"{each.tests} fails without any mutation:\n{said[-2000:]}")
                passed.add(each.tests)
            found = killer(each, Path(folder))
            survived += found is None
            rows.append(each.row(found))
            print(rows[-1], flush=True)
    said = f"{len(chosen) - survived} of {len(chosen)} killed"
    print(said)
    if options.write:
        head = options.write.read_text(encoding="utf-8").partition(HEADING)[0]
        table = "\n".join(["| where | mutation | killed by |", "|---|---|---|", *rows])
        about = (
            "`make mutations` applies the list of tests/mutations.txt to a copy of the source, one mutation at a time"
        )
        options.write.write_text(f"{head}{HEADING}\n\n{about}: {said}.\n\n{table}\n", encoding="utf-8")
    return 1 if survived else 0


if __name__ == "__main__":
    raise SystemExit(main())
