"""No secret shows where people, tools and other users look."""

import pytest
from pydantic import SecretStr
from testinfra.host import Host

# What a look shows, and something that must be there, or else nothing was seen.
LOOKS = {
    "units": ("sh -c 'cat /etc/systemd/system/prefect-* /etc/systemd/system/*.d/*'", "EnvironmentFile="),
    "properties of the units": ("systemctl show --all prefect-server prefect-worker@default nginx", "Environment="),
    "process list": ("ps axww -o args", "prefect_server.py server start"),
    "journal": ("journalctl --quiet --all --no-pager --output cat", "prefect"),
    "log of nginx": ("sh -c 'cat /var/log/nginx/access.log'", "/api/"),
    "releases": ("grep -r --exclude-dir __pycache__ . /opt/prefect/flows/releases", "prefect"),
}


@pytest.mark.parametrize("look", LOOKS)
def test_no_secret_shows(host: Host, secrets: dict[str, SecretStr], look: str) -> None:
    command, expected = LOOKS[look]
    text = host.run(command).stdout
    assert expected in text
    shown = [name for name, secret in secrets.items() if secret.get_secret_value() in text]
    assert not shown
