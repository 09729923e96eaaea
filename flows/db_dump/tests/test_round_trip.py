"""What a source can send arrives as it left: through files of each format, and in DuckDB."""

from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from round_trip import NAMED, TYPES, batches, exact, publish

from targets import TargetError, open_target

IN_DUCKDB = pa.schema([field for field in NAMED if not pa.types.is_decimal256(field.type)])


@pytest.mark.parametrize("data_type", ["csv", "parquet"])
@settings(max_examples=12, deadline=None)
@given(batch=batches(NAMED))
def test_through_files(data_type, batch):
    with TemporaryDirectory() as root:
        table, manifest = publish(root, batch, data_type)
        back = pa.Table.from_batches(table.read(manifest, manifest.chunks, manifest.schema))
    assert back.schema == NAMED
    assert exact(back, NAMED) == exact(batch, NAMED)


@pytest.mark.parametrize("data_type", ["csv", "parquet"])
@settings(max_examples=6, deadline=None)
@given(batch=batches(IN_DUCKDB))
def test_into_duckdb(data_type, batch):
    with TemporaryDirectory() as root:
        target = open_target("duckdb", {"database": f"{root}/warehouse.duckdb"})
        table, manifest = publish(root, batch, data_type)
        target.check(table, manifest)
        target.load(table, manifest)
        with duckdb.connect(f"{root}/warehouse.duckdb") as connection:
            connection.execute("SET TimeZone = 'UTC'")
            back = connection.sql("SELECT * FROM shop.round_trip").to_arrow_table()
    assert exact(back, IN_DUCKDB) == exact(batch, IN_DUCKDB)


@pytest.mark.parametrize("type_", [type_ for type_ in TYPES if pa.types.is_decimal256(type_)], ids=str)
def test_types_that_duckdb_lacks_are_refused_before_reading(tmp_path, type_):
    batch = pa.RecordBatch.from_pylist([], pa.schema([("total", type_)]))
    target = open_target("duckdb", {"database": f"{tmp_path}/warehouse.duckdb"})
    with pytest.raises(TargetError, match=r"column total: DuckDB has no decimal256.*; cast it to text"):
        target.check(*publish(str(tmp_path), batch, "csv"))
