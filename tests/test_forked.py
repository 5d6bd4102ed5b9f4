"""What a process computes that was forked from one that computed, as multiprocessing does on Linux before Python 3.14.

The threads of the first process are not in the second one: what waits for them waits for ever.
"""

import os
import signal
import subprocess
import sys

import pytest

from alexnet.artifacts.run import Run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

PROGRAM = """
import os, signal, sys, warnings
import torch
import alexnet

warnings.simplefilter("ignore")  # of Python 3.12 and later: fork in a process with threads
runtime = sys.argv[2]
digits, model = alexnet.dataset("digits"), alexnet.load(sys.argv[1])
images = list(digits.batch(range(64)))

def ask():
    return alexnet.features(model, images, runtime=runtime)["fc7"].tolist()

expected = ask()
if (child := os.fork()) == 0:
    signal.alarm(100)
    code = 1
    try:
        assert ask() == expected or torch.tensor(ask()).allclose(torch.tensor(expected), rtol=1e-4, atol=1e-4)
        assert torch.get_num_threads() == 2
        code = 0
    except alexnet.InputError as error:
        assert "before this process was forked" in str(error)
        code = 3
    finally:
        os._exit(code)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert ask() == expected
sys.exit(code if code >= 0 else 100 - code)
"""


@pytest.mark.parametrize(("runtime", "code"), [("torch", 0), ("onnxruntime", 0), ("openvino", 3)])
def test_a_forked_process_computes_or_refuses(trained: Run, runtime: str, code: int) -> None:
    if runtime != "torch":
        pytest.importorskip(runtime)
        pytest.importorskip("onnxscript")
    command = [sys.executable, "-c", PROGRAM, str(trained.path), runtime]
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode != 100 + signal.SIGALRM, "it hung"
    assert ended.returncode == code, ended.stderr
