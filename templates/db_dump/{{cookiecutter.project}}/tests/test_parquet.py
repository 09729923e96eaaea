"""Values keep their types, and a file is complete or absent."""

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg.postgres import types

from parquet import schema_of, write

SCHEMA = pa.schema([("id", pa.int32()), ("total", pa.decimal128(12, 2)), ("at", pa.timestamp("us", "UTC"))])
ROWS = [(1, Decimal("9.80"), datetime(2026, 6, 30, 23, 59, tzinfo=UTC)), (2, None, None)]


@pytest.mark.parametrize(
    ("name", "precision", "scale", "arrow"),
    [
        ("int4", None, None, pa.int32()),
        ("numeric", 12, 2, pa.decimal128(12, 2)),
        ("numeric", None, None, pa.string()),
        ("timestamptz", None, None, pa.timestamp("us", "UTC")),
        ("uuid", None, None, pa.string()),
    ],
)
def test_types(name, precision, scale, arrow):
    column = SimpleNamespace(name="it", type_code=types[name].oid, precision=precision, scale=scale)
    assert schema_of([column]) == pa.schema([("it", arrow)])


def test_rows_keep_their_values(tmp_path):
    file = tmp_path / "orders.parquet"
    assert write(file, SCHEMA, [ROWS, ROWS]) == 4
    table = pq.read_table(file)
    assert table.schema == SCHEMA
    assert [tuple(row.values()) for row in table.to_pylist()] == ROWS * 2


def test_an_empty_table_has_its_columns(tmp_path):
    assert write(tmp_path / "orders.parquet", SCHEMA, []) == 0
    assert pq.read_schema(tmp_path / "orders.parquet") == SCHEMA


def test_an_interrupted_dump_leaves_the_old_file(tmp_path):
    def interrupted():
        yield ROWS
        raise ConnectionError

    file = tmp_path / "orders.parquet"
    write(file, SCHEMA, [ROWS])
    with pytest.raises(ConnectionError):
        write(file, SCHEMA, interrupted())
    assert pq.read_table(file).num_rows == 2
    assert list(tmp_path.iterdir()) == [file]
