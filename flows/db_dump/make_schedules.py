"""Make the schedules of a deployment from a list of tables, one dump after the other through the night.

`python -m make_schedules tables.yml --start 01:00 --every 10 --timezone Europe/Paris` prints the block for
prefect.yaml. The list is YAML or CSV; an entry may have any parameter of the flow beside `table_id`:

    - customers
    - table_id: orders
      partition_columns: ordered_at
"""

import argparse
import csv
import re
import sys
from collections.abc import Iterable
from datetime import time
from difflib import get_close_matches
from pathlib import Path
from textwrap import indent
from typing import Any, get_type_hints
from zoneinfo import available_timezones

import yaml
from pydantic import TypeAdapter, ValidationError

from errors import one_line
from flow import db_dump

MINUTES_PER_DAY = 24 * 60

TYPES = {name: type_ for name, type_ in get_type_hints(db_dump.fn, include_extras=True).items() if name != "return"}


class TablesError(Exception):
    """The list of tables cannot be used; the message says where, and how to correct it."""


class _Dumper(yaml.SafeDumper):  # type: ignore[misc] # PyYAML is not typed
    """Indents lists below their key, and keeps the lines of queries."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def read(path: Path) -> list[dict[str, Any]]:
    """The entries of the list; a name alone is a table with default parameters. Raises TablesError."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            if path.suffix == ".csv":
                # an empty cell is no parameter
                rows = csv.DictReader(file, restkey="a cell without a heading", strict=True)
                entries = [{name: cell for name, cell in row.items() if cell} for row in rows]
            else:
                entries = yaml.safe_load(file)
    except OSError as error:
        raise TablesError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, csv.Error, UnicodeDecodeError) as error:
        raise TablesError(f"{path}: {one_line(error)}") from None
    if not isinstance(entries, list) or not entries:
        raise TablesError(
            f"{path}: is not a list of tables; write YAML with a dash before each table, or CSV with headings"
        )
    return [{"table_id": entry} if isinstance(entry, str) else entry for entry in entries]


def make_schedules(entries: Iterable[dict[str, Any]], start: time, minutes: int, timezone: str) -> list[dict[str, Any]]:
    """A schedule per table, this number of minutes apart, past midnight if necessary. Raises TablesError."""
    first_minute = start.hour * 60 + start.minute
    by_slug: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(entries):
        parameters = _parameters(number, entry)
        slug = re.sub(r"[^a-z0-9]+", "-", parameters["table_id"].lower()).strip("-")
        if slug in by_slug:
            raise TablesError(
                f"table {number + 1}: {parameters['table_id']} has the slug {slug}, as has "
                f"{by_slug[slug]['parameters']['table_id']}; give one of them another table_id, and execute_query"
            )
        hour, minute = divmod((first_minute + number * minutes) % MINUTES_PER_DAY, 60)
        by_slug[slug] = {
            "slug": slug,
            "cron": f"{minute} {hour} * * *",
            "timezone": timezone,
            "parameters": parameters,
        }
    if len(by_slug) * minutes > MINUTES_PER_DAY:
        raise TablesError(
            f"{len(by_slug)} tables every {minutes} minutes take more than a day; "
            f"give --every {MINUTES_PER_DAY // len(by_slug)} or less, or make two lists"
        )
    return list(by_slug.values())


def _parameters(number: int, entry: Any) -> dict[str, Any]:
    """The entry's parameters as values of JSON and YAML, checked against the flow."""
    where = f"table {number + 1}"
    if not isinstance(entry, dict) or not entry.get("table_id"):
        raise TablesError(f"{where}: needs a table_id, the name of the table")
    defaults = {"table_id": entry["table_id"], "execute_query": f"SELECT * FROM {entry['table_id']}"}  # noqa: S608
    return {name: _value(where, name, value) for name, value in (defaults | entry).items()}


def _value(where: str, name: str, value: Any) -> Any:
    if name not in TYPES:
        close = get_close_matches(str(name), TYPES, 1)
        hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(TYPES)}"
        raise TablesError(f"{where}: {name} is not a parameter of the flow; {hint}")
    type_ = TypeAdapter(TYPES[name])
    try:
        return type_.dump_python(type_.validate_python(value), mode="json")
    except ValidationError as error:
        raise TablesError(f"{where}: {name}: {error.errors()[-1]['msg']}, not {value!r}") from None


def yaml_block(schedules: list[dict[str, Any]]) -> str:
    """The schedules as a block of a deployment in prefect.yaml."""
    text = yaml.dump({"schedules": schedules}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return indent(text, "    ")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make_schedules", description=str(__doc__).splitlines()[0])
    parser.add_argument("tables", type=Path, help="the list of tables, YAML or CSV")
    parser.add_argument("--start", type=time.fromisoformat, default=time(1), metavar="HH:MM", help="the first dump")
    parser.add_argument("--every", type=int, default=10, metavar="MINUTES", help="from one dump to the next")
    parser.add_argument("--timezone", default="UTC", help="such as Europe/Paris")
    options = parser.parse_args(arguments)
    if options.timezone not in available_timezones():
        parser.error(f"--timezone: {options.timezone!r} is not an IANA time zone, such as Europe/Paris")
    if options.every < 1:
        parser.error(f"--every: {options.every} is not a number of minutes, 1 or more")
    try:
        schedules = make_schedules(read(options.tables), options.start, options.every, options.timezone)
        print(yaml_block(schedules), end="")
    except TablesError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
