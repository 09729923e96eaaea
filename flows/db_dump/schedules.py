"""From a list of tables to the schedules of a deployment, one after the other through the night.

`python -m schedules tables.yml --start 01:00 --every 10 --timezone Europe/Paris` prints the block for prefect.yaml.
The list is YAML or CSV; beside `table_id` may stand any parameter of the flow:

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

from flow import db_dump

MINUTES_OF_A_DAY = 24 * 60

TYPES = {name: type_ for name, type_ in get_type_hints(db_dump.fn, include_extras=True).items() if name != "return"}


class TablesError(Exception):
    """The list of tables cannot be used; the message says where, and how to mend it."""


class _Dumper(yaml.SafeDumper):
    """Lists are indented below their key, and queries of several lines keep them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def read(path: Path) -> list[dict[str, Any]]:
    """The entries of the list; a name alone stands for a table without parameters of its own."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            if path.suffix == ".csv":
                # an empty cell gives nothing
                rows = csv.DictReader(file, restkey="a cell without a heading", strict=True)
                entries = [{name: cell for name, cell in row.items() if cell} for row in rows]
            else:
                entries = yaml.safe_load(file)
    except OSError as error:
        raise TablesError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, csv.Error, UnicodeDecodeError) as error:
        raise TablesError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(entries, list) or not entries:
        raise TablesError(f"{path}: holds no list of tables; give YAML with a dash before each, or CSV with headings")
    return [{"table_id": entry} if isinstance(entry, str) else entry for entry in entries]


def schedules(entries: Iterable[dict[str, Any]], start: time, every: int, timezone: str) -> list[dict[str, Any]]:
    """A schedule for each table, `every` minutes apart, over midnight if need be."""
    first = start.hour * 60 + start.minute
    made: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(entries):
        parameters = _parameters(number, entry)
        slug = re.sub(r"[^a-z0-9]+", "-", parameters["table_id"].lower()).strip("-")
        if slug in made:
            raise TablesError(
                f"table {number + 1}: {parameters['table_id']} has the slug {slug}, as has "
                f"{made[slug]['parameters']['table_id']}; give one of them another table_id, and execute_query"
            )
        hour, minute = divmod((first + number * every) % MINUTES_OF_A_DAY, 60)
        made[slug] = {
            "slug": slug,
            "cron": f"{minute} {hour} * * *",
            "timezone": timezone,
            "parameters": parameters,
        }
    if len(made) * every > MINUTES_OF_A_DAY:
        raise TablesError(
            f"{len(made)} tables every {every} minutes take more than a day; "
            f"give --every {MINUTES_OF_A_DAY // len(made)} or less, or make two lists"
        )
    return list(made.values())


def _parameters(number: int, entry: Any) -> dict[str, Any]:
    """The entry's parameters as the flow takes them, and as JSON and YAML can hold them."""
    where = f"table {number + 1}"
    if not isinstance(entry, dict) or not entry.get("table_id"):
        raise TablesError(f"{where}: needs a table_id, the name of the table")
    given = {"table_id": entry["table_id"], "execute_query": f"SELECT * FROM {entry['table_id']}"} | entry  # noqa: S608
    return {name: _value(where, name, value) for name, value in given.items()}


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


def block(made: list[dict[str, Any]]) -> str:
    """The block as it stands in a deployment of prefect.yaml."""
    return indent(
        yaml.dump({"schedules": made}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110), "    "
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="schedules", description=__doc__.splitlines()[0])
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
        print(block(schedules(read(options.tables), options.start, options.every, options.timezone)), end="")
    except TablesError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
