"""The server is killed, or starts without its database, or its proxy is reloaded, under a steady load."""

import os
import ssl
import time
from collections.abc import Iterator

import docker
import pytest
import requests
from breaking import SERVER, at_once, began, main_pid, restarted, status
from lab import Site, notifications, sent
from load import Load
from testinfra.host import Host
from waiting import until


def test_the_server_is_killed(host: Host, load: Load, ended, healthy, recovered, figures) -> None:
    with load.steady():
        going = load.trigger(seconds=30)
        began(load, going)
        before = main_pid(host, SERVER)
        moment = time.monotonic()
        host.check_output("kill -KILL %s", before)
        restarted(host, SERVER, before)
        figures["served again after s"] = round(time.monotonic() - moment, 1)
        figures["a new run completed after s"] = recovered()
    healthy()
    states = figures["states"] = ended()
    assert set(states) == {"Completed"}


def hangs() -> int:
    """How often somebody was notified that the server hung. Copies of the lab share the list of notifications."""
    title, result = f"{SERVER}.service failed on ", "Result: watchdog"
    return sum(item["title"].startswith(title) and item["message"].startswith(result) for item in notifications())


def test_the_server_hangs(host: Host, load: Load, ended, healthy, recovered, forget, figures) -> None:
    forget(f"{SERVER}.service")  # further failures within an hour are no news
    notified = hangs()
    with load.steady():
        going = load.trigger(seconds=30)
        began(load, going)
        _, usual = status()
        before = main_pid(host, SERVER)
        moment = time.monotonic()
        host.check_output("kill -STOP %s", before)
        said, figures["status answered after s"] = status()
        assert "does not answer as it should" in said
        assert at_once(figures["status answered after s"], usual)
        restarted(host, SERVER, before)
        figures["served again after s"] = round(time.monotonic() - moment, 1)
        figures["a new run completed after s"] = recovered()
    assert hangs() > notified, "nobody was notified"
    healthy()
    states = figures["states"] = ended()
    assert set(states) == {"Completed"}


def test_a_long_outage_is_no_death(host: Host, load: Load, ended, healthy, figures) -> None:
    silent = f"The worker {os.environ['LAB_ORIGINAL']}-default is silent"
    hour_ago = "UPDATE automation_bucket SET start = start - interval '1 hour', \"end\" = \"end\" - interval '1 hour'"
    with load.steady():
        going = load.trigger(seconds=60)
        began(load, going)
        host.check_output("systemctl stop %s", SERVER)
        # As if it had been away for that long
        host.check_output("runuser -u postgres -- psql --no-psqlrc --quiet --command %s prefect", hour_ago)
        before = sent(silent)
        host.check_output("systemctl start %s", SERVER)
        until(lambda: (state := load.state(going)) and state.is_final(), within=240, what="the run ends")
    healthy()
    assert sent(silent) == before
    states = figures["states"] = ended()
    assert set(states) == {"Completed"}


def test_the_server_starts_without_its_database(host: Host, load: Load, ended, healthy, recovered, figures) -> None:
    def starts() -> int:
        return int(host.check_output("systemctl show --property NRestarts --value %s", SERVER))

    cluster = host.check_output("pg_lsclusters --no-header").split()
    database = f"postgresql@{cluster[0]}-{cluster[1]}"
    with load.steady():
        going = load.trigger(seconds=30)
        began(load, going)
        host.check_output("systemctl stop %s", database)
        before = starts()
        host.check_output("kill -KILL %s", main_pid(host, SERVER))
        until(lambda: starts() >= before + 3, within=120, what="it has failed to start, more than once")
        moment = time.monotonic()
        host.check_output("systemctl start %s", database)
        recovered()
        figures["a new run completed after s"] = round(time.monotonic() - moment, 1)
    healthy()
    states = figures["states"] = ended()
    assert set(states) == {"Completed"}


@pytest.fixture
def acme(lab: str) -> Iterator[None]:
    """The ACME server, in this lab's network alone: it finds a host by its name, which the original has too."""
    original = os.environ["LAB_ORIGINAL"]
    networks = docker.from_env().networks
    server = f"{original}-acme"
    networks.get(original).disconnect(server)
    networks.get(lab).connect(server, aliases=["acme"])
    yield
    networks.get(lab).disconnect(server)
    networks.get(original).connect(server, aliases=["acme"])


def test_nginx_is_reloaded_and_the_certificate_renewed(host: Host, load: Load, acme, ended, healthy, figures) -> None:
    site = Site.of_environment()
    refused = load.refused

    def certificate() -> str:
        return ssl.get_server_certificate((site.domain, site.port))

    before = certificate()
    with load.steady():
        going = load.trigger(seconds=15)
        began(load, going)
        host.check_output("systemctl reload nginx")
        host.check_output("certbot renew --force-renewal --no-random-sleep-on-renew --quiet")
        until(lambda: certificate() != before, within=60, what="the new certificate is served")
    assert requests.get(f"{site.url}/api/health", verify=site.ca, timeout=30).ok
    assert load.refused == refused, "a call to the API failed meanwhile"
    healthy()
    states = figures["states"] = ended()
    assert set(states) == {"Completed"}
