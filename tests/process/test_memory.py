"""Freed memory is kept: an allocation of the same size touches no new page."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from alexnet.process.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(40):
    torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how: str) -> int:
    return int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator only")
def test_a_buffer_that_was_freed_is_used_again() -> None:
    if _faults("leave") < 100:
        pytest.skip("this allocator, or huge pages, make few page faults anyway")
    assert _faults("keep") < 100
