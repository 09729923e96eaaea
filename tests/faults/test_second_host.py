"""A host of workers alone, which reach the server over HTTPS by a certificate that the proxy has signed itself."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import docker
import pytest
import testinfra
import yaml
from docker.models.containers import Container
from lab import sent
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_SSL_CERT_FILE, temporary_settings
from pulse import TAG
from restoring import failed, make
from testinfra.host import Host
from waiting import until

ROOT = Path(__file__).parents[2]
EXAMPLE, LAB = (ROOT / f"ansible/inventories/{name}" for name in ("example", "lab"))
FLOW = Path(__file__).with_name("pulse.py")
FOLDER = "/opt/prefect/faults"
FIRST, SECOND = "prefect-lab", "worker-1"
# The pool that both serve, and that of the second alone
SHARED, OWN = "default", "second"
CUT = "table inet faults { chain out { type filter hook output priority filter; tcp dport 443 drop; }; }"
CUT_SECONDS = 90
TO_NOTIFY = 180


@dataclass
class Platform:
    """The two hosts, and the commands of the Makefile for them."""

    lab: str
    inventory: Path

    def make(self, *arguments: str) -> str:
        """What a command says that ends well."""
        return make(*arguments, f"inventory={self.inventory}")

    def failed(self, *arguments: str) -> str:
        """What a command says that does not end well."""
        return failed(*arguments, f"inventory={self.inventory}")

    def add_second(self) -> None:
        """A bare host in place of the second, however that has ended."""
        play = ["ansible-playbook", "compose/host.yml", "-e", "lab_server=worker"]
        done = subprocess.run(play, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def second(self) -> Container:
        """The second host, as Docker sees it."""
        return docker.from_env().containers.get(f"{self.lab}-worker")


def write_inventory(folder: Path) -> None:
    """The example's hosts, the second of them no longer a comment; the lab's settings, and another certificate."""
    lab = yaml.safe_load((LAB / "hosts.yml").read_text())["all"]["hosts"]["prefect-lab"]
    ssh = {name: lab[name] for name in ("ansible_ssh_private_key_file", "ansible_ssh_common_args")}
    second = {"ansible_host": "127.0.0.1", "ansible_port": 2223 + int(os.environ["LAB_PORT_OFFSET"])} | ssh
    pools = {"prefect_worker_pools": [{"name": SHARED}, {"name": OWN}]}
    settings = yaml.safe_load((LAB / "group_vars/all/main.yml").read_text())
    del settings["prefect_api_ca"]
    files = {
        f"host_vars/{FIRST}.yml": lab | {"ansible_user": "admin"},
        f"host_vars/{SECOND}.yml": second | {"ansible_user": "admin"} | pools,
        "group_vars/all/main.yml": settings | {"proxy_tls_mode": "self_signed"},
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(yaml.safe_dump(content))
    hosts = (EXAMPLE / "hosts.yml").read_text().replace("\n    # ", "\n    ").replace("\n        # ", "\n        ")
    hosts = hosts.replace("      ansible_user: debian\n", "").replace("worker-1.example.com", SECOND)
    (folder / "hosts.yml").write_text(hosts.replace("prefect.example.com", FIRST))


@pytest.fixture(scope="module")
def platform(lab: str) -> Platform:
    """Both hosts as a first provision leaves them, the flows deployed."""
    platform = Platform(lab, Path(".lab") / lab / "inventory")
    write_inventory(ROOT / platform.inventory)
    platform.add_second()
    platform.make("provision")
    platform.make("deploy-flows")
    return platform


@pytest.fixture(scope="module")
def client(platform: Platform) -> Iterator[SyncPrefectClient]:
    """Prefect's own client, which trusts the CA that `make provision` fetched."""
    ca = str(ROOT / ".lab" / platform.lab / "proxy-ca.pem")
    with temporary_settings({PREFECT_API_SSL_CERT_FILE: ca}), get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def second(platform: Platform, tmp_path: Path) -> Callable[[], Host]:
    """Reach the second host, with the flow on it."""
    ssh = Path(os.environ["LAB_DIR"]) / "ssh"

    def reach() -> Host:
        host = testinfra.get_host(
            f"ssh://admin@127.0.0.1:{2223 + int(os.environ['LAB_PORT_OFFSET'])}",
            sudo=True,
            ssh_identity_file=str(ssh / "id_ed25519"),
            ssh_extra_args=f"-o UserKnownHostsFile={ssh / 'known_hosts'}",
            controlpath=str(tmp_path / "control"),
        )
        until(lambda: up(host), within=60, what="the second host answers")
        put_flow(host)
        return host

    return reach


def up(host: Host) -> bool:
    """Whether it answers."""
    try:
        return host.run("true").rc == 0
    except RuntimeError:  # as testinfra says that SSH was refused
        return False


def put_flow(host: Host) -> None:
    """The flow, where every pool can read it."""
    host.check_output("install -d %s", FOLDER)
    host.run_expect([0], f"cat > {FOLDER}/pulse.py <<'END'\n{FLOW.read_text()}\nEND")


@pytest.fixture
def start(client: SyncPrefectClient, host: Host, second: Callable[[], Host]) -> Callable[..., UUID]:
    """Start a run in a pool."""
    put_flow(host)
    second()
    command = client.read_deployment_by_name("db_dump/shop-postgres").job_variables["command"]

    def start(pool: str, flow: str = "pulse", limit: int | None = None, **parameters: float) -> UUID:
        deployment = client.create_deployment(
            client.create_flow_from_name(f"faults-{flow}"),
            pool,
            entrypoint=f"pulse.py:{flow}",
            work_pool_name=pool,
            concurrency_limit=limit,
            job_variables={"command": command},
            pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": FOLDER}}],
        )
        return client.create_flow_run_from_deployment(deployment, parameters=parameters).id

    return start


@pytest.fixture
def ended(client: SyncPrefectClient) -> Callable[[UUID], FlowRun]:
    """Wait for the end of a run."""

    def ended(run: UUID) -> FlowRun:
        until(lambda: client.read_flow_run(run).state.is_final(), within=240, what="the run ends")
        return client.read_flow_run(run)

    return ended


def running(client: SyncPrefectClient, run: UUID) -> None:
    """Wait until it runs."""
    until(lambda: client.read_flow_run(run).state.is_running(), within=120, what="the run has begun")


def taken(client: SyncPrefectClient, run: UUID) -> tuple[int, int]:
    """The slots that are taken of the tag's limit, and of that of a run's deployment."""
    deployment = client.read_deployment(client.read_flow_run(run).deployment_id)
    of_tag = client.read_global_concurrency_limit_by_name(f"tag:{TAG}")
    return of_tag.active_slots, deployment.global_concurrency_limit.active_slots


def worker(run: FlowRun) -> str:
    """The worker that took it."""
    return run.labels["prefect.worker.name"]


def test_both_are_provisioned_and_well(platform: Platform) -> None:
    assert "changed=0" in platform.make("provision", f"LIMIT={SECOND}")
    status = platform.make("status")
    assert SECOND in status
    assert f"prefect-worker@{OWN}.service" in status


def test_a_server_that_is_held_back_is_told_where_it_is_provisioned(platform: Platform) -> None:
    platform.make("maintenance", "ON=1", "REASON=The disk is changed.")
    try:
        said = platform.failed("provision", f"LIMIT={SECOND}")
    finally:
        platform.make("maintenance", "OFF=1")
    assert "The disk is changed.): make maintenance OFF=1 ENV=lab" in said


def test_a_host_of_workers_lets_in_ssh_alone(host: Host, second: Callable[[], Host]) -> None:
    [address, *_] = second().check_output("hostname --all-ip-addresses").split()
    dropped = {port: host.run(f"timeout 2 bash -c '</dev/tcp/{address}/{port}'").rc for port in (22, 80, 443)}
    assert dropped == {22: 0, 80: 124, 443: 124}


def test_runs_are_spread_over_both(client: SyncPrefectClient, platform: Platform, start, ended) -> None:
    runs: list[UUID] = []

    def both() -> bool:
        runs.append(start(SHARED))
        return len({worker(ended(run)) for run in runs[-2:]}) == 2

    until(both, within=300, what="two runs in a row are taken by two hosts")
    assert {client.read_flow_run(run).state_name for run in runs} == {"Completed"}


def test_its_own_pool_is_served_by_the_second_alone(platform: Platform, start, ended) -> None:
    run = ended(start(OWN))
    assert (run.state_name, worker(run)) == ("Completed", f"{os.environ['LAB_ORIGINAL']}-worker-{OWN}")


def test_a_cut_of_the_network_is_no_death(client: SyncPrefectClient, start, ended, second) -> None:
    client.create_concurrency_limit(TAG, 1)
    run = start(OWN, "tagged", limit=1, seconds=CUT_SECONDS + 20)
    running(client, run)
    until(lambda: all(taken(client, run)), within=60, what="the run holds a slot of its tag and of its deployment")
    host = second()
    host.run_expect([0], f"nft '{CUT}'")
    try:
        time.sleep(CUT_SECONDS)  # the fault is this silence: no condition ends it sooner
        assert all(taken(client, run)), "the lease of the tag, of 60 seconds, is over"
    finally:
        host.check_output("nft delete table inet faults")
    assert ended(run).state_name == "Completed"
    assert not any(taken(client, run))
    assert "Crashed" not in {state.name for state in client.read_flow_run_states(run)}
    assert ended(run).run_count == 1


def test_it_is_switched_off(client: SyncPrefectClient, platform: Platform, start, ended) -> None:
    victim, retried = start(OWN, seconds=600), start(OWN, "retried")
    for run in (victim, retried):
        running(client, run)
    silent = f"The worker {os.environ['LAB_ORIGINAL']}-worker-{OWN} is silent"
    before = sent(silent)
    platform.second.kill()
    try:
        until(lambda: sent(silent) > before, within=TO_NOTIFY, what=silent)
        assert f"{SECOND} cannot be reached" in platform.failed("status")
    finally:
        platform.second.start()
    assert ended(victim).state_name == "Crashed"
    until(lambda: client.read_flow_run(retried).state.is_completed(), within=180, what="the run is retried")
    assert client.read_flow_run(retried).run_count == 2
    completed = f"faults-retried: {client.read_flow_run(retried).name} has Completed after all"
    until(lambda: sent(completed), within=TO_NOTIFY, what=completed)


def test_it_is_rebooted(client: SyncPrefectClient, platform: Platform, start, ended) -> None:
    short = start(OWN, seconds=5)
    running(client, short)
    platform.second.restart(timeout=120)
    assert ended(short).state_name == "Completed"
    assert ended(start(OWN)).state_name == "Completed"


def test_it_is_replaced_by_a_bare_host(platform: Platform, second, start, ended) -> None:
    platform.second.remove(force=True)
    platform.add_second()
    platform.make("provision", f"LIMIT={SECOND}")
    platform.make("deploy-flows")
    second()
    assert ended(start(OWN)).state_name == "Completed"
    platform.make("status")
