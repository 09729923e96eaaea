"""Processes that do not outlive the one that started them."""

import ctypes
import os
import signal
from multiprocessing import parent_process

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent is gone, killed even: nobody would take what it makes.

    A thread that watches the parent would not do: a driver that waits for its database may hold it up for ever.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_process().pid:
        # it was gone before
        os._exit(1)
