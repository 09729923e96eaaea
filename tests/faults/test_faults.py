"""What breaks under a steady load is mended by itself: all runs end, none that completed is lost, no slot is missed."""

import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
import requests
from docker.models.containers import Container
from lab import Site
from load import Load
from testinfra.host import Host
from waiting import until

WORKER = "prefect-worker@default"
SERVER = "prefect-server"
CUT = """
table inet faults {
  chain out {
    type filter hook output priority filter;
    tcp dport 4200 meta skuid "prefect-worker-default" drop
  }
}
"""
CUT_SECONDS = 60


def main_pid(host: Host, unit: str) -> str:
    """The process that systemd watches."""
    return host.check_output("systemctl show --property MainPID --value %s", unit)


def restarted(host: Host, unit: str, before: str) -> None:
    """Wait until another process runs."""
    until(
        lambda: main_pid(host, unit) not in (before, "0") and host.service(unit).is_running,
        within=180,
        what=f"{unit} runs again",
    )


def began(load: Load, run: UUID) -> None:
    """Wait until a run is Running."""
    until(lambda: (state := load.state(run)) and state.is_running(), within=120, what="the run has begun")


def crashed_after(load: Load, run: UUID, moment: float) -> float:
    """Seconds from a moment to when the server called the run Crashed."""

    def crashed() -> float | None:
        state = load.state(run)
        return state.timestamp.timestamp() if state and state.is_crashed() else None

    return round(until(crashed, within=180, what="the run is Crashed") - moment, 1)


def states_since(before: Counter[str], after: Counter[str]) -> dict[str, int]:
    """What became of the runs since an earlier count."""
    assert not before - after, "what had ended has another state now"
    return dict(after - before)


@pytest.fixture
def ended(load: Load) -> Callable[[], dict[str, int]]:
    """What became of the runs of this test, when all of them are over."""
    before = load.settle()
    return lambda: states_since(before, load.settle())


def test_a_worker_is_killed(host: Host, load: Load, ended, healthy, recovered, figures) -> None:
    with load.steady():
        victim = load.trigger(seconds=600)
        began(load, victim)
        before, moment = main_pid(host, WORKER), time.time()
        host.check_output("kill -KILL %s", before)
        figures["detected after s"] = crashed_after(load, victim, moment)
        restarted(host, WORKER, before)
        figures["a new run completed after s"] = recovered()
    healthy()
    states = figures["states"] = ended()
    assert states["Crashed"] >= 1
    assert set(states) == {"Crashed", "Completed"}


@pytest.fixture
def impatient(host: Host) -> Iterator[None]:
    """systemd waits for a sign of the worker for 15 seconds only."""
    folder = f"/run/systemd/system/{WORKER}.service.d"
    host.check_output(f"mkdir -p {folder} && printf '[Service]\\nWatchdogSec=15\\n' > {folder}/impatient.conf")
    host.check_output("systemctl daemon-reload && systemctl restart %s", WORKER)
    yield
    host.check_output("rm -r %s && systemctl daemon-reload && systemctl restart %s", folder, WORKER)


def test_a_worker_hangs(host: Host, load: Load, impatient, ended, healthy, recovered, figures) -> None:
    with load.steady():
        victim = load.trigger(seconds=600)
        began(load, victim)
        before, moment = main_pid(host, WORKER), time.monotonic()
        host.check_output("kill -STOP %s", before)
        restarted(host, WORKER, before)
        figures["restarted after s"] = round(time.monotonic() - moment, 1)
        figures["a new run completed after s"] = recovered()
    healthy()
    states = figures["states"] = ended()
    assert states["Crashed"] >= 1
    assert set(states) == {"Crashed", "Completed"}


def test_the_process_of_a_run_is_killed(host: Host, load: Load, ended, healthy, figures) -> None:
    with load.steady():
        victim = load.trigger(seconds=600)
        began(load, victim)
        moment = time.time()
        pid = host.check_output(f"grep -lz '^PREFECT__FLOW_RUN_ID={victim}$' /proc/[0-9]*/environ").split("/")[2]
        host.check_output("kill -KILL %s", pid)
        figures["detected after s"] = crashed_after(load, victim, moment)
    healthy()
    states = figures["states"] = ended()
    assert states["Crashed"] == 1
    assert set(states) == {"Crashed", "Completed"}


def test_the_server_is_killed(host: Host, load: Load, ended, healthy, recovered, figures) -> None:
    with load.steady():
        going = load.trigger(seconds=30)
        began(load, going)
        before = main_pid(host, SERVER)
        moment = time.monotonic()
        host.check_output("kill -KILL %s", before)
        restarted(host, SERVER, before)
        figures["served again after s"] = round(time.monotonic() - moment, 1)
        figures["a new run completed after s"] = recovered()
    healthy()
    states = figures["states"] = ended()
    assert set(states) == {"Completed"}


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


def test_the_host_is_switched_off(host: Host, container: Container, load: Load, ended, healthy, figures) -> None:
    with load.steady():
        victim = load.trigger(seconds=600)
        began(load, victim)
        moment = time.time()
        container.kill()
        container.start()
        figures["detected after s"] = crashed_after(load, victim, moment)
    healthy()
    states = figures["states"] = ended()
    assert states["Crashed"] >= 1
    assert set(states) == {"Crashed", "Completed"}


def test_the_network_to_the_server_is_cut(host: Host, load: Load, ended, healthy, recovered, figures) -> None:
    with load.steady():
        going = load.trigger(seconds=CUT_SECONDS + 20)
        began(load, going)
        before = main_pid(host, WORKER)
        host.run_expect([0], f"nft -f - <<'END'\n{CUT}END")
        try:
            time.sleep(CUT_SECONDS)  # the fault itself
        finally:
            host.check_output("nft delete table inet faults")
        figures["a new run completed after s"] = recovered()
        assert main_pid(host, WORKER) == before
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
    with load.steady():
        host.run_expect([0, 1], f"dd if=/dev/zero of={full_disk}/filler bs=1M")
        until(lambda: load.refused, within=120, what="the server can write no more")
        moment = time.monotonic()
        host.check_output("rm %s/filler", full_disk)
        recovered()
        figures["a new run completed after s"] = round(time.monotonic() - moment, 1)
    healthy()
    states = figures["states"] = ended()
    assert set(states) == {"Completed"}


def test_nginx_is_reloaded_and_the_certificate_renewed(host: Host, load: Load, ended, healthy, figures) -> None:
    site = Site.of_environment()
    refused = load.refused

    def certificate() -> str:
        return ssl.get_server_certificate((site.domain, site.port))

    before = certificate()
    with load.steady():
        going = load.trigger(seconds=15)
        began(load, going)
        host.check_output("systemctl reload nginx")
        host.check_output("certbot renew --force-renewal --no-random-sleep-on-renew --quiet")
        until(lambda: certificate() != before, within=60, what="the new certificate is served")
    assert requests.get(f"{site.url}/api/health", verify=site.ca, timeout=30).ok
    assert load.refused == refused, "a call to the API failed meanwhile"
    healthy()
    states = figures["states"] = ended()
    assert set(states) == {"Completed"}


def test_a_stop_in_good_order_loses_nothing(host: Host, load: Load, ended, healthy, figures) -> None:
    with load.steady():
        going, slow = load.trigger(seconds=10), load.trigger(seconds=600)
        began(load, going)
        began(load, slow)
        moment = time.monotonic()
        host.check_output("systemctl restart %s", WORKER)
        figures["restarted after s"] = round(time.monotonic() - moment, 1)
    healthy()
    states = figures["states"] = ended()
    assert states["Cancelled"] == 1, "what takes longer than prefect_worker_drain_seconds"
    assert set(states) == {"Cancelled", "Completed"}


def test_the_load_was_a_hundred_runs(load: Load, figures) -> None:
    runs = load.read()
    figures["runs"] = len(runs)
    figures["states"] = dict(Counter(run.state.name for run in runs))
    assert len(load.triggered) >= 100
    assert {run.id for run in runs} >= set(load.triggered)
