"""What a source can send arrives in PostgreSQL and in Snowflake as it left, through files of each format."""

# ruff: noqa: S608 - the queries are written here
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from round_trip import NAMED, batches, exact, publish

# the smallest rows that fail would take hundreds of loads to find
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
FEW = settings(max_examples=4, phases=PHASES, deadline=None, suppress_health_check=list(HealthCheck))
# the stand-in keeps a NUMBER(38,0) in 64 bits
ELSEWHERE = [pa.decimal128(38, 0)]
IN_SNOWFLAKE = pa.schema(
    [field for field in NAMED if not pa.types.is_decimal256(field.type) and field.type not in ELSEWHERE]
)


@pytest.mark.parametrize("data_type", ["csv", "parquet"])
@FEW
@given(batch=batches(NAMED))
def test_into_postgres(warehouse, postgres_target, loaded, data_type, batch):
    warehouse.execute("DROP SCHEMA IF EXISTS db_dump_test CASCADE")
    with TemporaryDirectory() as root:
        table, manifest = publish(root, batch, data_type, "db_dump_test")
        postgres_target.check(table, manifest)
        postgres_target.load(table, manifest)
    back = pa.Table.from_batches(loaded.batches("SELECT * FROM db_dump_test.round_trip", 1000))
    assert exact(back, NAMED) == exact(batch, NAMED)


@pytest.mark.parametrize("data_type", ["csv", "parquet"])
@FEW
@given(batch=batches(IN_SNOWFLAKE))
def test_into_snowflake(snowflake_target, snowflake, data_type, batch):
    with TemporaryDirectory() as root:
        table, manifest = publish(root, batch, data_type, "db_dump_test")
        snowflake("DROP SCHEMA IF EXISTS DB_DUMP_TEST CASCADE")
        snowflake_target.check(table, manifest)
        snowflake_target.load(table, manifest)
    names = [f'"{name.upper()}"' for name in IN_SNOWFLAKE.names]
    asked = ", ".join(f"{name} IS NULL, {name}" for name in names)
    rows = [
        # the stand-in's answers make 1970 of a timestamp that is null
        [None if null else value for null, value in zip(row[::2], row[1::2], strict=True)]
        for row in snowflake(f"SELECT {asked} FROM DB_DUMP_TEST.ROUND_TRIP")
    ]
    back = [dict(zip(IN_SNOWFLAKE.names, row, strict=True)) for row in rows]
    assert exact(pa.RecordBatch.from_pylist(back, IN_SNOWFLAKE), IN_SNOWFLAKE) == exact(batch, IN_SNOWFLAKE)
