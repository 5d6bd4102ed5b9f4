"""What `alexnet check` takes for many images: processor time, and memory an image.

    python -m alexnet.benchmark.scripts.check [--images 100000]

Images of 32 × 32 pixels, half PNG, half JPEG, in ten class folders. One process checks a tenth of them, another all:
the difference of their greatest memory, by the difference of their images, is what an image takes.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 10


def make_images(root: Path, count: int) -> None:
    for index in range(count):
        folder = root / f"class{index % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:06}.{'png' if index // CLASSES % 2 else 'jpg'}")


def checked(data: Path) -> tuple[float, float, int]:
    """Seconds, seconds of processor time, and the greatest memory so far in bytes (Linux), of `alexnet check`."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([Path(sys.executable).parent / "alexnet", "check", "--data", data], stdout=subprocess.DEVNULL)
    if done.returncode not in (0, 3):
        raise SystemExit(f"alexnet check ended with {done.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begin, used, 1024 * after.ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=100_000)
    arguments = parser.parse_args()
    few = max(1, arguments.images // 10)
    with tempfile.TemporaryDirectory() as name:
        make_images(Path(name) / "few", few)
        make_images(Path(name) / "all", arguments.images)
        _, _, least = checked(Path(name) / "few")
        seconds, used, most = checked(Path(name) / "all")
    an_image = (most - least) / (arguments.images - few)
    print(f"{arguments.images:,} images: {seconds:.0f} s, {used:.0f} s of processor time, {most / 2**20:.0f} MiB; "
          f"{an_image:.0f} bytes an image")  # fmt: skip


if __name__ == "__main__":
    main()
