"""Only nginx and sshd can be reached from outside, over TLS with a certificate that holds."""

import os
import socket
import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest
from testinfra.host import Host

TIMED_OUT = 124


@pytest.fixture(scope="module")
def sockets(host: Host) -> set[tuple[int, str]]:
    """What listens on TCP: ports and addresses."""
    lines = host.check_output("ss --listening --tcp --numeric --no-header").splitlines()
    places = (line.split()[3].rpartition(":") for line in lines)
    return {(int(port), address.strip("[]").partition("%")[0].replace("*", "::")) for address, _, port in places}


def test_only_ssh_and_the_proxy_listen_on_outer_addresses(sockets: set[tuple[int, str]]) -> None:
    assert {port for port, address in sockets if not ip_address(address).is_loopback} == {22, 80, 443}


def test_the_server_listens_on_loopback(sockets: set[tuple[int, str]]) -> None:
    assert (4200, "127.0.0.1") in sockets


def test_postgresql_listens_on_no_address(host: Host, sockets: set[tuple[int, str]]) -> None:
    assert 5432 not in {port for port, _ in sockets}
    show = "runuser -u postgres -- psql --no-psqlrc --tuples-only --no-align --command 'SHOW listen_addresses'"
    assert host.check_output(show) == ""


@pytest.mark.parametrize(("port", "outcome"), [(22, 0), (80, 0), (443, 0), (4200, TIMED_OUT), (9, TIMED_OUT)])
def test_the_firewall_drops_what_is_not_let_in(host: Host, neighbour: Host, port: int, outcome: int) -> None:
    # Without the firewall, a port on which nothing listens refuses at once.
    address = host.check_output("hostname --all-ip-addresses").split()[0]
    assert neighbour.run(f"timeout 2 bash -c '</dev/tcp/{address}/{port}'").rc == outcome


def test_the_firewall_starts_from_drop(host: Host) -> None:
    assert "hook input priority filter; policy drop;" in host.check_output("nft list table inet prefect_filter")


def test_the_certificate_holds_from_the_control_machine(domain: str, ca: Path) -> None:
    port = 8443 + int(os.environ["LAB_PORT_OFFSET"])
    context = ssl.create_default_context(cafile=ca)
    with (
        socket.create_connection((domain, port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=domain) as connection,
    ):
        assert connection.version() == "TLSv1.3"
        assert ("DNS", domain) in connection.getpeercert()["subjectAltName"]


def test_the_certificate_holds_from_the_host(host: Host, domain: str, ca: Path) -> None:
    answer = host.run(
        "printf '%%s' %s | curl --silent --show-error --cacert /dev/stdin --resolve %s https://%s/api/health",
        ca.read_text(),
        f"{domain}:443:127.0.0.1",
        domain,
    )
    assert answer.stdout == "true", answer.stderr


def test_the_certificate_lasts_and_its_key_is_for_root_alone(host: Host, domain: str) -> None:
    live = f"/etc/letsencrypt/live/{domain}"
    assert host.run("openssl x509 -checkend %s -noout -in %s/fullchain.pem", str(30 * 86400), live).rc == 0
    assert host.check_output("stat --dereference --format '%%U %%a' %s/privkey.pem", live) == "root 600"
