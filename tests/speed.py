"""How fast this machine is, beside the one that the limits in seconds were chosen on."""

import resource
import subprocess
import sys
from functools import cache

# CPU seconds of the import on a machine of the faster kind
REFERENCE = 0.8


@cache
def speed() -> float:
    """How many times longer this machine takes to import Prefect's engine; at least 1."""

    def cpu_seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", "import prefect.flow_engine"], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return max(1.0, min(cpu_seconds() for _ in range(2)) / REFERENCE)
