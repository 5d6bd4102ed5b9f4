"""What a program sets for its whole process, once, when it starts. A library call never does."""

import os
import warnings

from alexnet.process.memory import keep_freed_memory


def set_up() -> None:
    """For the command line and the benchmark's workers; a script that only trains may call it too.

    Freed memory is kept for the next step, which makes training on a CPU faster, and one warning is silenced: for
    a filter of one channel two memory layouts are the same, which torch's DistributedDataParallel warns about.
    Warnings of torch's C++ code, which print stack frames, are silenced where torch is imported afterwards.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    keep_freed_memory()
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
