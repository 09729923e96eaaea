"""A password or a key changes while runs are under way: none of them is lost, and what is old is refused in the end."""

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from breaking import SERVER, WORKER, began
from lab import Site
from load import Load
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import BlockDocumentCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from pydantic import SecretStr
from restoring import make, refused
from testinfra.host import Host

SECRETS = "/etc/prefect/server.env"
QUERY = "runuser -u postgres -- psql --no-psqlrc --no-align --tuples-only prefect --command"
OWN_KEY = "SELECT count(*) FROM configuration WHERE key = 'ENCRYPTION_KEY'"
REPOSITORY = "/var/lib/pgbackrest-2"


# What a shell, systemd, nginx and Ansible have a meaning for
SIGNS = "'\"\\\\`$(id)$$%h#;&|<>!*?~=,{}\\"

# As on any host; in the lab a worker that stops cancels after 30 s what still runs
PATIENT = {"prefect_worker_drain_seconds": 300}


@pytest.fixture(scope="module")
def new(host: Host, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A new password, of many signs, for a platform whose workers wait for their runs."""
    make("provision", settings=settings(tmp_path_factory.mktemp("patient")))
    return os.environ["PREFECT_API_AUTH_STRING"].split(":", 1)[1][::-1] + SIGNS


def settings(folder: Path, **values: object) -> Path:
    """A file of settings that come before those of the lab."""
    file = folder / "settings.yml"
    file.write_text(yaml.safe_dump(PATIENT | values))
    return file


def status(login: str) -> int:
    """What a login is answered."""
    return Site.of_environment().get("/api/admin/version", SecretStr(login)).status_code


def restarts(host: Host) -> str:
    """How often systemd has started a unit again by itself."""
    return host.check_output("systemctl show --property Id,NRestarts %s %s", SERVER, WORKER)


def test_a_new_password_says_what_becomes_of_the_one_before(host: Host, new: str, tmp_path: Path) -> None:
    said = refused("provision", settings=settings(tmp_path, prefect_server_password=new))
    assert "prefect_server_password is new to" in said
    assert new not in said


def test_a_new_password_loses_no_run(
    host: Host, client: SyncPrefectClient, load: Load, ended, healthy, new: str, tmp_path: Path, figures
) -> None:
    old = os.environ["PREFECT_API_AUTH_STRING"].split(":", 1)[1]
    both = settings(tmp_path, prefect_server_password=new, prefect_server_previous_password=old)
    before = restarts(host)
    with load.steady():
        going = load.trigger(seconds=90, holds=True)
        began(load, going)
        make("provision", settings=both)
        assert [status(f"admin:{password}") for password in (new, old, "x" * 16)] == [200, 200, 401]
    healthy()
    states = figures["states"] = ended()
    assert set(states) == {"Completed"}
    run = FlowRunFilter(id=FlowRunFilterId(any_=[going]))
    tasks = client.read_task_runs(flow_run_filter=run)
    assert sorted((task.name[:4], task.state.name) for task in tasks) == [
        ("beat", "Completed"),
        ("beat", "Completed"),
        ("hold", "Completed"),
    ]
    assert restarts(host) == before, "a unit has failed meanwhile"
    # Of the server's services, such as the one that acts for automations
    assert not host.run(f"journalctl --quiet --unit {SERVER} --grep 'service failed|not started'").stdout


def test_the_old_password_is_refused_in_the_end(host: Host, load: Load, new: str, tmp_path: Path) -> None:
    load.settle()
    old = os.environ["PREFECT_API_AUTH_STRING"].split(":", 1)[1]
    make("provision", settings=settings(tmp_path, prefect_server_password=new))
    try:
        assert [status(f"admin:{password}") for password in (new, old)] == [200, 401]
        assert re.search("changed=0 ", make("provision", settings=settings(tmp_path, prefect_server_password=new)))
    finally:
        make("provision", settings=settings(tmp_path, prefect_server_previous_password=""))
    assert [status(f"admin:{password}") for password in (new, old)] == [401, 200]


def test_blocks_take_the_key_of_the_vault(host: Host, client: SyncPrefectClient, tmp_path: Path) -> None:
    def value(name: str) -> str:
        return client.read_block_document_by_name(name, "secret", include_secrets=True).data["value"]

    kept = client.read_block_document_by_name("azure-function-key", "secret", include_secrets=True)
    assert host.check_output(f"{QUERY} %s", OWN_KEY) == "0"
    # As a host is whose settings have no key yet: Prefect makes one of its own, and keeps it beside the blocks
    host.check_output(f"sed -i.kept /ENCRYPTION_KEY/d {SECRETS}")
    host.check_output(f"sed -i '/ encryption$/d' /etc/systemd/system/{SERVER}.service")
    host.check_output(f"systemctl daemon-reload && systemctl restart {SERVER}")
    older = BlockDocumentCreate(
        name="of-an-older-host",
        data={"value": "swordfish"},
        block_type_id=kept.block_type_id,
        block_schema_id=kept.block_schema_id,
    )
    client.create_block_document(older)
    assert host.check_output(f"{QUERY} %s", OWN_KEY) == "1"
    make("provision", settings=settings(tmp_path))
    assert value("of-an-older-host") == "swordfish"
    assert value("azure-function-key") == kept.data["value"]
    assert host.check_output(f"{QUERY} %s", OWN_KEY) == "0"


def test_the_key_of_the_blocks_stays(tmp_path: Path) -> None:
    other = settings(tmp_path, prefect_server_encryption_key="A" * 43 + "=")
    assert "prefect_server_encryption_key differs from the key of" in refused("provision", settings=other)


def test_a_new_passphrase_needs_a_new_repository(host: Host, tmp_path: Path) -> None:
    passphrase = "another passphrase of the backups"
    said = refused("provision", settings=settings(tmp_path, backup_passphrase=passphrase))
    assert "uses the previous one: give the new passphrase a new path" in said
    repositories = [{"type": "posix", "path": REPOSITORY}]
    make("provision", settings=settings(tmp_path, backup_passphrase=passphrase, backup_repositories=repositories))
    info = json.loads(host.check_output("runuser -u postgres -- pgbackrest --stanza=prefect info --output=json"))
    assert [backup["type"] for backup in info[0]["backup"]] == ["full"]
    host.check_output("systemctl start pgbackrest-check")
    make("provision", settings=settings(tmp_path))
    info = json.loads(host.check_output("runuser -u postgres -- pgbackrest --stanza=prefect info --output=json"))
    assert info[0]["status"]["code"] == 0, "the backups from before the change can be read again"
