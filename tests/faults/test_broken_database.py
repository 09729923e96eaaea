"""The database stops, and its disk is full, under a steady load."""

import time
from collections.abc import Iterator

import pytest
from breaking import at_once, began, status
from load import Load
from testinfra.host import Host
from waiting import until


def test_the_database_stops_at_once(host: Host, load: Load, ended, healthy, recovered, figures) -> None:
    with load.steady():
        going = load.trigger(seconds=30)
        began(load, going)
        moment = time.monotonic()
        cluster = host.check_output("pg_lsclusters --no-header").split()
        host.check_output(
            "runuser -u postgres -- /usr/lib/postgresql/%s/bin/pg_ctl stop -m immediate -D %s", cluster[0], cluster[5]
        )
        recovered()
        figures["a new run completed after s"] = round(time.monotonic() - moment, 1)
    healthy()
    states = figures["states"] = ended()
    assert set(states) == {"Completed"}


def test_the_database_hangs(host: Host, load: Load, ended, healthy, recovered, figures) -> None:
    cluster = host.check_output("pg_lsclusters --no-header").split()
    database = f"postgresql@{cluster[0]}-{cluster[1]}"
    with load.steady():
        going = load.trigger(seconds=30)
        began(load, going)
        _, usual = status()
        host.check_output("systemctl kill --signal=STOP %s", database)
        try:
            said, figures["status answered after s"] = status()
        finally:
            host.check_output("systemctl kill --signal=CONT %s", database)
        assert "archive: psql has not answered for" in said
        assert "does not answer as it should" in said
        assert at_once(figures["status answered after s"], usual)
        figures["a new run completed after s"] = recovered()
    healthy()
    states = figures["states"] = ended()
    assert set(states) == {"Completed"}


@pytest.fixture
def full_disk(host: Host) -> Iterator[str]:
    """Fills the disk of the database, which is a small one of its own as long as this lasts; and frees it."""
    cluster = host.check_output("pg_lsclusters --no-header").split()
    unit, data = f"postgresql@{cluster[0]}-{cluster[1]}", cluster[5]
    host.check_output("systemctl stop %s", unit)
    size = int(host.check_output("du --summarize --block-size=1M %s", data).split()[0]) + 300
    host.check_output("mv %s %s.kept && install -d -m 700 -o postgres -g postgres %s", data, data, data)
    host.check_output("mount -t tmpfs -o size=%sm,mode=700,uid=postgres,gid=postgres small %s", str(size), data)
    host.check_output("cp --archive %s.kept/. %s/", data, data)
    host.check_output("systemctl start %s", unit)
    yield data
    host.check_output("systemctl stop %s", unit)
    host.check_output("install -d -m 700 -o postgres -g postgres %s.moved", data)
    host.check_output("cp --archive %s/. %s.moved/ && umount %s && rmdir %s", data, data, data, data)
    host.check_output("mv %s.moved %s && rm --recursive %s.kept", data, data, data)
    host.check_output("systemctl start %s", unit)


def test_the_disk_is_full_for_a_while(host: Host, load: Load, ended, healthy, recovered, full_disk, figures) -> None:
    refused = load.refused
    with load.steady():
        host.run_expect([0, 1], f"dd if=/dev/zero of={full_disk}/filler bs=1M")
        until(lambda: load.refused > refused, within=120, what="the server can write no more")
        moment = time.monotonic()
        host.check_output("rm %s/filler", full_disk)
        recovered()
        figures["a new run completed after s"] = round(time.monotonic() - moment, 1)
    healthy()
    states = figures["states"] = ended()
    assert set(states) == {"Completed"}
