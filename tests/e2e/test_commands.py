"""What an operator types tells what an operator wants to know."""

import os
import re
import subprocess
from collections.abc import Callable

import pytest
from lab import make
from prefect.client.schemas.objects import FlowRun
from testinfra.host import Host


def test_status_is_one_screen(finished: Callable[[str], FlowRun]) -> None:
    run = finished("db_dump/shop-postgres")
    status = make("status")
    for unit in ("prefect-server.service", "prefect-worker@default.service", "nginx.service", "certbot.timer"):
        assert re.search(rf"{re.escape(unit)} +active", status)
    assert re.search(r"Certificate: \d+ days left", status)
    assert re.search(r"^ +/ +\d+% of \S+ used, \d+% of its inodes$", status, re.MULTILINE)
    assert re.search(r"Pool default: workers online: \S+-default", status)
    assert re.search(r"Completed [1-9]", status)
    assert re.search(rf"{run.id}.*{run.name}.*COMPLETED", status)
    assert "SCHEDULED" not in status, "what is yet to come is no last run"
    assert status.endswith("\nAll is well.\n")
    assert len(status.splitlines()) <= 40
    assert max(map(len, status.splitlines())) <= 100


def test_status_fails_and_says_what_is_wrong(fail: Callable[[str], None]) -> None:
    failed_unit = "try-it.service"
    fail(failed_unit)
    with pytest.raises(subprocess.CalledProcessError) as failure:
        make("status")
    assert re.search(rf"Wrong:\n +{failed_unit} has failed on .*: make logs UNIT={failed_unit}", failure.value.stdout)


@pytest.mark.parametrize("unit", ["prefect-server", "prefect-worker@default"])
def test_logs_show_the_journal_of_a_unit(unit: str) -> None:
    assert re.search(rf" {os.environ['LAB_NAME']} prefect\[\d+\]: ", make("logs", f"UNIT={unit}"))


def test_env_is_what_the_stock_client_takes() -> None:
    exported = dict(re.findall(r"^export (\w+)='?([^'\n]*)'?$", make("-s", "env"), re.MULTILINE))
    assert {name: os.environ[name] for name in exported} == exported
    assert exported.keys() >= {"PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_API_SSL_CERT_FILE"}


def test_a_renewal_of_the_certificate_can_be_tried(host: Host) -> None:
    served = host.check_output("sh -c 'cat /etc/letsencrypt/live/*/cert.pem'")
    assert "the certificate of prefect.localhost can be renewed" in make("renew-dry-run")
    assert host.check_output("sh -c 'cat /etc/letsencrypt/live/*/cert.pem'") == served


def test_a_renewal_that_would_fail_says_why(host: Host) -> None:
    host.check_output("systemctl stop nginx")
    try:
        with pytest.raises(subprocess.CalledProcessError) as failure:
            make("renew-dry-run")
    finally:
        host.check_output("systemctl start nginx")
    [line] = [line for line in failure.value.stderr.splitlines() if line.startswith("failed: ")]
    assert "The certificate of prefect.localhost cannot be renewed: " in line
    assert "refused" in line
