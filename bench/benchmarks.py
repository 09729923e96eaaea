"""The compared ways, and how fast the project's own code has to be."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

EVENTS = "SELECT * FROM events"
# rows, seconds, rows_per_second, peak_mb …
Figures = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """A function in bench/ways, and the environment it runs in."""

    name: str
    function: str
    environment: Literal["project", "peers"] = "peers"
    arguments: dict[str, Any] = field(default_factory=dict)
    once: bool = False  # slow ways, and those whose memory alone matters


@dataclass(frozen=True)
class Faster:
    """The bar for `ours`: at least `times` as fast as the best of `than`."""

    times: float
    than: tuple[str, ...]
    what: str = "the fastest peer"
    ours: str = "db_dump"

    def judge(self, medians: dict[str, Figures]) -> dict[str, Any]:
        """The bar in words, and whether it is met."""
        best = max(self.than, key=lambda way: float(medians[way]["rows_per_second"]))
        ratio = medians[self.ours]["rows_per_second"] / medians[best]["rows_per_second"]
        text = f"{ratio:.2f} times {self.what} ({best}), at least {self.times}"
        return {"text": text, "met": ratio >= self.times}


@dataclass(frozen=True)
class Memory:
    """The bar for a way's peak of memory: `max_mb`, or `times` the peak of the way `reference`."""

    way: str
    max_mb: int | None = None
    times: float = 1.0
    reference: str = ""

    def judge(self, medians: dict[str, Figures]) -> dict[str, Any]:
        """The bar in words, and whether it is met."""
        peak = medians[self.way]["peak_mb"]
        limit = self.max_mb or medians[self.reference]["peak_mb"] * self.times
        return {"text": f"{self.way}: {peak} MB at its peak, at most {limit:.0f} MB", "met": peak <= limit}


@dataclass(frozen=True)
class Benchmark:
    """Ways of the same work; `arguments` makes the arguments of all ways from the lab's folder."""

    title: str
    ours: str
    ways: tuple[Way, ...]
    bars: tuple[Faster | Memory, ...]
    arguments: Callable[[Path], dict[str, Any]]
    other_sizes: tuple[str, ...] = ()


def address(lab: Path, database: str, scheme: str) -> str:
    """The address of a database that compose/bench.yml made."""
    host = json.loads((lab / "databases.json").read_text())[database]
    return f"{scheme}://reader:bench@{host}/bench"


LARGER = "db_dump, four times the rows"

BENCHMARKS = {
    "postgres-to-parquet": Benchmark(
        "PostgreSQL to Parquet (zstd)",
        ours="db_dump",
        ways=(
            Way("db_dump", "ways.db_dump:extract", "project"),
            Way("COPY binary, thrown away", "ways.libpq:discard"),
            Way("ConnectorX", "ways.connectorx:extract"),
            Way("ADBC", "ways.adbc:extract"),
            Way("dlt", "ways.dlt:extract"),
            Way("db_dump, two processes", "ways.db_dump:extract_in_two", "project", once=True),
            Way(
                LARGER,
                "ways.db_dump:extract",
                "project",
                {"query": "SELECT events.* FROM events CROSS JOIN generate_series(1, 4)"},
                once=True,
            ),
        ),
        bars=(
            Faster(1.1, ("ConnectorX", "ADBC", "dlt")),
            Faster(0.70, ("COPY binary, thrown away",), "the ceiling"),
            Memory("db_dump", max_mb=320),
            Memory(LARGER, times=1.1, reference="db_dump"),
        ),
        arguments=lambda lab: {"address": address(lab, "postgres", "postgresql"), "query": EVENTS},
        other_sizes=(LARGER,),
    ),
    "mariadb-to-parquet": Benchmark(
        "MariaDB to Parquet (zstd)",
        ours="db_dump",
        ways=(
            Way("db_dump", "ways.db_dump:extract", "project"),
            Way("ConnectorX", "ways.connectorx:extract"),
            Way("dlt", "ways.dlt:extract"),
            Way("db_dump, two processes", "ways.db_dump:extract_in_two", "project", once=True),
        ),
        bars=(Faster(1.1, ("ConnectorX", "dlt")), Memory("db_dump", max_mb=320)),
        arguments=lambda lab: {"address": address(lab, "mariadb", "mysql"), "query": EVENTS},
    ),
    "parquet-to-postgres": Benchmark(
        "Parquet to a new table of PostgreSQL",
        ours="db_dump",
        ways=(Way("db_dump", "ways.db_dump:load", "project"), Way("ADBC ingest", "ways.adbc:load")),
        bars=(Faster(1.0, ("ADBC ingest",)), Memory("db_dump", max_mb=400)),
        arguments=lambda lab: {
            "address": address(lab, "postgres", "postgresql"),
            "dump": str(lab / "dump"),
            "table": "loaded",
        },
    ),
}
