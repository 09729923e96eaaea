"""Who may do what on the host, found out by trying."""

from collections.abc import Callable, Iterator

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

Inside = Callable[..., CommandResult]

DATABASE = "psql --no-psqlrc --no-password --tuples-only --no-align --host %s --dbname prefect --command 'SELECT 1'"
SOCKETS = "/var/run/postgresql"


@pytest.fixture(params=["in_server", "in_worker"])
def in_unit(request: pytest.FixtureRequest) -> Inside:
    """Run commands where the server runs, and where flows run."""
    return request.getfixturevalue(request.param)


def test_each_pool_has_a_user_of_its_own_without_a_shell(host: Host) -> None:
    units = host.check_output("systemctl list-units --plain --no-legend 'prefect-worker@*' prefect-server.service")
    names = [line.split()[0] for line in units.splitlines()]
    users = [host.check_output("systemctl show --property User --value %s", name) for name in names]
    assert len(names) >= 2
    assert len(set(users)) == len(users)
    for user in map(host.user, users):
        assert 0 < user.uid < 1000
        assert user.shell == "/usr/sbin/nologin"
        assert user.groups == [user.name]
        assert user.password in {"!", "!!", "*", "!*"}


def test_secrets_are_for_root_alone(host: Host, in_unit: Inside) -> None:
    files = host.check_output("find /etc/prefect -type f -printf '%p %u %m\\n'").splitlines()
    assert {line.split(" ", 1)[1] for line in files} == {"root 600"}
    for path in (line.split()[0] for line in files):
        assert "Permission denied" in in_unit("cat %s", path).stderr


@pytest.mark.parametrize(
    "folder",
    ["/opt/prefect", "/opt/prefect/flows/releases", "/opt/prefect/flows/envs", "/opt/prefect/envs", "/etc", "/usr"],
)
def test_neither_server_nor_flow_can_write_to_the_system(in_unit: Inside, folder: str) -> None:
    assert "Read-only file system" in in_unit("touch %s/written", folder).stderr


def test_only_root_can_change_what_the_platform_runs(host: Host) -> None:
    find = "find /opt/prefect -path '/opt/prefect/flows/*' -prune -o ! -type l ! -name .lock"
    assert host.check_output(find + " \\( ! -user root -o -perm /022 \\) -print") == ""


def test_only_who_deploys_can_change_releases_and_their_environments(host: Host) -> None:
    assert host.check_output("ls /opt/prefect/flows/releases")
    assert host.check_output("ls /opt/prefect/flows/envs")
    # A group of one, which a umask may let write
    others = "! -user prefect-deploy -o ! -group prefect-deploy -o -perm /002"
    # uv lets everybody wait for its locks, which hold nothing
    find = "find /opt/prefect/flows -mindepth 1 ! -type l ! -name '*.lock'"
    assert host.check_output(f"{find} \\( {others} \\)") == ""
    assert host.check_output("getent group prefect-deploy").endswith(":")


def test_a_flow_can_write_to_its_own_folder_and_see_no_other(in_worker: Inside, in_server: Inside) -> None:
    own, servers = "/var/lib/prefect-worker/default", "/var/lib/prefect-server"
    assert in_worker("sh -c 'touch %s/written && rm %s/written'", own, own).rc == 0
    assert "Permission denied" in in_worker("ls %s", servers).stderr
    assert "Permission denied" in in_server("ls %s", own).stderr


def test_a_unit_sees_its_own_processes_only(in_unit: Inside) -> None:
    assert set(in_unit("ps -e -o uid=").stdout.split()) == {in_unit("id --user").stdout.strip()}


def test_the_server_enters_its_database_without_a_password(in_server: Inside) -> None:
    assert in_server(DATABASE, SOCKETS).stdout == "1\n"


@pytest.mark.parametrize("user", ["prefect-worker-default", "prefect-server", "postgres"])
def test_the_user_of_a_pool_cannot_enter_the_database(host: Host, user: str) -> None:
    refused = host.run("runuser -u prefect-worker-default -- " + DATABASE + " --username %s", SOCKETS, user)
    assert refused.rc == 2
    assert "no pg_hba.conf entry" in refused.stderr or "Peer authentication failed" in refused.stderr


@pytest.mark.parametrize("path", ["/run/postgresql", "/run/dbus", "/run/systemd/private"])
def test_a_flow_cannot_reach_what_other_units_listen_on(in_worker: Inside, path: str) -> None:
    assert in_worker("ls --directory %s", path).rc == 0
    assert in_worker("sh -c 'ls %s/* || cat <>%s'", path, path).rc != 0


@pytest.mark.parametrize("folder", ["/dev/shm", "/dev/mqueue"])  # noqa: S108, the place is what is tested
def test_a_flow_shares_no_memory_and_no_queues(host: Host, in_worker: Inside, folder: str) -> None:
    assert in_worker("touch %s/written-by-a-flow", folder).rc == 0
    assert not host.file(f"{folder}/written-by-a-flow").exists
    assert in_worker("rm %s/written-by-a-flow", folder).rc == 0


def test_a_flow_shares_no_locks(in_worker: Inside) -> None:
    assert in_worker("touch /run/lock/written").rc != 0


@pytest.fixture
def metadata(host: Host) -> Iterator[str]:
    """The address at which a cloud hands out the credentials of a machine's role; nginx listens there too."""
    address = "169.254.169.254"
    host.check_output("ip address add %s/32 dev lo", address)
    yield address
    host.check_output("ip address del %s/32 dev lo", address)


@pytest.mark.parametrize("unit", ["prefect-worker@default", "prefect-server"])
def test_neither_server_nor_flow_gets_credentials_of_the_machine(host: Host, metadata: str, unit: str) -> None:
    denied = host.check_output("systemctl show --property IPAddressDeny --value %s", unit)
    assert set(denied.split()) == {"169.254.169.254/32", "fd00:ec2::254/128"}
    probe = f'timeout 5 bash -c "</dev/tcp/{metadata}/80"'
    host.check_output(f"systemd-run --quiet --wait --collect bash -c '{probe}'")
    # The unit's own setting, on a unit that fails, and is told of, only if it gets through
    deny = f"--property 'IPAddressDeny={denied}'"
    host.check_output(f"systemd-run --quiet --wait --collect {deny} bash -c '! {probe}'")


def test_nobody_enters_the_database_over_tcp(host: Host) -> None:
    refused = host.run("env PGPASSWORD=any " + DATABASE + " --username prefect-server", "127.0.0.1")
    assert refused.rc == 2
    assert "Connection refused" in refused.stderr
