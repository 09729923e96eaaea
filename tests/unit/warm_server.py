"""One Prefect server for all processes of a test run: the first that needs it starts it, and it ends with the last."""

import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter
from shared import folder, locked
from urllib3.util import Retry

# What the server's unit runs
PROGRAM = [Path(__file__).parents[2] / "host", "server"]
# Where people see what it holds
UI = "https://prefect.test"


@dataclass(frozen=True)
class Server:
    """A running Prefect server."""

    url: str
    auth: str
    process: int


@contextmanager
def shared_server(factory: pytest.TempPathFactory, name: str, *options: str, **settings: str) -> Iterator[Server]:
    """The server of this name, started with options and settings if it does not run yet."""
    home = folder(factory, name)
    running = home / "running.json"
    with (home / "users").open("w") as users:
        with locked(home / "turn"):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not running.exists():
                server = start(home, *options, **settings)
                running.write_text(json.dumps(asdict(server)))
                # It gets the lock when no user is left, also if they are killed.
                end = f"rm {running.name}; kill {server.process}"
                subprocess.Popen(["flock", "users", "sh", "-c", end], cwd=home, stdin=subprocess.DEVNULL)
        yield Server(**json.loads(running.read_text()))


def start(home: Path, *options: str, **settings: str) -> Server:
    """A server that answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    auth = "admin:correct-horse"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | {
        "PREFECT_HOME": str(home),
        # In memory it has one connection. With several, SQLite refuses writes that come at once (503), and Prefect's
        # client waits for seconds before it tries again.
        "PREFECT_API_DATABASE_CONNECTION_URL": "sqlite+aiosqlite:///:memory:",
        "PREFECT_SERVER_API_AUTH_STRING": auth,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_URL": UI,
        **settings,
    }
    command = [sys.executable, *PROGRAM, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "log").open("w") as log:
        process = subprocess.Popen([*command, *options], env=environment, stdout=log, stderr=subprocess.STDOUT)
    server = Server(f"http://127.0.0.1:{port}/api", auth, process.pid)
    try:
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=Retry(600, backoff_factor=0.1, backoff_max=0.2)))
            session.get(f"{server.url}/health", timeout=60).raise_for_status()
    except BaseException:
        process.kill()
        raise
    return server
