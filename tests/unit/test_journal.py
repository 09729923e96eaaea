"""What workers and flows log reaches journald whole, in its native protocol, and Prefect's API as before."""

import array
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import prefect
import pytest
import yaml

from host.logs.prefect_journal import JournalHandler

LOGS = Path(__file__).parents[2] / "host/logs"


class Journald:
    """Takes entries as journald does."""

    def __init__(self, address: Path) -> None:
        self.address = str(address)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.address)
        self.socket.settimeout(30)

    def receive(self) -> dict[str, str]:
        """The fields of the next entry."""
        data, ancillary, *_ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(array.array("i", [0]).itemsize))
        if not data:
            file = array.array("i", ancillary[0][2])[0]
            data = os.pread(file, os.fstat(file).st_size, 0)
            os.close(file)
        fields = {}
        while data:
            name, data = data.split(b"\n", 1)
            size = int.from_bytes(data[:8], "little")
            fields[name.decode()] = data[8 : 8 + size].decode()
            assert data[8 + size : 9 + size] == b"\n"
            data = data[9 + size :]
        return fields


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    """A stand-in for journald."""
    journald = Journald(tmp_path / "socket")
    yield journald
    journald.socket.close()


@pytest.fixture
def logger(journald: Journald) -> Iterator[logging.Logger]:
    """A logger that writes to it."""
    handler = JournalHandler(address=journald.address)
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    yield logger
    handler.close()


def test_a_record_of_a_run_has_its_fields(
    logger: logging.Logger, journald: Journald, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "of the process")
    monkeypatch.setenv("PREFECT__FLOW_NAME", "shop")
    monkeypatch.setenv("PREFECT__DEPLOYMENT_NAME", "daily")
    logger.warning("%d rows", 7, extra={"flow_run_id": "of the record", "task_run_name": "load"})
    fields = journald.receive()
    assert fields["MESSAGE"] == "7 rows"
    assert fields["PRIORITY"] == "4"
    assert fields["LOGGER"] == "shop"
    assert fields["PREFECT_FLOW_RUN_ID"] == "of the record"
    assert fields["PREFECT_TASK_RUN"] == "load"
    assert fields["PREFECT_DEPLOYMENT"] == "shop/daily"
    logger.info("a library's")
    assert journald.receive()["PREFECT_FLOW_RUN_ID"] == "of the process"


def test_a_worker_of_no_run_has_none(logger: logging.Logger, journald: Journald) -> None:
    logger.info("polling")
    assert not [name for name in journald.receive() if name.startswith("PREFECT_")]


@pytest.mark.parametrize(
    "message",
    ["two\nlines", "\n\nPREFECT_FLOW_RUN_ID=forged\n", "ä€\0", "\udcff"],
    ids=["lines", "field", "text", "bytes"],
)
def test_any_message_arrives_as_one_entry(logger: logging.Logger, journald: Journald, message: str) -> None:
    logger.info(message)
    fields = journald.receive()
    assert fields["MESSAGE"] == message.encode(errors="backslashreplace").decode()
    assert "PREFECT_FLOW_RUN_ID" not in fields


def test_a_message_too_long_for_a_datagram_arrives(logger: logging.Logger, journald: Journald) -> None:
    logger.info("x" * 5_000_000)
    assert len(journald.receive()["MESSAGE"]) == 5_000_000


def test_an_error_has_its_traceback(logger: logging.Logger, journald: Journald) -> None:
    try:
        raise ValueError("no such table")
    except ValueError:
        logger.exception("failed")
    fields = journald.receive()
    assert fields["MESSAGE"].startswith("failed\nTraceback (most recent call last)")
    assert fields["PRIORITY"] == "3"


def test_a_handler_that_was_closed_goes_on(logger: logging.Logger, journald: Journald) -> None:
    logger.info("before")
    logger.handlers[0].close()
    logger.info("after")
    assert [journald.receive()["MESSAGE"], journald.receive()["MESSAGE"]] == ["before", "after"]


def test_a_journal_that_is_away_stops_nobody(
    logger: logging.Logger, journald: Journald, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(journald.address).unlink()
    logger.info("lost")
    assert "--- Logging error ---" in capsys.readouterr().err


def test_all_else_is_logged_as_prefect_does() -> None:
    """An upgrade that brings new loggers must bring them here too."""
    ours = yaml.safe_load((LOGS / "logging.yml").read_text())
    theirs = yaml.safe_load((Path(prefect.__file__).parent / "logging/logging.yml").read_text())
    to_the_journal = {"console": "journal", "debug": "journal"}
    for logger in [*theirs["loggers"].values(), theirs["root"]]:
        if "handlers" in logger:
            logger["handlers"] = [to_the_journal.get(handler, handler) for handler in logger["handlers"]]
    assert ours["loggers"] == theirs["loggers"]
    assert ours["root"] == theirs["root"]
    for name in ("api", "worker_api"):
        assert ours["handlers"][name] == theirs["handlers"][name] | {"formatter": "encodable"}
