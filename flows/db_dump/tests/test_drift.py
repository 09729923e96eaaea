"""A column may be new, and a type may grow; nothing else, and never a value changes."""

from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift import Column, compare, holds, merge
from errors import ParameterError

SIGNED = [pa.int8(), pa.int16(), pa.int32(), pa.int64()]
UNSIGNED = [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
OTHERS = [
    pa.bool_(),
    pa.string(),
    pa.binary(),
    pa.date32(),
    pa.time64("us"),
    pa.timestamp("us"),
    pa.timestamp("us", "UTC"),
    pa.float32(),
    pa.float64(),
]


@st.composite
def decimals(draw):
    precision = draw(st.integers(1, 76))
    kind = pa.decimal128 if precision <= 38 else pa.decimal256
    return kind(precision, draw(st.integers(0, precision)))


types = st.sampled_from(SIGNED + UNSIGNED + OTHERS) | decimals()
schemas = st.dictionaries(st.sampled_from("abcdef"), types, min_size=1).map(lambda columns: pa.schema(columns.items()))


def extremes(type_):
    """The values that a type which is too small would lose."""
    if pa.types.is_integer(type_):
        bits = type_.bit_width
        signed = pa.types.is_signed_integer(type_)
        values = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1]
        return pa.array(values, type_)
    if pa.types.is_decimal(type_):
        value = Decimal("9" * type_.precision + f"E-{type_.scale}")
        return pa.array([value, value.copy_negate()], type_)
    if pa.types.is_float32(type_):
        return pa.array([0.1, 3.4028234663852886e38, -1e-45], type_)
    if pa.types.is_date32(type_):
        return pa.array([-719162, 2932896], pa.int32()).cast(type_)
    return pa.array([], type_)


@given(types, types)
def test_values_of_a_held_type_survive_the_cast(wide, narrow):
    if holds(wide, narrow):
        values = extremes(narrow)
        assert pc.cast(pc.cast(values, wide), narrow) == values


@given(types, types, types)
def test_holds_is_a_partial_order(a, b, c):
    assert holds(a, a)
    assert a == b or not (holds(a, b) and holds(b, a))
    assert holds(a, c) or not (holds(a, b) and holds(b, c))


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (pa.int32(), pa.int64()),
        (pa.uint32(), pa.int64()),
        (pa.int32(), pa.decimal128(10, 0)),
        (pa.decimal128(12, 2), pa.decimal128(14, 4)),
        (pa.decimal128(38, 2), pa.decimal256(40, 2)),
        (pa.float32(), pa.float64()),
        (pa.date32(), pa.timestamp("us")),
    ],
)
def test_a_type_grows(before, now):
    assert merge(pa.schema([("a", before)]), pa.schema([("a", now)]), "the table", "the remedy").field("a").type == now


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (pa.int64(), pa.int32()),
        (pa.int64(), pa.uint64()),
        (pa.int32(), pa.decimal128(10, 1)),
        (pa.int64(), pa.float64()),
        (pa.decimal128(12, 2), pa.decimal128(12, 4)),
        (pa.decimal128(12, 2), pa.float64()),
        (pa.date32(), pa.timestamp("us", "UTC")),
        (pa.timestamp("us"), pa.timestamp("us", "UTC")),
        (pa.int32(), pa.string()),
    ],
)
def test_an_incompatible_type_is_refused(before, now):
    with pytest.raises(ParameterError) as refused:
        merge(pa.schema([("a", before)]), pa.schema([("a", now)]), "the table", "use overwrite")
    assert str(refused.value) == (
        f"execute_query: does not fit the table: column a was {before} and is {now} now; "
        "give it as it was (AS, CAST), or use overwrite"
    )


@given(schemas, schemas)
def test_merged_columns_take_both(before, now):
    try:
        merged = merge(before, now, "the table", "the remedy")
    except ParameterError:
        return
    assert merged.names[: len(before)] == before.names
    assert set(merged.names) == set(before.names) | set(now.names)
    for schema in (before, now):
        assert all(holds(merged.field(column.name).type, column.type) for column in schema)
    assert merge(merged, now.append(pa.field("new", pa.int8())), "the table", "the remedy").names == [
        *merged.names,
        "new",
    ]


def test_all_problems_are_reported_at_once():
    before = pa.schema([("id", pa.int64()), ("name", pa.string())])
    with pytest.raises(
        ParameterError, match=r"column id was int64 and is string now; column name \(string\) is no longer"
    ):
        merge(before, pa.schema([("id", pa.string()), ("title", pa.string())]), "the table", "the remedy")


def test_a_database_may_have_wider_columns_and_fill_some_itself():
    existing = {"id": Column(pa.int64()), "key": Column(None), "loaded": Column(pa.date32(), filled=True)}
    now = pa.schema([("id", pa.int32()), ("key", pa.string()), ("new", pa.bool_())])
    changes = compare(existing, now, "the table", "the remedy")
    assert (changes.added, changes.widened) == ((now.field("new"),), ())
    with pytest.raises(ParameterError, match=r"column key .a type of the database. is no longer in the query"):
        compare(existing, now.remove(1), "the table", "the remedy")
