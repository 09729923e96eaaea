"""A disk that is full in the middle of a dump: the run fails with the cause in one line, the table stays as it was."""

import json
from collections.abc import Callable, Iterator

import pytest
from prefect.client.schemas.objects import FlowRun
from testinfra.host import Host

DUMP = "db_dump/shop-postgres"
LARGE = "SELECT id, md5(random()::text) AS value FROM generate_series(1, 500000) AS id"


@pytest.fixture
def small_disk(host: Host) -> Iterator[tuple[str, str]]:
    """A folder with 4 MB of room, as the worker sees it: units have their own view of the disks."""
    folder = "/var/lib/prefect-worker/default/small-disk"
    pid = host.check_output("systemctl show --property MainPID --value prefect-worker@default")
    inside = f"nsenter --target {pid} --mount "
    host.check_output("install -d -o prefect-worker-default %s", folder)
    host.check_output(inside + "mount -t tmpfs -o size=4m,uid=prefect-worker-default small-disk %s", folder)
    yield f"/proc/{pid}/root", folder
    host.check_output(inside + "umount %s", folder)
    host.check_output("rmdir %s", folder)


def test_a_full_disk(
    host: Host, small_disk: tuple[str, str], start: Callable[..., FlowRun], finish: Callable[[FlowRun], FlowRun]
) -> None:
    seen_from_the_host, folder = small_disk
    place = {"staging_root": folder, "dataset_id": "full", "table_id": "table"}
    place |= {"target_type": None, "target_secret_path": None}
    before = finish(start(DUMP, **place))
    assert before.state.is_completed(), before.state.message
    table = f"{seen_from_the_host}{folder}/full/table"
    manifest = host.check_output("cat %s/manifest.json", table)

    run = finish(start(DUMP, **place, execute_query=LARGE))
    assert run.state.is_failed()
    assert "No space left on device" in run.state.message
    assert "\n" not in run.state.message

    assert host.check_output("cat %s/manifest.json", table) == manifest
    files = {file["path"] for chunk in json.loads(manifest)["chunks"] for file in chunk["files"]}
    there = host.check_output("find %s -name '*.parquet*' -printf '%%P\\n'", table).splitlines()
    assert set(there) == files
