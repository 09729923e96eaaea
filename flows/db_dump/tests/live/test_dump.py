"""The flow itself, from the database to published files."""

import json

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from running import MONTHLY

from flow import db_dump
from sources import SourceUnavailable
from stage import Table

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def dump(tmp_path, monkeypatch, postgres_login):
    login = {"user": postgres_login.user, "password": postgres_login.password}
    monkeypatch.setenv("SECRET_SOURCE_POSTGRES", json.dumps(login))
    monkeypatch.setenv("DB_DUMP_ROOT", str(tmp_path))

    def run(**parameters):
        common = {"db_host": postgres_login.host, "db_port": postgres_login.port, "batch_data_type": "parquet"}
        db_dump(**common | parameters)
        manifest = Table(str(tmp_path), "shop", "orders").published()
        files = [tmp_path / "shop" / "orders" / file.path for chunk in manifest.chunks for file in chunk.files]
        return manifest, pa.concat_tables([parquet.ParquetFile(file).read() for file in files])

    return run


def test_overwrite_in_one_piece(dump):
    manifest, rows = dump()
    assert (manifest.rows, rows.num_rows, len(manifest.chunks)) == (5000, 5000, 1)
    assert rows.schema.field("total").type == pa.decimal128(12, 2)


def test_monthly_pieces_concurrently_then_appended(dump):
    manifest, rows = dump(**MONTHLY, dump_mode="append", max_concurrency=3)
    assert sorted(rows["id"].to_pylist()) == list(range(1, 5001))
    assert len(manifest.chunks) == 18
    assert all(len(chunk.files) == 1 for chunk in manifest.chunks)
    again, rows = dump(**MONTHLY, dump_mode="append")
    assert again.chunks == manifest.chunks
    assert rows.num_rows == 5000


def test_an_interrupted_run_resumes_where_it_stopped(dump, monkeypatch):
    extract, extracted = Table.extract, []

    def broken(self, version, chunk, *args):
        extracted.append(str(chunk.period.start))
        if chunk.period.start.month == 5:
            raise OSError("disk full")
        return extract(self, version, chunk, *args)

    monkeypatch.setattr(Table, "extract", broken)
    with pytest.raises(RuntimeError, match=r"2 of 18 pieces failed.*2025-05-01_2025-06-01: disk full"):
        dump(**MONTHLY)
    assert len(extracted) == 18
    monkeypatch.setattr(Table, "extract", extract)
    manifest, rows = dump(**MONTHLY)
    assert sorted(rows["id"].to_pylist()) == list(range(1, 5001))
    first_try = [chunk for chunk in manifest.chunks if "-05-01" not in chunk.start]
    assert max(chunk.extracted_at for chunk in first_try) < min(
        chunk.extracted_at for chunk in manifest.chunks if "-05-01" in chunk.start
    )


def test_append_without_periods_adds_the_rows_of_each_run(dump):
    dump(dump_mode="append")
    manifest, rows = dump(dump_mode="append")
    assert (manifest.rows, rows.num_rows) == (10_000, 10_000)


def test_staged_only_leaves_the_published_table(dump):
    before, _ = dump()
    after, _ = dump(only_staging_dataset=True, execute_query="SELECT * FROM orders WHERE id = 1")
    assert after == before


def test_reading_is_retried_after_the_source_disconnects(dump, monkeypatch):
    monkeypatch.setattr("tasks.exponential_backoff", lambda factor: 0)
    extract, tries = Table.extract, []

    def flaky(self, *args):
        tries.append(1)
        if len(tries) < 3:
            raise SourceUnavailable("connection lost")
        return extract(self, *args)

    monkeypatch.setattr(Table, "extract", flaky)
    manifest, _ = dump()
    assert (len(tries), manifest.rows) == (3, 5000)


def test_no_password_in_what_is_logged(dump, caplog, postgres_login):
    with pytest.raises(Exception, match="nowhere"):
        dump(execute_query="SELECT * FROM nowhere")
    assert "nowhere" in caplog.text
    assert postgres_login.password not in caplog.text
