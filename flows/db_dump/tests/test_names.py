"""Names that a target would cut off or take for one are refused before anything is read."""

import pyarrow as pa
import pytest

from errors import ParameterError
from files import Layout
from records import Chunk
from stage import Table
from targets.names import check_names
from targets.postgres import MAX_NAME_BYTES


def draft(tmp_path, *columns, dataset_id="shop", table_id="orders"):
    schema = pa.schema([(column, pa.int64()) for column in columns])
    chunk = Chunk("q", None, Layout("csv", add_timestamp_column=False), "db")
    return Table(str(tmp_path), dataset_id, table_id).draft("overwrite", "q", schema, [chunk])


@pytest.mark.parametrize(
    ("parameter", "names"),
    [
        ("dataset_id", {"dataset_id": "x" * 64}),
        ("table_id", {"table_id": "x" * 64}),
        ("execute_query", {"column": "x" * 64}),
        # thirty-two characters, but more bytes
        ("execute_query", {"column": "é" * 32}),
    ],
)
def test_names_are_measured_in_bytes(tmp_path, parameter, names):
    column = names.pop("column", "id")
    with pytest.raises(ParameterError, match=rf"^{parameter}: .* is longer than 63"):
        check_names(draft(tmp_path, column, **names), MAX_NAME_BYTES, lambda name: len(name.encode()))
    check_names(draft(tmp_path, column, **names))


def test_names_that_a_target_cannot_tell_apart_are_refused(tmp_path):
    check_names(draft(tmp_path, "id", "ID", "note"))
    with pytest.raises(ParameterError, match=r"^execute_query: id, ID are one name there; give each its own"):
        check_names(draft(tmp_path, "id", "ID", "note"), fold=str.upper)


def test_all_problems_are_reported_at_once(tmp_path):
    with pytest.raises(ParameterError, match=r"^table_id: _DB_dump_chunks is .*; execute_query: column 2 has no name"):
        check_names(draft(tmp_path, "id", "", table_id="_DB_dump_chunks"))
