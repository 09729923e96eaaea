"""Processes that do not outlive their parent."""

import ctypes
import os
import signal
from multiprocessing import parent_process

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent has ended, even by SIGKILL: nobody would use its result.

    A thread that watches the parent is not enough: a driver that waits for its database may block it for ever.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = parent_process()
    if parent and os.getppid() != parent.pid:
        # the parent had ended before the call
        os._exit(1)
