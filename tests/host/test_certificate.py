"""The certificate is renewed by itself, served at once, and a renewal that fails is heard of."""

import json
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from testinfra.host import Host
from waiting import until


def serial(domain: str, ca: Path) -> str:
    """The number of the certificate that clients see."""
    context = ssl.create_default_context(cafile=ca)
    with (
        socket.create_connection((domain, 8443 + int(os.environ["LAB_PORT_OFFSET"])), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=domain) as connection,
    ):
        return connection.getpeercert()["serialNumber"]


@pytest.fixture
def due(host: Host, domain: str) -> Iterator[None]:
    """The certificate is one that certbot's timer renews."""
    lineage = f"/etc/letsencrypt/renewal/{domain}.conf"
    host.check_output("sed --in-place '1i renew_before_expiry = 9999 days' %s", lineage)
    yield
    host.check_output("sed --in-place /^renew_before_expiry/d %s", lineage)


@pytest.mark.usefixtures("due")
def test_a_renewed_certificate_is_served_at_once(host: Host, domain: str, ca: Path) -> None:
    before = serial(domain, ca)
    host.check_output("systemctl start certbot")
    until(lambda: serial(domain, ca) != before, within=10, what="nginx serves the new certificate")


def test_a_certificate_that_ends_soon_would_be_told_of(host: Host) -> None:
    assert host.service("certificate-end.timer").is_running
    host.check_output("systemctl start certificate-end")
    assert "Certificate will not expire" in host.check_output("journalctl --unit certificate-end --output cat")
    told = host.check_output("systemctl show --property OnFailure --value certificate-end.service")
    assert told == "notify@certificate-end.service.service"


@pytest.fixture
def broken_renewal(host: Host, forget: Callable[[str], None]) -> Iterator[None]:
    """A certificate that certbot cannot renew."""
    host.check_output("touch /etc/letsencrypt/renewal/broken.conf")
    yield
    host.check_output("rm /etc/letsencrypt/renewal/broken.conf")
    forget("certbot.service")


@pytest.mark.usefixtures("broken_renewal")
def test_a_renewal_that_fails_is_heard_of(host: Host) -> None:
    def told() -> list[dict]:
        messages = json.loads(host.check_output("curl --silent --fail http://function:7071/notifications"))
        return [message for message in messages if message.get("title", "").startswith("certbot.service failed on ")]

    before = len(told())
    assert host.run("systemctl start certbot").rc == 1
    until(lambda: len(told()) > before, within=30, what="the failure is told of")
