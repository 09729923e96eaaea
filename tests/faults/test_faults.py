"""What breaks under a steady load is mended by itself: all runs end, none that completed is lost, no slot is missed."""

import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest
import requests
from docker.models.containers import Container
from lab import Site, notifications
from load import FOLDER, Load
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Pending
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


def process_of(host: Host, run: UUID) -> str:
    """The process that runs it."""
    return host.check_output(f"grep -lsz '^PREFECT__FLOW_RUN_ID={run}$' /proc/[0-9]*/environ").split("/")[2]


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


def test_a_worker_is_killed(host: Host, load: Load, abandoned, ended, healthy, recovered, figures) -> None:
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


@dataclass(frozen=True)
class Abandoned:
    """Runs that no worker looks after, and when the process of the first was killed."""

    died: FlowRun
    killed: float
    taken: FlowRun
    late: FlowRun


@pytest.fixture(scope="module")
def abandoned(host: Host, client: SyncPrefectClient, load: Load) -> Abandoned:
    """One whose process dies unseen, as with its host; one that was taken and never started; one that nobody takes."""
    deployment = load.deploy("pulse", "alone")
    parameters = {"seconds": 600}
    died, taken, late = (client.create_flow_run_from_deployment(deployment, parameters=parameters) for _ in range(3))
    for run in (died, taken):
        client.set_flow_run_state(run.id, Pending())
    command = client.read_deployment(deployment).job_variables["command"]
    host.check_output(
        "systemd-run --quiet --collect --unit=faults-alone --uid=prefect-worker-default "
        "--property=SuccessExitStatus=SIGKILL "
        f"--property=EnvironmentFile=/etc/prefect/worker-default.env --setenv=HOME={FOLDER} "
        "--setenv=PREFECT_API_URL=http://127.0.0.1:4200/api --setenv=PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30 "
        f"--setenv=PREFECT__FLOW_RUN_ID={died.id} {command}"
    )
    began(load, died.id)
    heartbeat = {
        "event": {"name": ["prefect.flow-run.heartbeat"]},
        "resource": {"id": [f"prefect.flow-run.{died.id}"]},
    }
    until(
        lambda: client.request("POST", "/events/filter", json={"filter": heartbeat}).json()["total"],
        within=60,
        what="a heartbeat of the run",
    )
    killed = time.time()
    host.check_output("systemctl kill --signal=KILL faults-alone")
    return Abandoned(died, killed, taken, late)


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


def test_a_run_whose_host_is_gone(load: Load, abandoned: Abandoned, figures) -> None:
    figures["detected after s"] = crashed_after(load, abandoned.died.id, abandoned.killed)
    assert load.state(abandoned.died.id).message == "Nothing was heard of its process for 75 seconds."
    assert figures["detected after s"] < 110


def test_a_run_that_nobody_takes_is_told(abandoned: Abandoned) -> None:
    title = f"faults-pulse: {abandoned.late.name} is late"
    until(lambda: title in [each["title"] for each in notifications()], within=60, what="a notification arrives")


def test_the_processes_of_runs_are_killed(
    host: Host, client: SyncPrefectClient, load: Load, ended, healthy, figures
) -> None:
    retried = load.start(load.deploy("retried", work_pool_name="default", work_queue_name="default"))
    with load.steady():
        victim = load.trigger(seconds=600, holds=True)
        began(load, victim)
        began(load, retried)
        until(lambda: all(load.taken().values()), within=60, what="the victim holds a slot of each limit")
        moment = time.time()
        host.check_output("kill -KILL %s %s", process_of(host, victim), process_of(host, retried))
        figures["detected after s"] = crashed_after(load, victim, moment)
    # What holds a slot of the deployment now is of the schedule, and goes on for a second.
    until(lambda: not any(load.taken().values()), within=150, what="the slots of the victim are free")
    figures["slots free after s"] = round(time.time() - moment, 1)
    until(lambda: (state := load.state(retried)) and state.is_completed(), within=150, what="a second run completes")
    assert client.read_flow_run(retried).run_count == 2
    assert "Crashed" in [state.name for state in client.read_flow_run_states(retried)]
    healthy()
    states = figures["states"] = ended()
    assert states["Crashed"] == 1
    assert set(states) == {"Crashed", "Completed"}


@pytest.fixture
def little_memory(host: Host) -> Iterator[None]:
    """The pool has 2 GB, of which the worker and the load need a quarter."""
    before = host.check_output("systemctl show --property MemoryMax --value %s", WORKER)
    host.check_output("systemctl set-property --runtime %s MemoryMax=2G", WORKER)
    yield
    host.check_output("systemctl set-property --runtime %s MemoryMax=%s", WORKER, before)
    host.check_output("rm -r /run/systemd/system.control/%s.service.d && systemctl daemon-reload", WORKER)


def test_a_run_takes_too_much_memory(
    host: Host, client: SyncPrefectClient, load: Load, little_memory, ended, healthy, figures
) -> None:
    before = main_pid(host, WORKER)
    with load.steady(runs=5):
        going = load.trigger(seconds=20)
        began(load, going)
        victim = load.trigger(seconds=600, megabytes=4096)
        crashed_after(load, victim, time.time())
    run = client.read_flow_run(victim)
    assert "status code: -9" in run.state.message, "the kernel has ended it"
    figures["ended after s"] = round((run.end_time - run.start_time).total_seconds(), 1)
    assert main_pid(host, WORKER) == before
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


def test_the_server_starts_without_its_database(host: Host, load: Load, ended, healthy, recovered, figures) -> None:
    def starts() -> int:
        return int(host.check_output("systemctl show --property NRestarts --value %s", SERVER))

    cluster = host.check_output("pg_lsclusters --no-header").split()
    database = f"postgresql@{cluster[0]}-{cluster[1]}"
    with load.steady():
        going = load.trigger(seconds=30)
        began(load, going)
        host.check_output("systemctl stop %s", database)
        before = starts()
        host.check_output("kill -KILL %s", main_pid(host, SERVER))
        until(lambda: starts() >= before + 3, within=120, what="it has failed to start, more than once")
        moment = time.monotonic()
        host.check_output("systemctl start %s", database)
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


def test_a_run_that_was_taken_and_never_started(load: Load, abandoned: Abandoned) -> None:
    crashed_after(load, abandoned.taken.id, abandoned.killed)
    message = load.state(abandoned.taken.id).message
    assert message == "It was taken by a worker 5 minutes ago, and has not started."


def test_no_slot_stays_taken(load: Load) -> None:
    until(lambda: not any(load.taken().values()), within=60, what="all slots are free")


def test_the_load_was_a_hundred_runs(load: Load, figures) -> None:
    runs = load.read()
    figures["runs"] = len(runs)
    figures["states"] = dict(Counter(run.state.name for run in runs))
    assert len(load.triggered) >= 100
    assert {run.id for run in runs} >= set(load.triggered)
