"""Compare ways of doing the same work: `python bench/run.py <benchmark>`; `make bench` makes all that it needs.

Every way runs in a process of its own, in turns, several rounds; what counts is the median. The table is printed, and
its figures are written to bench/results/<benchmark>.json.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks import BENCHMARKS, Benchmark, Way

HERE = Path(__file__).parent
PYTHON = {"project": os.environ["PROJECT_PYTHON"], "peers": os.environ["PEERS_PYTHON"]}
SCRATCH = Path(os.environ["LAB_DIR"])


def measure(way: Way, arguments: dict) -> dict:
    """Run a way once; its figures."""
    done = subprocess.run(  # noqa: S603
        [PYTHON[way.environment], HERE / "measure.py", way.function],
        input=json.dumps(arguments | way.arguments | {"scratch": str(SCRATCH)}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        sys.exit(f"{way.name} failed: {last[0]}")
    return json.loads(done.stdout.splitlines()[-1])


def run(benchmark: Benchmark, rounds: int) -> dict[str, list[dict]]:
    """All rounds of all ways, one after another, so that what else the machine does hits all of them."""
    arguments = benchmark.arguments(SCRATCH)
    results = {way.name: [] for way in benchmark.ways}
    for number in range(1, rounds + 1):
        for way in benchmark.ways:
            if number > 1 and way.once:
                continue
            figures = measure(way, arguments)
            results[way.name].append(figures)
            print(f"{number}/{rounds} {way.name}: {figures['rows'] / figures['seconds']:,.0f} rows/s", file=sys.stderr)
    return results


def summary(results: dict[str, list[dict]]) -> dict[str, dict]:
    """The medians of each way."""
    return {
        name: {
            "rows": rounds[0]["rows"],
            "rows_per_second": round(median(each["rows"] / each["seconds"] for each in rounds)),
            "cpu_microseconds_per_row": round(median(each["cpu_seconds"] / each["rows"] for each in rounds) * 1e6, 2),
            "peak_mb": max(each["peak_mb"] for each in rounds),
            "rounds": len(rounds),
        }
        for name, rounds in results.items()
    }


def table(figures: dict[str, dict], base: str) -> Iterator[str]:
    """The medians as lines of Markdown, the fastest first."""
    yield f"| way | rows | rows/s | times {base} | client CPU, µs/row | peak memory, MB |"
    yield "|---|---|---|---|---|---|"
    for name, of in sorted(figures.items(), key=lambda item: -item[1]["rows_per_second"]):
        ratio = of["rows_per_second"] / figures[base]["rows_per_second"]
        yield (
            f"| {name} | {of['rows']:,} | {of['rows_per_second']:,} | {ratio:.2f} "
            f"| {of['cpu_microseconds_per_row']:.2f} | {of['peak_mb']} |"
        )


def main() -> None:
    """Run one benchmark, say whether it is as fast as it should be."""
    name = sys.argv[1]
    if name not in BENCHMARKS:
        sys.exit(f"There is no benchmark {name}: choose one of {', '.join(BENCHMARKS)}")
    benchmark, rounds = BENCHMARKS[name], int(os.environ.get("ROUNDS", "5"))
    figures = summary(run(benchmark, rounds))
    if len({of["rows"] for way, of in figures.items() if way not in benchmark.of_other_size}) > 1:
        sys.exit(f"The ways did not do the same work: { ({way: of['rows'] for way, of in figures.items()}) }")
    bars = [bar.judge(figures) for bar in benchmark.bars]
    (HERE / "results").mkdir(exist_ok=True)
    machine = {"processors": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    result = {"benchmark": name, "rounds": rounds, "machine": machine, "ways": figures, "bars": bars}
    (HERE / "results" / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"\n## {benchmark.title}\n", *table(figures, benchmark.ours), "", sep="\n")
    print(*(f"- {bar['text']}: {'met' if bar['met'] else 'NOT MET'}" for bar in bars), sep="\n")
    sys.exit(not all(bar["met"] for bar in bars))


if __name__ == "__main__":
    main()
