"""What `make status` makes of what it saw."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from waiting import until

from status import hosts, server
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
    "backups": [f"repository 1: last backup 3 h ago{', and more to say' * 5}", "PROBLEM: archive: nothing yet"],
    "upgrade": False,
    "reboot": False,
    "reboot_packages": [],
    "outdated": ["NEEDRESTART-VER: 3.11"],
    "outdated_late": False,
    "releases": ["c3", "b2", "a1"],
    "tls_mode": "",
    "own_key": False,
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
    assert [wrong.split()[0] for wrong in report.wrong] == ["certbot.timer", "backup.service", "one:", "two"]
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


def test_a_key_of_the_blocks_in_the_database_is_due(report: Report) -> None:
    [line] = due(report, own_key=True)
    assert line == "one keeps the key of the blocks beside them, in the database and its backups: docs/upgrading.md"


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


def status(file: Path, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """`python -m status`, of a server where nobody listens if the settings do not say otherwise."""
    nobody = {
        "URL": "http://127.0.0.1:9/api",
        "AUTH_STRING": "a:b",
        "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
    }
    environment = os.environ | {f"PREFECT_API_{name}": value for name, value in (nobody | settings).items()}
    return subprocess.run(
        [sys.executable, "-m", "status", file, *command],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_ansible_could_not_look_at_is_no_earlier_look(tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    file.write_text(json.dumps({"of-before": SEEN}))
    done = status(file, "false")
    assert (done.returncode, done.stderr) == (1, "")
    assert "Ansible could not look at the hosts: make plan-provision" in done.stdout
    assert "of-before" not in done.stdout


def test_hosts_come_before_the_platform(tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    seen = json.dumps({"one": SEEN})
    done = status(file, "sh", "-c", f"sleep 1; printf '%s' '{seen}' >{file}")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.index("\none\n") < done.stdout.index("\nPlatform\n") < done.stdout.index("! Server: ")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/api", "https://localhost:9/api"])
def test_a_ca_that_is_gone_is_told_in_one_line(tmp_path: Path, url: str) -> None:
    done = status(tmp_path / "status.json", "true", URL=url, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
    assert (done.returncode, done.stderr) == (1, "")
    [line] = [line for line in done.stdout.splitlines() if line.startswith(f"  {tmp_path}/ca.pem")]
    assert "cannot be read (No such file or directory): make provision TAGS=proxy" in line


def test_hosts_and_server_are_asked_at_the_same_time(tmp_path: Path) -> None:
    """Each of them waits for the other."""
    file, asked, began = (tmp_path / name for name in ("status.json", "asked", "began"))

    class Waiting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.touch()
            until(began.exists, within=60, what="the hosts are looked at")
            self.send_error(500)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    look = f"touch {began}; until [ -e {asked} ]; do sleep 0.1; done; echo '{{}}' >{file}"
    with serving(Waiting) as url:
        said = status(file, "sh", "-c", look, URL=url).stdout
    assert "500 Internal Server Error" in said
    assert "Ansible could not look" not in said


def test_hosts_that_hang_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "SECONDS", 0.1)
    assert hosts.Looking(tmp_path / "status.json", ["sleep", "600"]).seen() is None


def test_a_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, report: Report) -> None:
    monkeypatch.setattr(server, "SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
        server.tell(report, url, "a:b", "/etc/ssl/certs/ca-certificates.crt")
    assert "does not answer as it should (timed out): make logs UNIT=prefect-server" in report.wrong[0]


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server that answers so."""
    with HTTPServer(("127.0.0.1", 0), handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/api"
        listening.shutdown()


def test_all_questions_share_one_patience(monkeypatch: pytest.MonkeyPatch, report: Report) -> None:
    """Each answer comes in time, and all of them together would take too long."""

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(0.5)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"message": "OK"}')

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    monkeypatch.setattr(server, "SECONDS", 1.2)
    with serving(Slow) as url:
        server.tell(report, url, "a:b", "/etc/ssl/certs/ca-certificates.crt")
    assert "timed out" in report.wrong[-1]
