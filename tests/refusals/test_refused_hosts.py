"""A host that cannot carry the platform is told before it changes, and none is left half done."""

import os
import re
from collections.abc import Iterator

import docker
import pytest
from docker.models.containers import Container
from refusal import Environment
from testinfra.host import Host

HOST, STRANGER = "prefect-lab", "stranger"
# A port that nothing listens on
CLOSED = {"ansible_host": "127.0.0.1", "ansible_port": 9}
SYSTEMS = {
    "Fedora Linux 43": {"NAME": "Fedora Linux", "ID": "fedora", "VERSION_ID": "43"},
    "Debian 11": {"NAME": "Debian GNU/Linux", "ID": "debian", "VERSION_ID": "11"},
    "Ubuntu 22.04": {"NAME": "Ubuntu", "ID": "ubuntu", "VERSION_ID": "22.04"},
}


@pytest.fixture(scope="module")
def machine() -> Iterator[Container]:
    """A machine that is no host of the lab's."""
    client = docker.from_env()
    lab = os.environ["LAB_NAME"]
    for left_over in client.containers.list(all=True, filters={"name": f"^{lab}-unknown-os$"}):
        left_over.remove(force=True)
    image = client.containers.get(f"{lab}-azurite").image
    container = client.containers.run(
        image, ["sleep", "infinity"], name=f"{lab}-unknown-os", network_mode="none", init=True, detach=True
    )
    yield container
    container.remove(force=True)


@pytest.mark.parametrize("system", SYSTEMS)
def test_an_unknown_system(environment: Environment, machine: Container, system: str) -> None:
    release = "".join(f'{name}="{value}"\n' for name, value in SYSTEMS[system].items())
    version = SYSTEMS[system]["VERSION_ID"]
    rewrite = f"echo {version} >/etc/debian_version; cat >/usr/lib/os-release <<'END'\n{release}END"
    assert machine.exec_run(["sh", "-c", rewrite]).exit_code == 0
    reached = {"ansible_connection": "community.docker.docker", "ansible_host": machine.name, "ansible_become": False}
    environment.hosts = {"all": {"hosts": {STRANGER: reached}, "children": {"worker": {"hosts": {STRANGER: None}}}}}

    answer = environment.make("provision")

    answer.tells(f"{STRANGER} runs {system}", "use Debian 12 or later, or Ubuntu 24.04 or later")
    answer.changed_nothing_on(STRANGER)
    # What Ansible runs there, it puts for a moment into the user's home and /tmp
    newer = machine.exec_run(
        "find / -xdev ( -path /root -o -path /tmp ) -prune -o -type f -cnewer /usr/lib/os-release -print"
    )
    assert newer.exit_code == 0
    assert newer.output.decode() == ""


def test_a_host_that_cannot_be_reached(environment: Environment) -> None:
    environment.hosts["all"]["hosts"][HOST] |= CLOSED
    answer = environment.make("provision")
    answer.tells(f"unreachable: {HOST}", "port 9: Connection refused", "ansible_host, ansible_port or ansible_user")
    answer.changed_nothing_on(HOST)


def test_one_of_two_hosts_that_cannot_be_reached(environment: Environment) -> None:
    environment.hosts["all"]["hosts"][STRANGER] = CLOSED
    answer = environment.make("provision")
    answer.tells(f"unreachable: {STRANGER}", "port 9: Connection refused")
    answer.changed_nothing_on(HOST)
    # It got no further than to gather facts
    assert re.search(rf"^{HOST} +: ok=1 ", answer.output, re.MULTILINE)


@pytest.fixture
def other_postgresql(host: Host) -> Iterator[str]:
    """A trace of a PostgreSQL of another version."""
    host.check_output("mkdir /etc/postgresql/9.6")
    yield "9.6"
    host.check_output("rmdir /etc/postgresql/9.6")


def test_another_postgresql(environment: Environment, other_postgresql: str) -> None:
    answer = environment.make("provision")
    answer.tells(HOST, f"has PostgreSQL {other_postgresql}", "pg_upgradecluster", "pg_dropcluster")
    answer.changed_nothing_on(HOST)
