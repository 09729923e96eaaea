"""The whole path with files in blob storage: staged, killed, taken up again, published, loaded from there.

The address says az://…; adlfs reads the login from the environment, AZURE_STORAGE_CONNECTION_STRING.
"""

import os
from datetime import timedelta
from uuid import uuid4

import fsspec
import pytest
from running import GATE, lock, published, running, until, waiting

import storage
from flow import db_dump
from stage import Table
from storage import StorageError

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def root():
    """A container of blob storage for one test."""
    if "AZURE_STORAGE_CONNECTION_STRING" not in os.environ:
        pytest.fail("AZURE_STORAGE_CONNECTION_STRING is not set; give that of the blob storage to test with")
    blobs = fsspec.filesystem("az")
    container = f"db-dump-test-{uuid4().hex}"
    blobs.mkdir(container)
    yield f"az://{container}/dumps"
    blobs.rm(container, recursive=True)


def test_a_killed_run_is_resumed(run, root, shop, warehouse, monkeypatch):
    run |= {"staging_root": root, "max_concurrency": 2}
    table, blobs = Table(root, "db_dump_test", "orders"), fsspec.filesystem("az", use_listings_cache=False)
    folder = f"{root.removeprefix('az://')}/db_dump_test/orders"
    with lock(shop, f"SELECT pg_advisory_xact_lock({GATE})"), running(run) as process:
        until(lambda: waiting(shop) and len(blobs.glob(f"{folder}/versions/*/chunks/*.json")) == 17)
        process.kill()
        process.wait()
    before = set(blobs.find(f"{folder}/versions"))

    with pytest.raises(StorageError, match=r"another run is writing this table; .* 5 minutes if it was killed"):
        db_dump(**run)
    monkeypatch.setattr(storage, "LEASE", timedelta(seconds=1))
    db_dump(**run)
    manifest = table.published()
    assert len(manifest.chunks) == 18
    assert len(before & set(blobs.find(f"{folder}/versions"))) == 17 * 2
    expected = shop.execute("SELECT count(*), sum(id) FROM orders").fetchone()
    rows = published(table)
    assert (rows.num_rows, sum(rows["id"].to_pylist())) == expected
    assert warehouse.execute("SELECT count(*), sum(id) FROM db_dump_test.orders").fetchone() == expected
    existing = {path.removeprefix(f"{folder}/") for path in blobs.find(folder)}
    files = {file.path for chunk in manifest.chunks for file in chunk.files}
    records = {f"versions/{manifest.version}/chunks/{chunk.id}.json" for chunk in manifest.chunks}
    assert existing == files | records | {"manifest.json"}
