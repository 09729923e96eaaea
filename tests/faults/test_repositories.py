"""Backups outside the host: Azure, S3 and SFTP take them, and bring the database back when the disk is lost."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from prefect.client.orchestration import SyncPrefectClient
from prefect.states import Completed
from programs import BACKUP_REPORT
from restoring import ROOT, add_runs, failed, make, options, refused, runs
from testinfra.host import Host
from waiting import until

STORE = "backups"
# Azurite's well-known account
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
CERTIFICATE = "/etc/ssl/certs/backups-test.pem"
SSH = "/var/lib/postgresql/.ssh"
LOCAL = {"type": "posix", "path": "/var/lib/pgbackrest"}
AZURE = {
    "type": "azure",
    "path": "/prefect",
    "azure-account": ACCOUNT,
    "azure-container": "backups",
    "azure-key": KEY,
    "azure-uri-style": "path",
    "storage-host": STORE,
    "storage-port": 10000,
    "storage-ca-file": CERTIFICATE,
}
S3 = {
    "type": "s3",
    "path": "/prefect",
    "s3-bucket": "backups",
    "s3-endpoint": STORE,
    "s3-region": "us-east-1",
    "s3-key": "key",
    "s3-key-secret": "secret",
    "s3-uri-style": "path",
    "storage-host": STORE,
    "storage-port": 5000,
    "storage-ca-file": CERTIFICATE,
}
SFTP = {
    "type": "sftp",
    "path": "/srv/backups",
    "sftp-host": "127.0.0.1",
    "sftp-host-user": "backups",
    "sftp-host-key-hash-type": "sha256",
    "sftp-private-key-file": f"{SSH}/id_rsa",
}
# Azurite and moto, over TLS as pgBackRest wants it
SERVE = f"""cd /tmp
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN={STORE} -addext subjectAltName=DNS:{STORE} -keyout key -out cert
/opt/python/env/bin/python -c '
import uvicorn
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
s3 = DomainDispatcherApplication(create_backend_app)
uvicorn.run(s3, interface="wsgi", host="0.0.0.0", port=5000, ssl_certfile="cert", ssl_keyfile="key")
' &
exec /opt/azurite/node_modules/.bin/azurite-blob --skipApiVersionCheck --silent --blobHost 0.0.0.0 --cert cert --key key
"""
CREATE = f"""
import boto3, azure.storage.blob
azure = azure.storage.blob.BlobServiceClient(
    "https://127.0.0.1:10000/{ACCOUNT}", credential="{KEY}", connection_verify=False
)
s3 = boto3.client(
    "s3", "us-east-1", endpoint_url="https://127.0.0.1:5000", verify=False,
    aws_access_key_id="key", aws_secret_access_key="secret",
)
s3.create_bucket(Bucket="backups")
azure.create_container("backups")
"""


@pytest.fixture(scope="module")
def object_stores(lab: str, host: Host, container: Container) -> Iterator[Container]:
    """Stand-ins for Azure and S3 on a machine of their own, with a certificate that the host knows."""
    engine = docker.from_env()
    for left in engine.containers.list(all=True, filters={"name": f"^{lab}-backups$"}):
        left.remove(force=True)
    store = engine.containers.run(
        engine.containers.get(f"{os.environ['LAB_ORIGINAL']}-azurite").image,
        ["sh", "-c", SERVE],
        name=f"{lab}-backups",
        network=lab,
        networking_config={lab: engine.api.create_endpoint_config(aliases=[STORE])},
        labels=container.labels,
        detach=True,
    )
    try:
        create = ["/opt/python/env/bin/python", "-c", CREATE]
        until(lambda: store.exec_run(create).exit_code == 0, within=120, what="both stores have a place for backups")
        host.run_expect([0], f"cat >{CERTIFICATE} <<'END'\n{store.exec_run('cat /tmp/cert').output.decode()}END")
        yield store
    finally:
        store.remove(force=True)
        host.check_output("rm -f %s", CERTIFICATE)


@pytest.fixture(scope="module")
def sftp_account(host: Host) -> Iterator[None]:
    """An account that may sign in with a key of the operator's making."""
    host.check_output("useradd --system --create-home --home-dir /srv/backups --shell /bin/sh backups")
    host.check_output("install -d -m 700 -o postgres -g postgres %s", SSH)
    host.check_output("runuser -u postgres -- ssh-keygen -q -m PEM -t rsa -b 4096 -N '' -f %s/id_rsa", SSH)
    host.check_output("runuser -u postgres -- sh -c 'ssh-keyscan 127.0.0.1 >%s/known_hosts'" % SSH)  # noqa: UP031 - no quotes
    host.check_output("install -D -o backups -m 600 %s/id_rsa.pub /srv/backups/.ssh/authorized_keys", SSH)
    host.check_output("chown --recursive backups: /srv/backups")
    yield
    host.run("pkill -KILL -u backups")  # sessions of pgBackRest that are kept open
    host.check_output("userdel --force --remove backups")
    host.check_output("rm -r %s", SSH)


def provide(repositories: list[dict], folder: Path) -> Path:
    """Let the host have these repositories; returns the settings that say so."""
    settings = folder / "repositories.json"
    settings.write_text(json.dumps({"backup_repositories": repositories}))
    ansible = ["ansible", "database", *options(settings).split(), "--become", "--playbook-dir", "ansible"]
    ansible.append("--module-name")
    role = [*ansible, "ansible.builtin.include_role", "--args"]
    facts = os.environ | {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(folder)}
    for command in (
        [*ansible, "ansible.builtin.setup"],
        [*role, "name=backup"],
        [*role, "name=backup tasks_from=first"],
    ):
        done = subprocess.run(command, cwd=ROOT, env=facts, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return settings


@pytest.fixture(scope="module")
def settings(object_stores, sftp_account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Four repositories. Afterwards there is the one on the host's own disk only."""
    folder = tmp_path_factory.mktemp("repositories")
    yield provide([LOCAL, AZURE, S3, SFTP], folder)
    provide([LOCAL], folder)


def test_each_repository_can_be_restored(host: Host, settings: Path) -> None:
    make("backup", settings=settings)
    said = make("restore-drill", settings=settings)
    for number in (1, 2, 3, 4):
        assert f"repository {number}: 20" in said
    assert "PROBLEM" not in said


def backups(host: Host) -> dict[int, set[str]]:
    """The backups of each repository that can be looked at."""
    [stanza] = json.loads(host.check_output("runuser -u postgres -- pgbackrest --stanza=prefect info --output=json"))
    labels = {repository["key"]: set() for repository in stanza["repo"]}
    for backup in stanza["backup"]:
        labels[backup["database"]["repo-key"]].add(backup["label"])
    return labels


@pytest.fixture
def away(host: Host, settings: Path) -> Iterator[int]:
    """A repository that lets nobody in; afterwards it does again."""
    host.check_output("mv /srv/backups/.ssh /srv/backups/.ssh-hidden")
    yield 4
    host.check_output("mv /srv/backups/.ssh-hidden /srv/backups/.ssh")
    make("backup", settings=settings)
    host.check_output("systemctl start pgbackrest-check")


def test_one_that_is_away_keeps_no_backup_from_the_others(host: Host, settings: Path, away: int) -> None:
    before = backups(host)
    assert f"no backup in repository {away} (" in refused("backup", settings=settings)
    after = backups(host)
    assert [number for number in before if after[number] > before[number]] == [1, 2, 3]
    assert f"repository {away} cannot be used: " in failed("status", settings=settings)

    provide([LOCAL, AZURE, S3, SFTP], settings.parent)
    assert backups(host) == after


def as_good_as_new(host: Host) -> None:
    """A host on which nothing is left of the database, of its backups, and of how to reach them."""
    host.check_output("systemctl stop prefect-worker@default prefect-server")
    host.check_output(
        "sh -c 'v=$(ls /etc/postgresql); pg_dropcluster --stop $v main && pg_createcluster --start $v main'"
    )
    host.check_output("sh -c 'rm -r /etc/pgbackrest* /var/lib/pgbackrest /var/spool/pgbackrest /srv/backups/*'")


def test_what_is_outside_brings_the_database_onto_a_new_host(
    client: SyncPrefectClient, host: Host, settings: Path
) -> None:
    for run in runs(client):
        client.delete_flow_run(run)
    add_runs(client, 5, Completed())
    before = runs(client)
    host.check_output("runuser -u postgres -- pgbackrest --stanza=prefect check")
    as_good_as_new(host)

    assert "nothing is backed up, as the repositories hold the backups of another database" in make(
        "provision", settings=settings
    )
    assert runs(client) == {}
    make("restore", settings=settings)

    assert runs(client) == before
    report = host.run(BACKUP_REPORT)
    assert report.rc == 0, report.stdout


def test_nothing_outside_is_readable(object_stores: Container, settings: Path) -> None:
    def files_with(text: str) -> list[str]:
        found = object_stores.exec_run(f"grep --recursive --files-with-matches {text} /tmp")
        return found.output.decode().splitlines()

    assert files_with("Salted__"), "as OpenSSL begins what it has encrypted"
    assert files_with("backrest-format") == [], "as pgBackRest's own files say"
