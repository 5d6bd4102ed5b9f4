"""One side of a comparison, in a process of its own: makes training steps when it is told to, and says how long.

`python -m alexnet.benchmark.worker SIDE THREADS DEVICE`, SIDE one of SIDES, reads lines from its standard input: the
recipe as JSON, then numbers of steps. It answers each with a line of JSON: the facts ({"error": …} when it cannot
begin), then the seconds of each step.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from alexnet.errors import InputError
from alexnet.process.program import set_up
from alexnet.recipes import recipe as recipes
from alexnet.recipes.schema import Recipe

INSTALL = {"keras": "pip install keras tensorflow", "torchvision": "pip install torchvision"}
"""Peers of an environment of their own, and how to install each."""
LOOPS = ("torch", "torch-compile")
"""Peers that need no more than torch, in our own precision."""
PEERS = (*LOOPS, *INSTALL)
SIDES = ("alexnet", *PEERS)

Started = tuple[Callable[[int], list[float]], dict[str, Any]]
"""(steps → seconds of each, facts: versions, precision, parameters)."""


def set_up_keras() -> None:
    """Before Keras is first imported: on TensorFlow, quiet, and with oneDNN on every processor.

    TensorFlow itself turns oneDNN on only where there is AVX-512-VNNI, AVX-VNNI or more (DefaultOneDnnPolicy in its
    core/util/util.cc); with AVX2 alone its training is almost twice as fast with it (docs/BENCHMARKS.md).
    """
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def start(side: str, recipe: Recipe, threads: int, device: str) -> Started:
    """One of SIDES with its network built. InputError when it is not installed, or cannot train this recipe."""
    if side in LOOPS:
        from alexnet.benchmark import torch_peer

        return torch_peer.start(recipe, threads, device, compile=side == "torch-compile")
    try:
        if side == "keras":
            set_up_keras()
            from alexnet.benchmark import keras_peer

            return keras_peer.start(recipe, threads)
        if side == "torchvision":
            from alexnet.benchmark import torchvision_peer

            return torchvision_peer.start(recipe, threads, device)
    except ModuleNotFoundError as error:
        raise InputError(
            f"--peer {side} needs {error.name}, which {sys.executable} does not have: {INSTALL[side]}, or name an "
            "environment that has it and alexnet: --peer-python PATH/bin/python"
        ) from None
    import torch

    from alexnet.benchmark.workload import Session

    torch.set_num_threads(threads)
    session = Session(recipe, device=device)
    facts = {"torch": torch.__version__, "precision": session.setup.precision}
    return session.seconds, facts | {"parameters": session.setup.summary.parameters}


def main() -> None:
    """Answers until its standard input ends. What libraries print goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    side, threads, device = sys.argv[1:]
    if side == "alexnet":  # as the command line trains
        set_up()
    try:
        seconds, facts = start(side, recipes.parse(json.loads(sys.stdin.readline())), int(threads), device)
    except InputError as error:
        answers.write(json.dumps({"error": str(error)}) + "\n")
        return
    answers.write(json.dumps(facts) + "\n")
    for line in sys.stdin:
        answers.write(json.dumps(seconds(int(line))) + "\n")


if __name__ == "__main__":
    main()
