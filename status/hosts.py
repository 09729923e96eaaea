"""Units, failures, disks, updates, backups and releases of a host."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from deployer.commands import make_command
from status.report import Report, age, size

# For all hosts. What may hang there has less time in ansible/status.yml; this is for what nobody has thought of.
SECONDS = 60
RESTARTS = "docs/operations.md says what stops"
# Which nothing can restart but a reboot, or which take every session and service along.
BY_REBOOT = re.compile(r"(dbus|getty@|serial-getty@|user@|systemd-(logind|manager|user)\b)")
# A worker needs the server until its runs have ended: systemd stops these first, and starts them last.
FIRST = ("prefect-worker@", "prefect-server.")


class Looking:
    """The command that looks at the hosts, while it runs."""

    def __init__(self, file: Path, command: list[str]) -> None:
        """Start the command, which leaves what it saw in the file."""
        self._file = file
        file.unlink(missing_ok=True)  # of an earlier look
        self._process = subprocess.Popen(  # noqa: S603 - the Makefile's own
            command,
            env=os.environ | {"ANSIBLE_TIMEOUT": "4"},  # for a host that does not answer
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def seen(self) -> dict[str, dict[str, Any] | None] | None:
        """What it saw, by host; None if it could not look, or hangs."""
        # At the first signal it also ends what it has started
        for patience, ending in ((SECONDS, signal.SIGINT), (5, signal.SIGKILL)):
            try:
                self._process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                self._process.send_signal(ending)
        if not self._file.exists():
            return None
        hosts: dict[str, dict[str, Any] | None] = json.loads(self._file.read_text())
        return hosts


def tls_mode(seen: dict[str, dict[str, Any] | None]) -> str | None:
    """How the proxy gets its certificate, if one of these hosts knows."""
    modes = (host["tls_mode"] for host in seen.values() if host)
    return next(filter(None, modes), None)


def tell(report: Report, host: str, seen: dict[str, Any] | None) -> None:
    """Report what ansible/status.yml saw on a host; None if it could not look."""
    report.title(host)
    if seen is None:
        report.line("cannot be reached", f"{host} cannot be reached: {make_command('plan-provision')} says why")
        return
    report.line(f"{'UNIT':34} {'STATE':20} {'SINCE':>8} {'MEMORY':>7} {'RESTARTS':>9}")
    shown = set()
    for unit in units(seen["units"]):
        name, state = unit["Id"], f"{unit['ActiveState']} ({unit['SubState']})"
        shown.add(name)
        logs = make_command(f"logs UNIT={quote(name)}")
        wrong = None if unit["ActiveState"] == "active" else f"{name} is {state} on {host}: {logs}"
        figures = f"{age(since(unit)):>8} {size(unit.get('MemoryCurrent', '')):>7} {unit.get('NRestarts', '-'):>9}"
        report.line(f"{name:34} {state:20} {figures}", wrong)
    for name in (line.split()[0] for line in seen["failed"]):
        if name not in shown:
            logs = make_command(f"logs UNIT={quote(name)}")
            report.line(f"{name:34} failed", f"{name} has failed on {host}: {logs}")
    report.line("")
    for disk in disks(seen["disks"]):
        report.line(f"{disk.path:34} {disk.used} of {size(disk.size)} used, {disk.inodes} of its inodes")
    if seen["upgrade"]:
        upgrade = make_command("upgrade")
        report.line("upgrade: not ended", f"an upgrade of {host} has not ended; if none runs now: {upgrade}")
    updates(report, host, seen)
    for line in seen["backups"]:
        text = line.removeprefix("PROBLEM: ")
        report.line(text, f"{host}: {text} (docs/backup.md)" if text != line else None)
    if seen["own_key"]:
        key = f"{host} keeps the key of the blocks beside them, in the database and its backups: docs/upgrading.md"
        report.line("key of the blocks: in the database", due=key)
    if seen["releases"]:
        last, *before = seen["releases"]
        report.line(f"{'release':34} {last}; deployed before it: {', '.join(before) or 'none'}")


def updates(report: Report, host: str, seen: dict[str, Any]) -> None:
    """The reboot, or else the restarts, that installed updates wait for."""
    reboot = f"on the host, systemctl reboot; {RESTARTS}"
    if seen["reboot"]:
        packages = ", ".join(seen["reboot_packages"]) or "updates"
        report.line(f"{'reboot':34} due for {packages}", due=f"{host} needs a reboot: {reboot}")
        return
    if seen["outdated_late"]:
        report.line("old libraries: looking for them takes too long; tried again next time")
        return
    if seen["outdated"] is None:
        provision = make_command(f"provision LIMIT={quote(host)}")
        report.line(
            "old libraries: not looked for",
            due=f"services of {host} that run old libraries cannot be looked for: {provision}",
        )
        return
    prefix = "NEEDRESTART-SVC: "
    outdated = [line.removeprefix(prefix) for line in seen["outdated"] if line.startswith(prefix)]
    restarts = sorted(
        (name for name in outdated if not BY_REBOOT.match(name)),
        key=lambda name: (*(not name.startswith(start) for start in FIRST), name),
    )
    kept = [name for name in outdated if BY_REBOOT.match(name)]
    if restarts:
        names = " ".join(map(quote, restarts))
        restart = f"on the host, systemctl restart {names}; {RESTARTS}"
        report.line(f"{'old libraries':34} {names}", due=f"services of {host} run old libraries: {restart}")
    if kept:
        names = " ".join(kept)
        report.line(f"{'old libraries until a reboot':34} {names}", due=f"{host} runs old libraries: {reboot}")


def units(shown: str) -> Iterator[dict[str, str]]:
    """The properties of each unit that `systemctl show` shows."""
    for block in shown.split("\n\n"):
        yield dict(line.split("=", 1) for line in block.splitlines())


def since(unit: dict[str, str]) -> datetime | None:
    """When a unit came into its state."""
    entered = unit["ActiveEnterTimestamp" if unit["ActiveState"] == "active" else "InactiveEnterTimestamp"]
    return datetime.fromtimestamp(int(entered[1:]), UTC) if entered else None


class Disk(NamedTuple):
    """A line of `df`."""

    path: str
    size: str
    free: str
    used: str
    inodes: str


def disks(lines: list[str]) -> Iterator[Disk]:
    """Each disk once, by the first path that it is mounted at."""
    seen = set()
    for disk in (Disk(*line.split()) for line in lines[1:]):
        if (disk.size, disk.free) not in seen:
            seen.add((disk.size, disk.free))
            yield disk
