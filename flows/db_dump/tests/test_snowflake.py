"""What COPY INTO answers, as Snowflake documents it: the stand-in knows neither a thousand files nor one left out."""

import re
from base64 import b64encode

import pyarrow as pa
import pytest

from records import Manifest, Record
from targets import TargetError
from targets.plan import make_plan
from targets.snowflake import _Load

SCHEMA = pa.schema([("id", pa.int64()), ("Amount", pa.decimal128(12, 2))])


class Connection:
    """Answers each COPY with the recorded rows, one a file, of the columns file, status, rows_parsed, rows_loaded …"""

    def __init__(self, answer):
        self.answer, self.statements = answer, []

    def cursor(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def execute(self, statement, _values):
        self.statements.append(statement)
        return self

    def fetchall(self):
        return self.answer(re.findall(r"'([^']*)'", self.statements[-1].partition("FILES = ")[2].partition(")")[0]))


def loaded(files):
    return [(f"_db_dump_stage/{file}", "LOADED", 2, 2, 1, 0, None, None, None, None) for file in files]


def load(answer):
    record = Record("1", "q", None, None, "2024-01-01T00:00:00+00:00", 0.1, 5002, 1, ())
    schema = b64encode(SCHEMA.serialize()).decode()
    manifest = Manifest("shop", "orders", "1", None, "overwrite", "parquet", "q", "", 2, 1, {}, schema, (), (record,))
    connection = Connection(answer)
    return _Load(connection, "SHOP", None, manifest), connection, make_plan(manifest)


def test_files_are_named_a_thousand_at_a_time():
    load_, connection, plan = load(loaded)
    files = [f"0/{number}/orders.parquet" for number in range(2501)]
    plan.check(load_._copy(files))
    named = [re.findall(r"'([^']*\.parquet)'", statement) for statement in connection.statements]
    assert [len(names) for names in named] == [1000, 1000, 501]
    assert [name for names in named for name in names] == files
    assert all("ON_ERROR = ABORT_STATEMENT" in statement for statement in connection.statements)
    assert all('$1:"Amount"::NUMBER(12,2)' in statement for statement in connection.statements)


@pytest.mark.parametrize(
    "answer",
    [
        lambda files: [("Copy executed with 0 files processed.",)],
        lambda files: loaded(files[:-1]),
        lambda files: [
            *loaded(files[:-1]),
            (files[-1], "LOAD_SKIPPED", 2, 0, 1, 1, "File was loaded before.", *[None] * 3),
        ],
        lambda files: [*loaded(files[:-1]), (files[-1], "PARTIALLY_LOADED", 2, 1, 2, 1, "…", 3, 4, '"AMOUNT"')],
    ],
    ids=["no file", "one left out", "one skipped", "a row rejected"],
)
def test_a_copy_that_lacks_rows_is_refused(answer):
    load_, _, plan = load(answer)
    with pytest.raises(TargetError, match=r"rows came into the target, the files have 5,002; nothing was changed"):
        plan.check(load_._copy([f"0/{number}/orders.parquet" for number in range(2501)]))
