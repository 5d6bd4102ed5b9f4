"""`make openapi`: schemathesis asks a real server whatever its OpenAPI description allows, and what it forbids.

Run by this project's Python; schemathesis stands in an environment of its own (its pytest plugin disturbs ours). What
it generates as an image is made one by tests/openapi_hooks.py: JSON Schema cannot say what a PNG is.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_HERE = Path(__file__).parent
_TOKEN = "asked-by-schemathesis"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("schemathesis", type=Path, help="the program")
    parser.add_argument("--examples", type=int, default=100, help="most requests of each kind for each path and check")
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "digits"
        index = Path(folder) / "index.npz"
        alexnet = [sys.executable, "-m", "alexnet"]
        subprocess.run([*alexnet, "train", "digits", "--epochs", "2", "--out", run], check=True)
        layer = ["--data", "digits", "--layers", "fc7", "--out", index]
        subprocess.run([*alexnet, "features", run, *layer], check=True)
        for token in (None, _TOKEN):
            environment = {**os.environ, **({"ALEXNET_TOKEN": token} if token else {})}
            line = [*alexnet, "serve", run, run, "--index", index, "--port", "0"]
            with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment) as server:
                try:
                    assert server.stdout is not None
                    address = server.stdout.readline().partition(" on ")[2].partition(" ")[0]
                    failed += _asked(wanted, Path(folder), address, token)
                finally:
                    server.terminate()
    return failed


def _asked(wanted: argparse.Namespace, folder: Path, address: str, token: str | None) -> int:
    """1 when schemathesis found something; it prints what, and how to ask it again."""
    print(f"{address} {'with' if token else 'without'} a token", flush=True)
    header = ["-H", f"Authorization: Bearer {token}"] if token else []
    options = ["--checks", "all", "--continue-on-failure", "--generation-database", "none", "--no-color"]
    counts = ["--max-examples", str(wanted.examples), "--seed", str(wanted.seed)]
    # It keeps what it found beside its settings.
    config = ["--config-file", shutil.copy(_HERE / "openapi.toml", folder)]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(_HERE / "openapi_hooks.py")}
    line = [wanted.schemathesis.absolute(), *config, "run", f"{address}openapi.json", *header, *options, *counts]
    return int(subprocess.run(line, cwd=folder, env=environment, check=False).returncode != 0)


if __name__ == "__main__":
    raise SystemExit(main())
