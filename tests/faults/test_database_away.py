"""A server that starts while its database is away waits for it, as at a boot at which PostgreSQL takes its time."""

import time

from load import Load
from testinfra.host import Host
from waiting import until

SERVER = "prefect-server"


def starts(host: Host) -> int:
    """How often systemd has started the server again by itself."""
    return int(host.check_output("systemctl show --property NRestarts --value %s", SERVER))


def test_the_server_starts_while_the_database_is_away(
    host: Host, load: Load, ended, healthy, recovered, figures
) -> None:
    cluster = host.check_output("pg_lsclusters --no-header").split()
    database = f"postgresql@{cluster[0]}-{cluster[1]}"
    with load.steady():
        going = load.trigger(seconds=30)
        until(lambda: (state := load.state(going)) and state.is_running(), within=120, what="the run has begun")
        host.check_output("systemctl stop %s", database)
        before = starts(host)
        host.check_output("systemctl kill --signal=KILL %s", SERVER)
        until(lambda: starts(host) >= before + 3, within=120, what="it has failed to start, more than once")
        moment = time.monotonic()
        host.check_output("systemctl start %s", database)
        recovered()
        figures["a new run completed after s"] = round(time.monotonic() - moment, 1)
    healthy()
    states = figures["states"] = ended()
    assert set(states) == {"Completed"}
