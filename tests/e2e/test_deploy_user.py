"""The user who deploys: flows get to the server by a key that opens nothing else, and by an administrator as before."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CalledProcessError
from zipfile import ZipFile

import pytest
import testinfra
import yaml
from lab import ROOT, make
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from test_deploy import write_project
from testinfra.host import Host

USER = "prefect-deploy"
PROJECT = "deployed_by_key"
DEPLOYMENT = "deployed-by-key/nightly"
RELEASES, ENVIRONMENTS = "/opt/prefect/flows/releases", "/opt/prefect/flows/envs"
HOME = "/var/lib/prefect-deploy"
LAB = ROOT / "ansible/inventories/lab"


@pytest.fixture(scope="module")
def inventory() -> Iterator[str]:
    """The lab's inventory, but for who signs in: as an argument of make."""
    folder = Path(os.environ["LAB_DIR"]) / "signs-in-as-deploy"
    shutil.copytree(LAB, folder, dirs_exist_ok=True)
    hosts = yaml.safe_load((folder / "hosts.yml").read_text())
    hosts["all"]["hosts"]["prefect-lab"]["ansible_user"] = USER
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    yield f"inventory={folder.relative_to(ROOT)}"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def project(clone: Path) -> Iterator[Path]:
    """A project of its own; the lab is left as it was."""
    try:
        yield write_project(clone / "flows", PROJECT)
    finally:
        make("deploy-flows", "PRUNE=1")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """What the key opens, with no sudo before each command."""
    ssh = Path(os.environ["LAB_DIR"]) / "ssh"
    return testinfra.get_host(
        f"ssh://{USER}@127.0.0.1:{2222 + int(os.environ['LAB_PORT_OFFSET'])}",
        ssh_identity_file=str(ssh / "id_ed25519"),
        ssh_extra_args=f"-o UserKnownHostsFile={ssh / 'known_hosts'}",
        controlpath=str(tmp_path_factory.mktemp("ssh") / "control"),
    )


def change(project: Path, line: str) -> None:
    """Another line at the end of the flow."""
    with (project / "flow.py").open("a") as flow:
        flow.write(f"{line}\n")


def test_a_changed_flow_gets_there_by_the_key_and_by_an_administrator_in_turn(
    inventory: str,
    clone: Path,
    project: Path,
    host: Host,
    client: SyncPrefectClient,
    start: Callable[..., FlowRun],
    finish: Callable[[FlowRun], FlowRun],
) -> None:
    releases = []
    for line, by_key in (
        ("# by an administrator", False),
        ("# by the key", True),
        ("# by an administrator again", False),
    ):
        change(project, line)
        if by_key:
            make("pack", clone=clone)
            make("deploy-flows", "PACKED=1", inventory, clone=clone)
        else:
            make("deploy-flows", clone=clone)
        release = client.read_deployment_by_name(DEPLOYMENT).version
        releases.append(release)
        assert host.file(f"{RELEASES}/{release}/{PROJECT}/flow.py").content_string.endswith(f"{line}\n")
        assert finish(start(DEPLOYMENT)).state.is_completed()
    assert len(set(releases)) == 3
    owned_by_others = f"find {RELEASES} {ENVIRONMENTS} ! -user {USER}"
    assert host.check_output(owned_by_others) == ""
    make("rollback", inventory)
    assert client.read_deployment_by_name(DEPLOYMENT).version == releases[1]


def test_a_package_that_is_missing_is_for_an_administrator(
    inventory: str, clone: Path, project: Path, host: Host
) -> None:
    package = "sl"
    assert not host.package(package).is_installed
    (project / "apt.txt").write_text(f"{package}\n")
    try:
        with pytest.raises(CalledProcessError) as refused:
            make("deploy-flows", inventory, clone=clone)
    finally:
        (project / "apt.txt").unlink()
    said = refused.value.stdout + refused.value.stderr
    assert f"lacks {package} of apt.txt" in said
    assert f"`sudo apt-get install --no-install-recommends {package}`" in said


def bring_wheel(project: Path) -> None:
    """A package that no index has, and whose lock names no place."""
    (project / "wheels").mkdir()
    wheel = project / "wheels/brought_along-1.0-py3-none-any.whl"
    info = "brought_along-1.0.dist-info"
    with ZipFile(wheel, "w") as archive:
        archive.writestr("brought_along.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: brought-along\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with (project / "requirements.txt").open("a") as lock:
        lock.write(f"brought-along==1.0 \\\n    --hash=sha256:{digest}\n")


def test_a_project_brings_a_wheel_that_no_index_has(
    clone: Path, project: Path, host: Host, start: Callable[..., FlowRun], finish: Callable[[FlowRun], FlowRun]
) -> None:
    before = {name: (project / name).read_bytes() for name in ("requirements.txt", "flow.py")}
    bring_wheel(project)
    change(project, "import brought_along  # noqa")
    try:
        make("deploy-flows", clone=clone)
        assert finish(start(DEPLOYMENT)).state.is_completed()
    finally:
        shutil.rmtree(project / "wheels")
        for name, content in before.items():
            (project / name).write_bytes(content)
    assert host.check_output(f"find {ENVIRONMENTS} -name brought_along.py")


@pytest.fixture
def provision(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Let these public keys in, and at the end those of the lab."""

    def provision(*keys: str) -> None:
        variables = tmp_path / "keys.json"
        variables.write_text(json.dumps({"prefect_worker_deploy_keys": keys}))
        make("provision", "TAGS=prefect_worker", f"ARGS=-e @{variables}")

    yield provision
    make("provision", "TAGS=prefect_worker")


def opens(key: Path) -> bool:
    """Whether a key alone signs in, over a connection of its own."""
    known = Path(os.environ["LAB_DIR"], "ssh/known_hosts")
    options = ["BatchMode=yes", "IdentitiesOnly=yes", "ControlPath=none", f"UserKnownHostsFile={known}"]
    port = str(2222 + int(os.environ["LAB_PORT_OFFSET"]))
    command = ["ssh", "-i", key, "-p", port, *(part for option in options for part in ("-o", option))]
    return subprocess.run([*command, f"{USER}@127.0.0.1", "true"], capture_output=True, check=False).returncode == 0


def test_a_new_key_takes_the_place_of_the_old(provision: Callable[..., None], tmp_path: Path) -> None:
    old, new = Path(os.environ["LAB_DIR"], "ssh/id_ed25519"), tmp_path / "new"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", new], check=True)
    public = [Path(f"{key}.pub").read_text().strip() for key in (old, new)]
    assert (opens(old), opens(new)) == (True, False)
    provision(*public)
    assert (opens(old), opens(new)) == (True, True)
    provision(public[1])
    assert (opens(old), opens(new)) == (False, True)


def test_the_key_opens_nothing_else(shell: Host) -> None:
    assert shell.check_output("id --user --name") == USER
    assert shell.check_output("id --groups --name") == USER
    assert shell.run("sudo --non-interactive true").rc != 0
    assert shell.run("su --command true </dev/null").rc != 0
    apart = ("/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", HOME, RELEASES, ENVIRONMENTS)  # noqa: S108
    prune = " -o ".join(f"-path {path}" for path in apart)
    writable = "! -type l ! -name '*.lock' -writable"  # uv lets everybody wait for its locks
    assert shell.run(f"find / \\( {prune} \\) -prune -o {writable} -print 2>/dev/null").stdout == ""


@pytest.mark.parametrize(
    "path", ["/etc/prefect", "/var/lib/prefect-worker/default", "/var/lib/prefect-server", "/etc/pgbackrest.conf"]
)
def test_the_key_reads_no_secret(shell: Host, path: str) -> None:
    assert shell.run("grep --recursive --quiet . %s", path).stderr.count("Permission denied") >= 1


def test_keys_of_its_own_open_nothing(shell: Host, host: Host) -> None:
    settings = host.check_output(f"sshd -T -C user={USER},host=localhost,addr=127.0.0.1").splitlines()
    assert {
        "authorizedkeysfile /etc/ssh/prefect-deploy.keys",
        "authenticationmethods publickey",
        "disableforwarding yes",
    } <= set(settings)
    assert shell.run("test -w /etc/ssh/prefect-deploy.keys").rc != 0
