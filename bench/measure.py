"""One way of doing the work, in a process of its own: `python bench/measure.py <module>:<function>`.

Takes the arguments as JSON on stdin, prints rows, seconds (imports apart), seconds of CPU and the peak of memory in MB
as JSON. What must be done before is not timed: the function `before_<function>` of the same module, if there is one.
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
    way, before = getattr(ways, function), getattr(ways, f"before_{function}", None)
    arguments = json.load(sys.stdin)
    with TemporaryDirectory(prefix="bench-", dir=arguments.pop("scratch")) as folder:
        if before:
            before(**arguments)
        started = perf_counter()
        rows = way(folder=Path(folder), **arguments)
        seconds = perf_counter() - started
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    figures = {
        "rows": rows,
        "seconds": round(seconds, 3),
        "cpu_seconds": round(sum(each.ru_utime + each.ru_stime for each in used), 3),
        "peak_mb": max(each.ru_maxrss for each in used) // 1024,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
