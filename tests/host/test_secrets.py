"""No secret shows where people, tools and other users look."""

import json
import shlex
from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from testinfra.host import Host

# What a look shows, and something that must be there, or else nothing was seen.
LOOKS = {
    "units": ("sh -c 'cat /etc/systemd/system/prefect-* /etc/systemd/system/*.d/*'", "EnvironmentFile="),
    "properties of the units": ("systemctl show --all prefect-server prefect-worker@default nginx", "Environment="),
    "process list": ("ps axww -o args", "host server server start"),
    "journal": ("journalctl --quiet --all --no-pager --output cat", "prefect"),
    "log of nginx": ("sh -c 'cat /var/log/nginx/access.log'", "/api/"),
    "releases": ("grep -r --exclude-dir __pycache__ . /opt/prefect/flows/releases", "prefect"),
}

# All that a secret may have
SIGNS = "".join(map(chr, range(0x21, 0x7F)))


@pytest.mark.parametrize("look", LOOKS)
def test_no_secret_shows(host: Host, secrets: dict[str, SecretStr], look: str) -> None:
    command, expected = LOOKS[look]
    text = host.run(command).stdout
    assert expected in text
    shown = [name for name, secret in secrets.items() if secret.get_secret_value() in text]
    assert not shown


@pytest.fixture
def scratch(host: Host) -> Iterator[str]:
    """A folder on the host, for root alone."""
    folder = host.check_output("mktemp --directory")
    yield folder
    host.check_output("rm -r %s", folder)


def write(host: Host, file: str, text: str) -> None:
    """Write a file on the host."""
    host.check_output("sh -c %s", f"printf %s {shlex.quote(text)} > {file}")


def test_every_sign_reaches_a_unit(host: Host, scratch: str) -> None:
    write(host, f"{scratch}/signs.env", f"SIGNS={json.dumps(SIGNS)}\n")  # as the roles write it
    run = "systemd-run --quiet --wait --pipe --property=EnvironmentFile=%s printenv SIGNS"
    assert host.check_output(run, f"{scratch}/signs.env") == SIGNS


def test_every_sign_reaches_pgbackrest(host: Host, scratch: str) -> None:
    repository = f"[global]\nrepo1-path={scratch}\nlock-path={scratch}\nlog-level-file=off\n"
    repository += "repo1-cipher-type=aes-256-cbc\n"
    write(host, f"{scratch}/with.conf", f"{repository}repo1-cipher-pass={SIGNS}\n")  # as the role writes it
    write(host, f"{scratch}/without.conf", repository)
    command = "pgbackrest --config={}/{}.conf --stanza=prefect repo-{} archive/prefect/archive.info"
    host.check_output("sh -c %s", f"echo kept | {command.format(scratch, 'with', 'put')}")
    assert host.check_output("head --bytes 6 %s", f"{scratch}/archive/prefect/archive.info") == "Salted"
    read = f"env PGBACKREST_REPO1_CIPHER_PASS=%s {command.format(scratch, 'without', 'get')}"
    assert host.check_output(read, SIGNS) == "kept"
