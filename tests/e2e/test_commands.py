"""What an operator types tells what an operator wants to know."""

import os
import re
import subprocess
from collections.abc import Callable

import pytest
from lab import Site, make
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
    seen, _, _ = status.partition("\nDue, when it suits you:\n")  # a line there is a command to copy, however long
    assert max(map(len, seen.splitlines())) <= 100


def test_status_fails_and_says_what_is_wrong(fail: Callable[[str], None]) -> None:
    failed_unit = "try-it.service"
    fail(failed_unit)
    with pytest.raises(subprocess.CalledProcessError) as failure:
        make("status")
    wrong = rf"Wrong:\n +{failed_unit} has failed on .*: make logs UNIT={failed_unit} ENV=lab$"
    assert re.search(wrong, failure.value.stdout, re.MULTILINE)


def test_who_holds_the_server_back_is_told_how_to_end_it(site: Site) -> None:
    make("maintenance", "ON=1", "REASON=The disk is changed.")
    try:
        held_back = site.get("/api/health")
        with pytest.raises(subprocess.CalledProcessError) as status:
            make("status")
        with pytest.raises(subprocess.CalledProcessError) as run:
            make("run", "FLOW=db_dump/shop-postgres")
    finally:
        make("maintenance", "OFF=1")
    assert (held_back.status_code, held_back.headers["Prefect-Maintenance"]) == (503, "true")
    assert "is held back (The disk is changed.): make maintenance OFF=1 ENV=lab\n" in status.value.stdout
    assert "is away: The disk is changed. Try again when `make status ENV=lab`" in run.value.stderr
    assert site.get("/api/health").ok


def test_a_reboot_that_updates_ask_for_is_due(host: Host) -> None:
    host.check_output("sh -c 'touch /run/reboot-required; echo linux-image-amd64 > /run/reboot-required.pkgs'")
    try:
        status = make("status")
    finally:
        host.check_output("rm /run/reboot-required /run/reboot-required.pkgs")
    assert re.search(r"^\* reboot +due for linux-image-amd64$", status, re.MULTILINE)
    assert re.search(r"\nDue, when it suits you:\n  .* needs a reboot: on the host, systemctl reboot; ", status)


def test_a_service_whose_program_was_replaced_is_due(host: Host) -> None:
    unit, program = "try-it.service", "/usr/local/bin/try-it"
    host.check_output("cp /usr/bin/sleep %s", program)
    host.check_output("systemd-run --quiet --unit %s %s 600", unit, program)
    try:
        host.check_output("sh -c 'cp /usr/bin/sleep %s.new; mv %s.new %s'", program, program, program)
        status = make("status")
        assert host.check_output("systemctl is-active %s", unit) == "active", "needrestart only lists"
    finally:
        host.check_output("systemctl stop %s", unit)
        host.check_output("rm -f %s", program)
    assert re.search(rf"^\* old libraries .*\b{unit}\b", status, re.MULTILINE)
    assert re.search(rf"run old libraries: on the host, systemctl restart .*\b{unit}\b.*; docs/operations.md", status)


def test_installations_restart_nothing_and_ask_nothing(host: Host) -> None:
    settings = host.check_output("cat /etc/needrestart/conf.d/prefect.conf")
    assert "$nrconf{restart} = 'l';" in settings
    assert host.check_output("needrestart -b -r l -l").startswith("NEEDRESTART-VER: ")


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
