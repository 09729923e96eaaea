"""A backup goes when its time is over, with the archive that only it needs; one from which to restore always stays."""

import json
from collections.abc import Callable, Iterator

import pytest
from restoring import make
from testinfra.host import Host

DAYS = 28  # backup_retention_days


def held(host: Host) -> tuple[list[str], str]:
    """The full backups, the oldest first, and the first file of the archive."""
    said = host.check_output("runuser -u postgres -- pgbackrest --stanza=prefect --repo=1 info --output=json")
    [database] = json.loads(said)
    full = [backup["label"] for backup in database["backup"] if backup["type"] == "full"]
    return full, database["archive"][-1]["min"]


@pytest.fixture
def expire(host: Host) -> Iterator[Callable[[int], None]]:
    """What each backup does at its end, when so many days have passed."""
    host.check_output("apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install faketime")
    yield lambda days: host.check_output(
        "runuser -u postgres -- faketime %s pgbackrest --stanza=prefect --repo=1 expire", f"+{days} days"
    )
    host.check_output("apt-get -qq purge --autoremove faketime")


def test_old_backups_go_and_the_last_stays(host: Host, expire: Callable[[int], None]) -> None:
    make("backup", "TYPE=full")
    full, first = held(host)
    assert len(full) > 1
    expire(DAYS - 1)
    assert held(host) == (full, first)
    expire(DAYS + 1)
    left, oldest = held(host)
    assert left == full[-1:]
    assert oldest > first
    assert not host.file(f"/var/lib/pgbackrest/backup/prefect/{full[0]}").exists
    expire(10 * DAYS)
    assert held(host) == (left, oldest)
    make("restore-drill")
