"""A server that is none, goes away, or is busy: one line says so, and nothing is lost."""

import asyncio
import json
import os
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import ThreadingTCPServer
from threading import Event, Thread

import httpx
import pytest
from asking import ask
from prefect.concurrency.services import ConcurrencySlotAcquisitionWithLeaseService
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

import deployer.server.connection
import deployer.server.deploy_lock
from deployer.server.deploy_lock import LOST, LockStatus, deploy_lock, lock_status, release_lock
from deployer.server.kinds import Deployments


def test_a_server_that_goes_away_leaves_a_list_of_what_is_not_done(apply, plan, shop: str, monkeypatch) -> None:
    write = Deployments.write

    async def refuse(self, name, fields, current):
        if name.endswith("/daily"):
            raise httpx.ConnectError("All connection attempts failed")
        await write(self, name, fields, current)

    with monkeypatch.context() as patched:
        patched.setattr(Deployments, "write", refuse)
        code, _, errors = apply()
    assert code == 1
    assert "cannot be reached: All connection attempts failed" in errors[0]
    assert "run it again for the rest" in errors[1]
    assert f"  not done: create deployment {shop}/daily" in errors
    assert f"work pool {shop}" not in str(errors[1:])
    assert apply()[0] == 0
    assert plan() == {}


class Line(ThreadingTCPServer):
    """A line to the server that can be cut."""

    daemon_threads = True

    def __init__(self, server: str) -> None:
        url = httpx.URL(server)
        self.ends: list[socket.socket] = []
        super().__init__(("127.0.0.1", 0), self.carry)
        self.server, self.url = (url.host, url.port), str(url.copy_with(port=self.server_address[1]))
        Thread(target=self.serve_forever, args=[0.01], daemon=True).start()

    def carry(self, here: socket.socket, _address: tuple, _server: object) -> None:
        there = socket.create_connection(self.server)
        self.ends += [here, there]

        def copy(source: socket.socket, sink: socket.socket) -> None:
            with suppress(OSError):
                while data := source.recv(65536):
                    sink.sendall(data)
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

        back = Thread(target=copy, args=(there, here), daemon=True)
        back.start()
        copy(here, there)
        back.join()

    def cut(self) -> None:
        self.shutdown()
        self.server_close()
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def test_an_outage_midway_is_told_and_the_next_one_finishes(
    run, apply, plan, shop: str, settings, prefect_server, monkeypatch
) -> None:
    write, line = Deployments.write, Line(prefect_server.url)

    async def cut_before_the_second(self, name, fields, current):
        if name.endswith("/by-hand"):
            await write(self, name, fields, current)
            await asyncio.to_thread(line.cut)
        else:
            while line.fileno() != -1:
                await asyncio.sleep(0.01)
            await write(self, name, fields, current)

    cut_off = temporary_settings({PREFECT_API_URL: line.url, PREFECT_CLIENT_MAX_RETRIES: 0})
    with monkeypatch.context() as patched, cut_off:
        patched.setattr(Deployments, "write", cut_before_the_second)
        patched.setattr(ConcurrencySlotAcquisitionWithLeaseService, "_instances", {})  # they keep their first address
        code, lines, errors = run("apply", "--release", "r1")
    assert code == 1
    assert lines == [f"created   work pool {shop}", f"created   deployment {shop}-goodbye/by-hand"]
    assert errors[0].startswith(f"{line.url} cannot be reached: ")
    assert errors[1:] == [
        "2 of 3 changes were made, run it again for the rest:",
        f"  not done: create deployment {shop}/daily",
    ]
    ask("delete_global_concurrency_limit_by_name", deployer.server.deploy_lock.LIMIT)  # as if a minute had gone by
    assert apply()[:2] == (0, [f"created   deployment {shop}/daily"])
    assert plan() == {}


def test_a_lost_turn_ends_it_and_leaves_a_list_of_what_is_not_done(run, apply, plan, shop: str, monkeypatch) -> None:
    under_way = Event()

    async def hang(self, name, fields, current):
        under_way.set()
        await asyncio.Event().wait()

    def lose(client, lease_id, lease_duration, stop_event) -> bool:
        under_way.wait()
        raise httpx.ConnectError("All connection attempts failed")

    with monkeypatch.context() as patched:
        patched.setattr(Deployments, "write", hang)
        patched.setattr("prefect.concurrency._leases._renew_concurrency_lease_with_retries", lose)
        code, lines, errors = run("apply", "--release", "r1")
    assert (code, lines) == (1, [f"created   work pool {shop}"])
    assert errors[0] == LOST
    assert errors[1] == "1 of 3 changes were made, run it again for the rest:"
    assert sorted(errors[2:]) == [
        f"  not done: create deployment {shop}-goodbye/by-hand",
        f"  not done: create deployment {shop}/daily",
    ]
    ask("delete_global_concurrency_limit_by_name", deployer.server.deploy_lock.LIMIT)
    assert apply()[0] == 0
    assert plan() == {}


def test_two_at_the_same_time_take_turns(run, apply, shop: str, monkeypatch) -> None:
    apply()
    lease = ask(
        "increment_concurrency_slots_with_lease",
        names=[deployer.server.deploy_lock.LIMIT],
        slots=1,
        mode="concurrency",
        lease_duration=60,
    )
    with monkeypatch.context() as patched:
        patched.setattr("deployer.server.deploy_lock.WAIT", 0.1)
        code, lines, errors = apply("r2")
    assert (code, lines) == (1, [])
    assert "deploy lock is held for more than 0.1 s by another deployment: wait, then run it again" in errors[0]
    assert ask("read_deployment_by_name", f"{shop}/daily").version == "r1"
    ask("release_concurrency_slots_with_lease", lease_id=lease.json()["lease_id"])
    assert apply("r2")[0] == 0


def test_the_lock_names_its_holder_and_is_released(shop: str) -> None:
    async def statuses() -> list[LockStatus]:
        async with deployer.server.connection.connect() as client:
            free = await lock_status(client)
            async with deploy_lock(client):
                held = await lock_status(client)
                await release_lock(client)
                released = await lock_status(client)
            return [free, held, released, await lock_status(client)]

    free, held, *after = asyncio.run(statuses())
    assert not free.is_held
    assert held.is_held
    assert held.holder
    assert held.holder.process == os.getpid()
    assert not any(status.is_held for status in after)


def test_a_wrong_password_is_one_line(apply, shop, settings) -> None:
    with temporary_settings({PREFECT_API_AUTH_STRING: "admin:wrong-horse"}):
        code, summary, errors = apply()
    assert (code, summary) == (1, [])
    assert errors == [f"{settings[PREFECT_API_URL]} refused the password (401): correct PREFECT_API_AUTH_STRING"]
    with temporary_settings(restore_defaults=[PREFECT_API_AUTH_STRING]):
        assert "asks for a password: set PREFECT_API_AUTH_STRING" in apply()[2][0]


def test_a_server_that_is_none_is_one_line(apply, shop, settings, prefect_server) -> None:
    for url, reason in (
        ("http://127.0.0.1:9/api", "cannot be reached"),
        (prefect_server.url.removesuffix("/api"), "PREFECT_API_URL ends in /api"),
    ):
        with temporary_settings({PREFECT_API_URL: url}):
            code, summary, errors = apply()
        assert (code, summary, len(errors)) == (1, [], 1)
        assert reason in errors[0]
    with temporary_settings(restore_defaults=[PREFECT_API_URL]):
        assert apply()[2] == [
            "PREFECT_API_URL is not set: set it to the server's API, such as https://prefect.example.org/api"
        ]


def test_a_certificate_that_is_not_trusted_is_one_line(tmp_path: Path, apply, shop) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*made, *named, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        url = f"https://localhost:{server.server_port}/api"
        with temporary_settings({PREFECT_API_URL: url}):
            _, _, untrusted = apply()
        with temporary_settings({PREFECT_API_URL: url, PREFECT_API_SSL_CERT_FILE: str(certificate)}):
            _, _, trusted = apply()
        with temporary_settings({PREFECT_API_URL: url, PREFECT_API_SSL_CERT_FILE: str(tmp_path / "none.pem")}):
            _, _, missing = apply()
        server.shutdown()
    assert untrusted == [
        f"the certificate of {url} is not trusted: name its CA in prefect_api_ca of the inventory "
        "(without make: in PREFECT_API_SSL_CERT_FILE)"
    ]
    assert "certificate" not in trusted[0]
    assert missing == [
        f"the CA {tmp_path}/none.pem of {url} cannot be read (No such file or directory): name its CA in "
        "prefect_api_ca of the inventory (without make: in PREFECT_API_SSL_CERT_FILE)"
    ]


@pytest.fixture
def away() -> Iterator[Callable[..., str]]:
    """Start a server that gives these answers: Prefect's (True), or nginx's for a server that is away (False)."""
    servers = []

    def away(*answers: bool) -> str:
        following = iter(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                here = next(following)
                self.send_response(200 if here else 503)
                if not here:
                    self.send_header("Prefect-Maintenance", "true")
                    self.send_header("Retry-After", "0")
                self.end_headers()
                self.wfile.write(json.dumps("3.9.1" if here else {"detail": "Prefect is away: upgrade."}).encode())

            def log_message(self, *_: object) -> None:
                pass

        servers.append(server := HTTPServer(("127.0.0.1", 0), Handler))
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/api"

    yield away
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_command_does_not_begin_while_the_server_is_held_back(apply, shop: str, away) -> None:
    url = away(False)
    with temporary_settings({PREFECT_API_URL: url}):
        assert apply() == (1, [], [f"{url} is away: upgrade. Try again when `make status` finds it well"])


def test_a_command_says_once_that_it_waits_for_a_server_that_is_held_back(away, capsys) -> None:
    url = away(True, False, False, True)

    async def command() -> str:
        async with deployer.server.connection.connect() as client:
            return await client.api_version()

    with temporary_settings({PREFECT_API_URL: url}):
        assert asyncio.run(command()) == "3.9.1"
    assert capsys.readouterr().err.splitlines() == [f"{url} is away: waiting for it"]


def test_only_a_release_that_is_named_is_registered(run, shop) -> None:
    code, lines, [error] = run("apply")
    assert (code, lines) == (1, [])
    assert error.startswith("say which release, which the workers must have")


def test_a_wrong_option_does_not_end_as_changes_do(run, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        run("plan", "--purge")
    assert ended.value.code == 1
    assert "unrecognized arguments: --purge" in capsys.readouterr().err


def test_a_release_cannot_leave_its_folder(apply, shop) -> None:
    assert "cannot name a release" in apply("../x")[2][0]
