"""Measure a way of doing the work, in its own process: `python bench/measure.py <module>:<function>`.

Reads the arguments as JSON from stdin; prints rows, seconds (without imports), seconds of CPU and the peak of memory in
MB as JSON. The function `before_<function>` of the same module, if there is one, prepares the way and is not timed.
"""

import json
import resource
import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "flows" / "db_dump")]


def main() -> None:
    """Run the way named on the command line in an empty folder."""
    module, _, function = sys.argv[1].partition(":")
    ways = import_module(module)
    way, prepare = getattr(ways, function), getattr(ways, f"before_{function}", None)
    arguments = json.load(sys.stdin)
    with TemporaryDirectory(prefix="bench-", dir=arguments.pop("scratch")) as folder:
        if prepare:
            prepare(**arguments)
        started = perf_counter()
        rows = way(folder=Path(folder), **arguments)
        seconds = perf_counter() - started
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    figures = {
        "rows": rows,
        "seconds": round(seconds, 3),
        "cpu_seconds": round(sum(usage.ru_utime + usage.ru_stime for usage in usages), 3),
        "peak_mb": max(usage.ru_maxrss for usage in usages) // 1024,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
