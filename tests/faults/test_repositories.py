"""Backups outside the host: blob storage and SFTP take them, and bring the database back when the disk is lost."""

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
from restoring import ROOT, add_runs, make, options, runs
from testinfra.host import Host
from waiting import until

STORE = f"{os.environ['LAB_NAME']}-backups"
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
SFTP = {
    "type": "sftp",
    "path": "/srv/backups",
    "sftp-host": "127.0.0.1",
    "sftp-host-user": "backups",
    "sftp-host-key-hash-type": "sha256",
    "sftp-private-key-file": f"{SSH}/id_rsa",
}
BLOBS = f"""
import azure.storage.blob as blobs
endpoint = "https://127.0.0.1:10000/{ACCOUNT}"
blobs.BlobServiceClient(endpoint, credential="{KEY}", connection_verify=False).create_container("backups")
"""


@pytest.fixture(scope="module")
def blob_storage(host: Host) -> Iterator[Container]:
    """Azurite, over TLS as pgBackRest wants it, with a certificate of its own."""
    engine = docker.from_env()
    stand_in = engine.containers.get(f"{os.environ['LAB_NAME']}-azurite")
    for left in engine.containers.list(all=True, filters={"name": f"^{STORE}$"}):
        left.remove(force=True)
    request = f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN={STORE} -addext subjectAltName=DNS:{STORE}"
    serve = "/opt/azurite/node_modules/.bin/azurite-blob --skipApiVersionCheck --silent --blobHost 0.0.0.0"
    store = engine.containers.run(
        stand_in.image,
        ["sh", "-c", f"cd /tmp && {request} -keyout key -out cert && exec {serve} --cert cert --key key"],
        name=STORE,
        network=os.environ["LAB_NAME"],
        labels=stand_in.labels,
        detach=True,
    )
    try:
        create = ["/opt/python/env/bin/python", "-c", BLOBS]
        until(lambda: store.exec_run(create).exit_code == 0, within=60, what="Azurite has a container")
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
    host.check_output("userdel --remove backups")
    host.check_output("rm -r %s", SSH)


def provide(repositories: list[dict], folder: Path) -> Path:
    """Let the host have these repositories; returns the settings that say so."""
    settings = folder / "repositories.json"
    settings.write_text(json.dumps({"backup_repositories": repositories}))
    role = ["ansible", "database", *options(settings).split(), "--become", "--playbook-dir", "ansible"]
    role += ["-e", "@ansible/roles/postgresql/vars/main.yml", "--module-name", "ansible.builtin.include_role"]
    for arguments in ("name=backup", "name=backup tasks_from=first"):
        done = subprocess.run([*role, "--args", arguments], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return settings


@pytest.fixture(scope="module")
def settings(blob_storage, sftp_account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three repositories: on the host's disk, in blob storage, by SFTP. Afterwards there is the first one only."""
    folder = tmp_path_factory.mktemp("repositories")
    yield provide([LOCAL, AZURE, SFTP], folder)
    provide([LOCAL], folder)


def test_each_repository_can_be_restored(host: Host, settings: Path) -> None:
    make("backup", settings=settings)
    said = make("restore-drill", settings=settings)
    for number in (1, 2, 3):
        assert f"repository {number}: 20" in said
    assert "PROBLEM" not in said


def test_blob_storage_brings_back_what_was_on_a_lost_disk(
    client: SyncPrefectClient, host: Host, settings: Path
) -> None:
    for run in runs(client):
        client.delete_flow_run(run)
    add_runs(client, 5, Completed())
    before = runs(client)
    host.check_output("runuser -u postgres -- pgbackrest --stanza=prefect check")
    host.check_output("sh -c 'rm -r /var/lib/postgresql/*/main /var/lib/pgbackrest/* /srv/backups/*'")

    make("restore", settings=settings)

    assert runs(client) == before
    report = host.run("runuser -u postgres -- /usr/local/lib/prefect/backup-report")
    assert report.rc == 0, report.stdout


def test_nothing_is_readable_in_blob_storage(blob_storage: Container, settings: Path) -> None:
    def files_with(text: str) -> list[str]:
        return blob_storage.exec_run(f"grep --recursive --files-with-matches {text} /tmp").output.decode().splitlines()

    assert files_with("Salted__"), "as OpenSSL begins what it has encrypted"
    assert files_with("backrest-format") == [], "as pgBackRest's own files say"
