"""What is compared with what, and how fast the project's own code has to be."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

EVENTS = "SELECT * FROM events"


@dataclass(frozen=True)
class Way:
    """A function in bench/ways, and the environment it runs in."""

    name: str
    function: str
    environment: Literal["project", "peers"] = "peers"
    arguments: dict = field(default_factory=dict)
    once: bool = False  # too slow, or only its memory is of interest


@dataclass(frozen=True)
class Faster:
    """Ours is at least `times` as fast as the best of `than`."""

    times: float
    than: tuple[str, ...]
    what: str = "the fastest peer"
    ours: str = "db_dump"

    def judge(self, figures: dict[str, dict]) -> dict:
        """The bar in words, and whether it is met."""
        best = max(self.than, key=lambda way: figures[way]["rows_per_second"])
        ratio = figures[self.ours]["rows_per_second"] / figures[best]["rows_per_second"]
        text = f"{ratio:.2f} times {self.what} ({best}), at least {self.times}"
        return {"text": text, "met": ratio >= self.times}


@dataclass(frozen=True)
class Memory:
    """A way peaks at no more than `most_mb`, or at no more than `times` what another one does."""

    way: str
    most_mb: int | None = None
    times: float | None = None
    of: str | None = None

    def judge(self, figures: dict[str, dict]) -> dict:
        """The bar in words, and whether it is met."""
        peak = figures[self.way]["peak_mb"]
        most = self.most_mb or figures[self.of]["peak_mb"] * self.times
        return {"text": f"{self.way}: {peak} MB at its peak, at most {most:.0f} MB", "met": peak <= most}


@dataclass(frozen=True)
class Benchmark:
    """Ways of the same work; `arguments` are given to each of them."""

    title: str
    ours: str
    ways: tuple[Way, ...]
    bars: tuple[Faster | Memory, ...]
    arguments: Callable[[Path], dict]
    of_other_size: tuple[str, ...] = ()


def address(lab: Path, database: str, scheme: str) -> str:
    """Where compose/bench.yml has made the database."""
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
            Memory("db_dump", most_mb=320),
            Memory(LARGER, times=1.1, of="db_dump"),
        ),
        arguments=lambda lab: {"address": address(lab, "postgres", "postgresql"), "query": EVENTS},
        of_other_size=(LARGER,),
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
        bars=(Faster(1.1, ("ConnectorX", "dlt")), Memory("db_dump", most_mb=320)),
        arguments=lambda lab: {"address": address(lab, "mariadb", "mysql"), "query": EVENTS},
    ),
    "parquet-to-postgres": Benchmark(
        "Parquet to a new table of PostgreSQL",
        ours="db_dump",
        ways=(Way("db_dump", "ways.db_dump:load", "project"), Way("ADBC ingest", "ways.adbc:load")),
        bars=(Faster(1.0, ("ADBC ingest",)), Memory("db_dump", most_mb=400)),
        arguments=lambda lab: {
            "address": address(lab, "postgres", "postgresql"),
            "dump": str(lab / "dump"),
            "table": "loaded",
        },
    ),
}
