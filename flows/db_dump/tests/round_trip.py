"""Rows of every type that a source can send, made by Hypothesis, and a dump of them."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pyarrow.types as kinds
from hypothesis import strategies as st

from files import DataType, Layout
from records import Chunk, Manifest
from sources import mysql, oracle, postgres, sql_server
from stage import Table

# The widest, the ones with places only, and those that MariaDB's sums and MySQL's longest decimals have
DECIMALS = [
    *(pa.decimal128(*digits) for digits in [(1, 0), (7, 0), (18, 4), (38, 0), (38, 38)]),
    *(pa.decimal256(*digits) for digits in [(42, 2), (65, 30)]),
]
TYPES = sorted(
    {
        *(pa.string(), pa.binary(), *DECIMALS),
        *postgres.ARROW_TYPES.values(),
        *(type_ for pair in mysql.INTEGERS.values() for type_ in pair),
        *mysql.ARROW_TYPES.values(),
        *sql_server.PLAIN_TYPES.values(),
        *(type_ for type_, _ in oracle.TYPES.values()),
    },
    key=str,
)
NAMED = pa.schema([(str(type_), type_) for type_ in TYPES])
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
TRAPS = st.sampled_from(["", " ", "NULL", "None", "\\N", "\\.", '"', "a,b;c", "'", "\r\n", "\\x00", "é😀", "007"])


def values(type_: pa.DataType) -> st.SearchStrategy:
    """All values of the type, with its ends and nulls among them."""
    if kinds.is_integer(type_):
        bits, signed = type_.bit_width, kinds.is_signed_integer(type_)
        lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        some = st.integers(lowest, highest) | st.sampled_from([lowest, highest])
    elif kinds.is_decimal(type_):
        most = 10**type_.precision - 1
        digits = st.integers(-most, most) | st.sampled_from([-most, most, 1, 0])
        some = digits.map(lambda number: Decimal(f"{number}E-{type_.scale}"))
    elif kinds.is_floating(type_):
        some = st.floats(width=type_.bit_width)
    elif kinds.is_timestamp(type_):
        some = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999))
        some = some.map(lambda moment: moment.replace(tzinfo=type_.tz and UTC))
    elif kinds.is_date(type_):
        some = st.dates(date(1, 1, 1), date(9999, 12, 31))
    elif kinds.is_time(type_):
        some = st.times(time(0), time(23, 59, 59, 999_999))
    else:
        some = {pa.bool_(): st.booleans(), pa.binary(): st.binary(max_size=20), pa.string(): TEXT | TRAPS}[type_]
    return st.none() | some


def batches(schema: pa.Schema) -> st.SearchStrategy[pa.RecordBatch]:
    """Some rows of these columns."""
    row = st.fixed_dictionaries({field.name: values(field.type) for field in schema})
    return st.lists(row, min_size=1, max_size=4).map(lambda rows: pa.RecordBatch.from_pylist(rows, schema))


def publish(root: str, batch: pa.RecordBatch, data_type: DataType, dataset_id: str = "shop") -> tuple[Table, Manifest]:
    """The rows as a published table `round_trip`."""
    table = Table(root, dataset_id, "round_trip")
    chunk = Chunk("q", None, Layout(data_type, add_timestamp_column=False), "db")
    record = table.extract("1", chunk, batch.schema, [batch], lambda *_: None)
    return table, table.publish("overwrite", "1", "q", batch.schema, [chunk], [record])


def exact(rows: pa.Table | pa.RecordBatch, schema: pa.Schema) -> list[str]:
    """The rows in an order of their own, written so that 1.10 is not 1.1, -0.0 is not 0.0, and NaN is NaN."""
    return sorted(str(row) for row in rows.select(schema.names).cast(schema).to_pylist())
