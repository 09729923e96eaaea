"""From a list of tables to the schedules of prefect.yaml."""

import json
import re

import pytest
import yaml

from flow import db_dump
from make_schedules import main

TABLES = """
- customers
- table_id: orders_by_month
  execute_query: |
    SELECT *
    FROM orders
  dump_mode: append
  partition_columns: ordered_at
  lower_bound_date: 2025-01-01
- table_id: Order.Items
  max_concurrency: 2
"""


@pytest.fixture
def printed(tmp_path, capsys):
    """The exit code, the printed block and the errors for a list."""

    def run(text, *options, name="tables.yml"):
        path = tmp_path / name
        path.write_text(text)
        code = main([str(path), *options])
        return code, *capsys.readouterr()

    return run


def schedules(printed, text, *options, **names):
    code, block, errors = printed(text, *options, **names)
    assert (code, errors) == (0, "")
    return yaml.safe_load(block)["schedules"]


def test_each_table_has_a_schedule_with_its_parameters(printed):
    entries = schedules(printed, TABLES, "--timezone", "Europe/Paris")
    assert [entry["slug"] for entry in entries] == ["customers", "orders-by-month", "order-items"]
    assert {entry["timezone"] for entry in entries} == {"Europe/Paris"}
    assert [entry["parameters"] for entry in entries] == [
        {"table_id": "customers", "execute_query": "SELECT * FROM customers"},
        {
            "table_id": "orders_by_month",
            "execute_query": "SELECT *\nFROM orders\n",
            "dump_mode": "append",
            "partition_columns": "ordered_at",
            "lower_bound_date": "2025-01-01",
        },
        {"table_id": "Order.Items", "execute_query": "SELECT * FROM Order.Items", "max_concurrency": 2},
    ]
    for entry in entries:
        json.dumps(entry)
        db_dump.validate_parameters(entry["parameters"])


def test_dumps_start_in_sequence_past_midnight(printed):
    entries = schedules(printed, TABLES, "--start", "23:55", "--every", "10")
    assert [entry["cron"] for entry in entries] == ["55 23 * * *", "5 0 * * *", "15 0 * * *"]


def test_csv_gives_the_same_as_yaml(printed):
    csv = "table_id,max_concurrency,only_staging_dataset,lower_bound_date\na,,,\nb,4,true,2025-01-01\n"
    yml = "- a\n- {table_id: b, max_concurrency: 4, only_staging_dataset: true, lower_bound_date: 2025-01-01}\n"
    assert schedules(printed, csv, name="tables.csv") == schedules(printed, yml)


def test_output_is_stable_and_an_added_table_moves_no_other(printed):
    first, again, more = printed(TABLES), printed(TABLES), printed(TABLES + "- one_more\n")
    assert first == again
    assert more[1].startswith(first[1])


def test_the_block_fits_into_a_deployment(printed):
    _, block, _ = printed(TABLES)
    [deployment] = yaml.safe_load(f"deployments:\n  - name: shop\n{block}")["deployments"]
    assert deployment.keys() == {"name", "schedules"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "- a\n- b\n- A\n",
            "table 3: A has the slug a, as has a; give one of them another table_id, and execute_query",
        ),
        (
            "- {table_id: a, dump_mod: append}",
            "table 1: dump_mod is not a parameter of the flow; did you mean dump_mode?",
        ),
        ("- {table_id: a, zzz: 1}", "table 1: zzz is not a parameter of the flow; it has db_type, "),
        ("- {table_id: a, max_concurrency: 0}", "table 1: max_concurrency: Input should be greater than 0, not 0"),
        (
            "- {table_id: a, dump_mode: merge}",
            "table 1: dump_mode: Input should be 'overwrite' or 'append'",
        ),
        ("- {dump_mode: append}", "table 1: needs a table_id, the name of the table"),
        ("table_id: a", ".*tables.yml: is not a list of tables"),
        ("- [a", ".*tables.yml: while parsing"),
        ("\n".join(f"- t{n}" for n in range(145)), "145 tables every 10 minutes take more than a day; give --every 9"),
    ],
)
def test_errors_are_one_line_and_nothing_is_printed(printed, text, message):
    code, block, errors = printed(text)
    assert (code, block, errors.count("\n")) == (1, "", 1)
    assert re.match(message, errors)


@pytest.mark.parametrize("text", ["", "table_id\n", "table_id\na,b\n"])
def test_csv_without_tables_or_with_too_many_cells_is_refused(printed, text):
    code, block, errors = printed(text, name="tables.csv")
    assert (code, block, errors.count("\n")) == (1, "", 1)


def test_a_missing_list(tmp_path, capsys):
    assert main([str(tmp_path / "none.yml")]) == 1
    assert capsys.readouterr().err.endswith("none.yml: No such file or directory\n")


@pytest.mark.parametrize("options", [("--timezone", "Mars/Base"), ("--every", "0"), ("--start", "25:00")])
def test_invalid_options(tmp_path, options):
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path / "tables.yml"), *options])
