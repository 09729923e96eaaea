"""Sources without a server: opening, gathering of rows."""

import pyarrow as pa
import pytest

from sources import SOURCES, Login, SourceError, open_source
from sources.gather import gather

LOGIN = Login("db.example.org", "shop", "reader", "top;secret}")


def test_every_db_type_opens_without_a_connection():
    assert {type(open_source(name, LOGIN)).__name__ for name in SOURCES} == {"Postgres", "MySQL", "SQLServer", "Oracle"}


@pytest.mark.parametrize("db_type", ["sql_server", "oracle"])
def test_an_encoding_that_would_be_ignored_is_refused(db_type):
    with pytest.raises(SourceError, match=f"db_charset: has no effect on {db_type}"):
        open_source(db_type, Login("host", "db", "user", "secret", charset="latin1"))


def test_gathered_rows_keep_their_order_and_the_batch_size():
    pieces = [pa.record_batch({"a": range(start, start + 10)}) for start in range(0, 50, 10)]
    batches = list(gather(pieces, 17))
    assert [batch.num_rows for batch in batches] == [17, 17, 16]
    assert [row for batch in batches for row in batch["a"].to_pylist()] == list(range(50))


def test_a_gathered_batch_of_wide_rows_ends_early(monkeypatch):
    monkeypatch.setattr("sources.gather.BATCH_BYTES", 100)
    pieces = [pa.record_batch({"a": ["x" * 60]}) for _ in range(4)]
    assert [batch.num_rows for batch in gather(pieces, 1000)] == [2, 2]
