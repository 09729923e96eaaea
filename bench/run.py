"""Compare ways of doing the same work: `python bench/run.py <benchmark>`; `make bench` prepares it.

Every way runs in its own process, in turns, several rounds; the result is the median. The program prints a table, and
writes its figures to bench/results/<benchmark>.json.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import BENCHMARKS, Benchmark, Figures, Way

HERE = Path(__file__).parent
PYTHON = {"project": os.environ["PROJECT_PYTHON"], "peers": os.environ["PEERS_PYTHON"]}
SCRATCH = Path(os.environ["LAB_DIR"])


def measure(way: Way, arguments: dict[str, Any]) -> Figures:
    """Run a way once; returns its figures. Ends the program if the way fails."""
    process = subprocess.run(  # noqa: S603
        [PYTHON[way.environment], HERE / "measure.py", way.function],
        input=json.dumps(arguments | way.arguments | {"scratch": str(SCRATCH)}),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        last = process.stderr.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        sys.exit(f"{way.name} failed: {last[0]}")
    figures: Figures = json.loads(process.stdout.splitlines()[-1])
    return figures


def run(benchmark: Benchmark, rounds: int) -> dict[str, list[Figures]]:
    """All rounds of all ways, in turns, so that other work on the machine affects all of them."""
    arguments = benchmark.arguments(SCRATCH)
    results: dict[str, list[Figures]] = {way.name: [] for way in benchmark.ways}
    for number in range(1, rounds + 1):
        for way in benchmark.ways:
            if number > 1 and way.once:
                continue
            figures = measure(way, arguments)
            results[way.name].append(figures)
            print(f"{number}/{rounds} {way.name}: {figures['rows'] / figures['seconds']:,.0f} rows/s", file=sys.stderr)
    return results


def summary(results: dict[str, list[Figures]]) -> dict[str, Figures]:
    """The medians of each way."""
    return {
        name: {
            "rows": rounds[0]["rows"],
            "rows_per_second": round(median(figures["rows"] / figures["seconds"] for figures in rounds)),
            "cpu_microseconds_per_row": round(
                median(figures["cpu_seconds"] / figures["rows"] for figures in rounds) * 1e6, 2
            ),
            "peak_mb": max(figures["peak_mb"] for figures in rounds),
            "rounds": len(rounds),
        }
        for name, rounds in results.items()
    }


def table(medians: dict[str, Figures], base: str) -> Iterator[str]:
    """The medians as lines of Markdown, the fastest first."""
    yield f"| way | rows | rows/s | times {base} | client CPU, µs/row | peak memory, MB |"
    yield "|---|---|---|---|---|---|"
    for name, figures in sorted(medians.items(), key=lambda item: -item[1]["rows_per_second"]):
        ratio = figures["rows_per_second"] / medians[base]["rows_per_second"]
        yield (
            f"| {name} | {figures['rows']:,} | {figures['rows_per_second']:,} | {ratio:.2f} "
            f"| {figures['cpu_microseconds_per_row']:.2f} | {figures['peak_mb']} |"
        )


def main() -> None:
    """Run a benchmark, and print whether it meets its bars."""
    name = sys.argv[1]
    if name not in BENCHMARKS:
        sys.exit(f"There is no benchmark {name}: choose one of {', '.join(BENCHMARKS)}")
    benchmark, rounds = BENCHMARKS[name], int(os.environ.get("ROUNDS", "5"))
    medians = summary(run(benchmark, rounds))
    rows = {way: figures["rows"] for way, figures in medians.items()}
    if len({count for way, count in rows.items() if way not in benchmark.other_sizes}) > 1:
        sys.exit(f"The ways did not do the same work: {rows}")
    bars = [bar.judge(medians) for bar in benchmark.bars]
    (HERE / "results").mkdir(exist_ok=True)
    machine = {"processors": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    result = {"benchmark": name, "rounds": rounds, "machine": machine, "ways": medians, "bars": bars}
    (HERE / "results" / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"\n## {benchmark.title}\n", *table(medians, benchmark.ours), "", sep="\n")
    print(*(f"- {bar['text']}: {'met' if bar['met'] else 'NOT MET'}" for bar in bars), sep="\n")
    sys.exit(not all(bar["met"] for bar in bars))


if __name__ == "__main__":
    main()
