"""What `make status` makes of what it saw."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from status import hosts
from status.report import NOW, Report, age, size

UNITS = """\
Id=prefect-server.service
ActiveState=active
SubState=running
ActiveEnterTimestamp=@1700000000
InactiveEnterTimestamp=
MemoryCurrent=314572800
NRestarts=2

Id=certbot.timer
ActiveState=failed
SubState=failed
ActiveEnterTimestamp=
InactiveEnterTimestamp=@1700000000"""
SEEN = {
    "units": UNITS,
    "failed": ["certbot.timer loaded failed failed Run certbot", "backup.service loaded failed failed Backup"],
    "disks": [
        "Mounted on 1B-blocks Avail Use% IUse%",
        "/ 1099511627776 549755813888 50% 7%",
        "/etc/hosts 1099511627776 549755813888 50% 7%",
    ],
    "backups": [f"repository 1: last backup 3 hours ago{', and more to say' * 5}", "PROBLEM: archive: nothing yet"],
    "upgrade": False,
    "reboot": False,
    "reboot_packages": [],
    "outdated": ["NEEDRESTART-VER: 3.11"],
    "outdated_late": False,
    "releases": ["c3", "b2", "a1"],
}


@pytest.fixture
def report() -> Report:
    """An empty one."""
    return Report()


def test_a_host_on_a_screen(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    hosts.tell(report, "one", SEEN)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    assert "300M         2" in text
    assert text.count("50% of 1.0T used, 7% of its inodes") == 1
    assert "c3; deployed before it: b2, a1" in text


def test_each_thing_that_is_wrong_is_said_once(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    hosts.tell(report, "one", SEEN)
    hosts.tell(report, "two", None)
    assert [wrong.split()[0] for wrong in report.wrong] == ["certbot.timer", "backup.service", "archive:", "two"]
    assert report.end() == 1
    assert "make logs UNIT=backup.service" in capsys.readouterr().out


def test_the_name_of_a_unit_can_be_typed(report: Report) -> None:
    name = r"systemd-fsck@dev-disk-by\x2duuid.service"
    hosts.tell(report, "one", SEEN | {"failed": [f"{name} loaded failed failed Check"]})
    assert report.wrong[1].endswith(f": make logs UNIT='{name}'")


def test_an_upgrade_that_has_not_ended_is_wrong(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    hosts.tell(report, "one", SEEN | {"failed": [], "backups": [], "upgrade": True})
    assert "make upgrade" in report.wrong[-1]
    assert "! upgrade: not ended" in capsys.readouterr().out


def due(report: Report, **seen: object) -> list[str]:
    """What is due on a host where this was seen."""
    hosts.tell(report, "one", SEEN | seen)
    return report.due


def test_a_reboot_is_due_and_does_the_restarts_too(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    [line] = due(
        report, reboot=True, reboot_packages=["linux-image-amd64"], outdated=["NEEDRESTART-SVC: nginx.service"]
    )
    assert line == "one needs a reboot: on the host, systemctl reboot; docs/operations.md says what stops"
    assert "* reboot                             due for linux-image-amd64\n" in capsys.readouterr().out


def test_a_reboot_without_a_reason_is_due(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    assert due(report, reboot=True)
    assert "due for updates\n" in capsys.readouterr().out


def test_services_with_old_libraries_are_due_workers_first(report: Report) -> None:
    names = ["dbus.service", "nginx.service", "postgresql@17-main.service", "prefect-server.service"]
    names += ["prefect-worker@default.service", "systemd-journald.service", "systemd-manager"]
    restart, reboot = due(report, outdated=["NEEDRESTART-VER: 3.11", *(f"NEEDRESTART-SVC: {name}" for name in names)])
    assert (
        "systemctl restart prefect-worker@default.service prefect-server.service nginx.service"
        " postgresql@17-main.service systemd-journald.service; "
    ) in restart
    assert "systemctl reboot" in reboot


def test_that_services_could_not_be_looked_at_is_due(report: Report) -> None:
    assert due(report, outdated=None, outdated_late=True) == []
    [line] = due(report, outdated=None)
    assert line.endswith("make provision LIMIT=one")


def test_what_is_due_is_told_before_the_verdict_and_fails_nothing(
    report: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    report.line("a reboot", due="one needs a reboot")
    assert report.end() == 0
    assert capsys.readouterr().out == ("* a reboot\n\nDue, when it suits you:\n  one needs a reboot\n\nAll is well.\n")


def test_all_is_well(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.end() == 0
    assert "All is well." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ago", "text"), [(3, "3 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (86400 * 3, "3 d"), (-5, "0 s")]
)
def test_ages(ago: int, text: str) -> None:
    assert age(NOW - timedelta(seconds=ago)) == text


@pytest.mark.parametrize(("number", "text"), [("0", "0B"), ("2048", "2K"), ("[not set]", "-"), (str(2**64 - 1), "-")])
def test_sizes(number: str, text: str) -> None:
    assert size(number) == text


def test_what_ansible_could_not_look_at_is_no_earlier_look(tmp_path: Path) -> None:
    nobody = {
        "URL": "http://127.0.0.1:9/api",
        "AUTH_STRING": "a:b",
        "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
    }
    environment = os.environ | {f"PREFECT_API_{name}": value for name, value in nobody.items()}
    command = [sys.executable, "-m", "status", tmp_path / "status.json"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "Ansible could not look at the hosts: make provision" in done.stdout
