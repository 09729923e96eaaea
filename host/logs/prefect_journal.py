"""Prefect's log records in the journal, with what they belong to as fields: `journalctl PREFECT_FLOW_RUN_ID=…`.

Workers and their flows, which run in environments of their own, find this module by PYTHONPATH: standard library only.
"""

import errno
import fcntl
import logging
import os
import socket
import sys
from contextlib import nullcontext

SOCKET = "/run/systemd/journal/socket"
# Attributes that Prefect gives its records, and the journal's names for them.
ATTRIBUTES = {
    "flow_name": "PREFECT_FLOW",
    "flow_run_id": "PREFECT_FLOW_RUN_ID",
    "flow_run_name": "PREFECT_FLOW_RUN",
    "task_run_id": "PREFECT_TASK_RUN_ID",
    "task_run_name": "PREFECT_TASK_RUN",
}
# What a worker sets for the process of a run: true of all that is logged there, libraries included.
ENVIRONMENT = {
    "PREFECT__FLOW_NAME": "PREFECT_FLOW",
    "PREFECT__FLOW_RUN_ID": "PREFECT_FLOW_RUN_ID",
}
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


def entry(fields: dict[str, object]) -> bytes:
    """An entry in the journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL).

    Every value comes after its length, so that none can pass itself off as another field.
    """
    lines = b""
    for name, value in fields.items():
        data = str(value).encode(errors="backslashreplace")
        lines += name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
    return lines


class JournalHandler(logging.Handler):
    """Sends records to journald, which itself adds the unit, the user and the process."""

    def __init__(self, level: int = logging.NOTSET, address: str = SOCKET) -> None:
        super().__init__(level)
        self._address = address
        self._socket: socket.socket | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(entry(self._fields(record)))
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the socket, until the next record: uvicorn configures logging again, and closes handlers in use."""
        with self.lock or nullcontext():
            if self._socket:
                self._socket.close()
            self._socket = None
            super().close()

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        fields = {
            "MESSAGE": self.format(record),
            "PRIORITY": next((priority for level, priority in PRIORITIES if record.levelno >= level), 7),
            "SYSLOG_IDENTIFIER": "prefect",
            "LOGGER": record.name,
            "CODE_FILE": record.pathname,
            "CODE_LINE": record.lineno,
            "CODE_FUNC": record.funcName,
        }
        fields |= {field: os.environ[name] for name, field in ENVIRONMENT.items() if name in os.environ}
        if deployment := os.environ.get("PREFECT__DEPLOYMENT_NAME"):
            fields["PREFECT_DEPLOYMENT"] = f"{fields.get('PREFECT_FLOW')}/{deployment}"
        of_record = {field: getattr(record, name, None) for name, field in ATTRIBUTES.items()}
        return fields | {field: value for field, value in of_record.items() if value is not None}

    def _send(self, data: bytes) -> None:
        journal = self._socket = self._socket or socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            journal.sendto(data, self._address)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            self._send_as_file(journal, data)

    def _send_as_file(self, journal: socket.socket, data: bytes) -> None:
        """Send what is too long for a datagram as a sealed file in memory."""
        file = os.memfd_create("journal", os.MFD_ALLOW_SEALING)
        try:
            with open(file, "wb", closefd=False) as stream:
                stream.write(data)
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, SEALS)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, file.to_bytes(4, sys.byteorder))
            journal.sendmsg([], [rights], 0, self._address)
        finally:
            os.close(file)
