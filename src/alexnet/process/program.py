"""What a program sets for its whole process, once, when it starts. A library call never does."""

import os
import warnings

from alexnet.process.memory import keep_freed_memory
from alexnet.process.waiting import wait_asleep_where_others_run


def set_up() -> None:
    """For the command line and the benchmark's workers; a script that only trains may call it too.

    Freed memory is kept for the next step, which makes training on a CPU faster, and one warning is silenced: for
    a filter of one channel two memory layouts are the same, which torch's DistributedDataParallel warns about.
    Where torch is imported afterwards, warnings of its C++ code, which print stack frames, are silenced, and its
    threads wait asleep if other programs run on the cores.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    keep_freed_memory()
    wait_asleep_where_others_run()
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
