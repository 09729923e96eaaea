"""You can type every command that `make status` names, whatever it finds."""

import ast
import functools
import re
import runpy
import sys
from pathlib import Path
from typing import ClassVar
from unittest.mock import MagicMock

import httpx
import pytest
from commands import ROOT, foreign, unknown

import status.report
from status import certificate, hosts, server
from status.report import Report

CA = "/etc/ssl/certs/ca-certificates.crt"
URL = "https://prefect.test/api"
FAILED_UNIT = """\
Id={}
ActiveState=failed
SubState=failed
ActiveEnterTimestamp=
InactiveEnterTimestamp=@1700000000"""
WELL = {
    "units": FAILED_UNIT.format("nginx.service").replace("failed", "active").replace("Timestamp=\n", "Timestamp=@1\n"),
    "failed": [],
    "disks": [],
    "backups": [],
    "upgrade": False,
    "reboot": False,
    "reboot_packages": [],
    "outdated": [],
    "outdated_late": False,
    "releases": [],
    "tls_mode": "",
    "own_key": False,
}
UNITS = ("prefect-server.service", "prefect-worker@default.service", "postgresql@17-main.service", "certbot.timer")
OUTDATED = [f"NEEDRESTART-SVC: {name}" for name in ("prefect-worker@default.service", "nginx.service", "dbus.service")]
HOSTS = [
    None,
    *(WELL | {"units": FAILED_UNIT.format(unit)} for unit in UNITS),
    WELL | {"failed": ["pgbackrest-drill.service loaded failed failed Drill"]},
    WELL | {"backups": ["PROBLEM: archive: nothing yet"]},
    WELL | {"upgrade": True},
    WELL | {"own_key": True},
    WELL | {"reboot": True},
    WELL | {"outdated": None},
    WELL | {"outdated": OUTDATED},
]
ANSWERS = {
    "/admin/version": "3.9.1",
    "/ready": {"message": "OK"},
    "/variables/name/platform_restore_holds": {},
    "/work_pools/filter": [{"name": "default", "is_paused": False}],
    "/work_pools/default/workers/filter": [],
    "/flow_runs/count": 1,
    "/flow_runs/filter": [],
}


class Recorder(Report):
    """Keeps what is reported, and by which calls: `hosts.py:33`."""

    calls: ClassVar[set[str]] = set()
    told: ClassVar[list[str]] = []

    def line(self, text: str, wrong: str | None = None, due: str | None = None) -> None:
        super().line(text, wrong, due)
        if wrong or due:
            caller = sys._getframe(1)
            self.calls.add(f"{Path(caller.f_code.co_filename).name}:{caller.f_lineno}")
            self.told.append(wrong or due)


def findings() -> set[str]:
    """The calls that may report something."""
    return {
        f"{file.name}:{node.lineno}"
        for file in (ROOT / "status").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "line"
        if len(node.args) > 1 or node.keywords
    }


def look_at_servers(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answers, where everything waits, and some that do not."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=ANSWERS[request.url.path.removeprefix("/api")])

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    def hold_back(request: httpx.Request) -> httpx.Response:
        answer = {"detail": "Prefect is away: the disk is changed.", "held_back": True}
        return httpx.Response(503, json=answer, headers={"Prefect-Maintenance": "true"})

    def be_away(request: httpx.Request) -> httpx.Response:
        answer = {"detail": "Prefect is away: it restarts.", "held_back": False}
        return httpx.Response(503, json=answer, headers={"Prefect-Maintenance": "true"})

    client = httpx.Client
    for handler in (answer, refuse, hold_back, be_away):
        monkeypatch.setattr(httpx, "Client", functools.partial(client, transport=httpx.MockTransport(handler)))
        server.tell(report, URL, "a:b", CA)
    server.tell(report, URL, "a:b", "/nowhere/ca.pem")


def look_at_certificates(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has ended, in each mode, and a site that nobody serves."""
    ended = {"notAfter": "Jan  1 00:00:00 2020 GMT", "issuer": ((("commonName", "An authority"),),)}
    context = MagicMock()
    context.wrap_socket.return_value.__enter__.return_value.getpeercert.return_value = ended
    monkeypatch.setattr(certificate, "create_connection", MagicMock())
    monkeypatch.setattr(certificate.ssl, "create_default_context", lambda **_: context)
    for mode in ("letsencrypt", "self_signed", "provided", "off", None):
        certificate.tell(report, URL, certificate.look(URL, CA), mode)
    monkeypatch.setattr(certificate, "create_connection", MagicMock(side_effect=ConnectionRefusedError("refused")))
    certificate.tell(report, URL, certificate.look(URL, CA), "letsencrypt")


def run_status(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m status` of what was seen, of a server where nobody listens."""
    for name, value in {"URL": "http://127.0.0.1:9/api", "AUTH_STRING": "a:b", "SSL_CERT_FILE": CA}.items():
        monkeypatch.setenv(f"PREFECT_API_{name}", value)
    monkeypatch.setattr(sys, "argv", ["status", str(file), "true"])
    monkeypatch.setattr(status.report, "Report", Recorder)
    with pytest.raises(SystemExit):
        runpy.run_module("status", run_name="__main__")


@pytest.fixture
def screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """The output of `make status ENV=production` for all findings."""
    monkeypatch.setenv("ENV", "production")
    monkeypatch.setattr(Recorder, "calls", set())
    monkeypatch.setattr(Recorder, "told", [])
    report = Recorder()
    for seen in HOSTS:
        hosts.tell(report, "one", seen)
    with monkeypatch.context() as patch:
        look_at_servers(report, patch)
    with monkeypatch.context() as patch:
        look_at_certificates(report, patch)
    report.end()
    run_status(tmp_path / "nothing.json", monkeypatch)
    return capsys.readouterr().out


def test_every_finding_has_been_tried(screen: str) -> None:
    assert Recorder.calls == findings(), "give a new finding a case here"


def test_every_command_that_is_named_exists(screen: str) -> None:
    assert list(unknown(screen)) == []


def test_every_command_is_for_the_environment_that_was_looked_at(screen: str) -> None:
    assert foreign(screen, "production") == []


def test_a_certificate_is_renewed_as_its_mode_has_it(screen: str) -> None:
    ends = [line for line in screen.splitlines() if "ends in" in line]
    assert ["UNIT=certbot" in line for line in ends] == [True, False, False, False, False]
    assert ["make provision TAGS=proxy" in line for line in ends] == [False, True, True, False, False]


def test_who_holds_the_server_back_is_told_how_to_end_it(screen: str) -> None:
    [line] = [line for line in screen.splitlines() if "is held back" in line]
    assert line.endswith("(the disk is changed.): make maintenance OFF=1 ENV=production")
    assert "does not answer as it should (it restarts.): make logs UNIT=prefect-server ENV=production" in screen


def test_every_finding_names_what_to_do(screen: str) -> None:
    assert [line for line in Recorder.told if not re.search(r"make [a-z]|systemctl [a-z]|docs/", line)] == []
