"""What Prometheus is given: on loopback, and all that the rules and the dashboard ask for."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from lab import Site
from prefect.client.schemas.objects import FlowRun
from testinfra.host import Host

MONITORING = Path(__file__).parents[2] / "monitoring"
PLACES = {
    "node": "http://127.0.0.1:9100/metrics",
    "postgresql": "http://127.0.0.1:9187/metrics",
    "nginx": "http://127.0.0.1:9113/metrics",
    "site": "http://127.0.0.1:9115/probe?module=prefect&target=https://{domain}/api/health",
    "prefect": "http://127.0.0.1:4200/api/metrics",
}


@pytest.fixture(scope="module")
def metrics(host: Host, site: Site, finished: Callable[[str], FlowRun]) -> dict[str, str]:
    """What each place exports, when a run has ended."""
    finished("db_dump/shop-postgres")
    login = "sed -n 's/^PREFECT_SERVER_API_AUTH_STRING=/user = /p' /etc/prefect/server.env"
    return {
        name: host.check_output(f"{login} | curl --silent --fail --config - %s", place.format(domain=site.domain))
        for name, place in PLACES.items()
    }


@pytest.fixture(scope="module")
def names(metrics: dict[str, str]) -> set[str]:
    """The names of all metrics."""
    return set(re.findall(r"^([a-z]\w*)[ {]", "\n".join(metrics.values()), re.MULTILINE))


def asked() -> set[str]:
    """The metrics that the rules and the dashboard ask for."""
    groups = yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"]
    expressions = [rule["expr"] for group in groups for rule in group["rules"]]
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    expressions += [target["expr"] for panel in panels for target in panel["targets"]]
    without_labels = re.sub(r"\{[^}]*\}|\b(by|on) \([^)]*\)", "", " ".join(expressions))
    return set(re.findall(r"\b[a-z]+_\w+\b(?! *\()", without_labels))


def test_all_that_is_asked_for_is_there(names: set[str]) -> None:
    wanted = asked()
    assert len(wanted) > 20
    assert not wanted - names


def test_the_site_answers_and_its_certificate_is_seen(metrics: dict[str, str]) -> None:
    assert "\nprobe_success 1\n" in metrics["site"]
    assert "\nprobe_ssl_earliest_cert_expiry " in metrics["site"]


def test_workers_and_runs_are_counted(metrics: dict[str, str]) -> None:
    assert re.search(r'^prefect_work_pool_workers\{.*pool="default".*\} 1$', metrics["postgresql"], re.MULTILINE)
    assert re.search(r'^prefect_flow_runs_count\{.*state="Completed".*\} \d+$', metrics["postgresql"], re.MULTILINE)


def test_the_exporter_sees_no_more_of_the_runs(host: Host) -> None:
    ask = "runuser --user prometheus -- psql --no-psqlrc --dbname prefect --command %s"
    assert host.run(ask, "SELECT count(id) FROM worker").rc == 0
    for secret in ("parameters FROM flow_run", "data FROM block_document", "value FROM variable"):
        assert "permission denied" in host.run(ask, f"SELECT {secret}").stderr
