"""nginx accepts the site in every variant, and treats requests as Prefect and its users need it."""

import base64
import contextlib
import gzip
import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIWebSocketRoute
from given import DOMAIN, LOCAL_PORT, LOGIN, PREVIOUS_LOGIN, UPSTREAM_PORTS, VARIANTS
from prefect.server.api.server import API_ROUTERS
from proxy import AWAY, LISTENING, Proxy, upstream
from waiting import until

SOCKETS = [route.path for router in API_ROUTERS for route in router.routes if isinstance(route, APIWebSocketRoute)]


@pytest.fixture(scope="session")
def upstreams() -> Iterator[None]:
    """Two stand-ins for Prefect."""
    with contextlib.ExitStack() as stack:
        for port in LISTENING.values():
            stack.enter_context(upstream(port))
        yield


@pytest.fixture(scope="session")
def start(
    rendered: dict, upstreams: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Proxy]]:
    """Starts the proxy of a variant, once."""
    running: dict[str, Proxy] = {}
    with contextlib.ExitStack() as stack:

        def start(variant: str) -> Proxy:
            if variant not in running:
                site = Proxy.of(tmp_path_factory.mktemp(variant), rendered[variant])
                running[variant] = stack.enter_context(site.run())
            return running[variant]

        yield start


@pytest.fixture
def proxy(start: Callable[[str], Proxy]) -> Proxy:
    """The proxy with its defaults."""
    return start("letsencrypt")


@pytest.mark.parametrize("variant", VARIANTS)
def test_nginx_accepts_the_site(rendered: dict, tmp_path: Path, variant: str) -> None:
    checked = Proxy.of(tmp_path, rendered[variant]).check()
    assert checked.returncode == 0, checked.stderr
    assert all('"listen ... http2" directive' in line for line in checked.stderr.splitlines() if "[warn]" in line)


@pytest.mark.parametrize(
    ("variant", "path"),
    [
        ("letsencrypt", f"/etc/letsencrypt/live/{DOMAIN}/fullchain.pem"),
        ("before-the-first-certificate", f"/etc/nginx/tls/self-signed-{DOMAIN}.pem"),
        ("self-signed", f"/etc/nginx/tls/self-signed-{DOMAIN}.pem"),
        ("provided", "/etc/nginx/tls/provided.pem"),
    ],
)
def test_each_mode_has_its_certificate(rendered: dict, variant: str, path: str) -> None:
    assert f"ssl_certificate {path};" in rendered[variant]["nginx/prefect.conf"]


def test_ipv6_is_listened_to_where_there_is_some(rendered: dict) -> None:
    assert "listen [::]:443" in rendered["ipv6"]["nginx/prefect.conf"]
    assert "[::]" not in rendered["letsencrypt"]["nginx/prefect.conf"]


def test_a_certificate_that_ends_soon_makes_the_check_fail(proxy: Proxy, rendered: dict) -> None:
    unit = rendered["letsencrypt"]["systemd/certificate-end.service"]
    [check] = re.findall(r"^ExecStart=/bin/sh -c '(.*)'$", unit, re.MULTILINE)
    check = check.replace(":443", f":{proxy.ports['443']}")

    def ends(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=False)

    soon = ends(check)  # it lasts for a day
    assert soon.returncode == 1
    assert f"The certificate of {DOMAIN} ends within 14 days" in soon.stdout
    assert "make status ENV=production" in soon.stdout
    assert ends(check.replace("1209600", "60")).returncode == 0
    assert ends(check.replace(str(proxy.ports["443"]), "9")).returncode == 1, "it is not served"
    assert "openssl" not in rendered["off"]["systemd/certificate-end.service"]


def test_plain_http_is_sent_to_https(proxy: Proxy) -> None:
    answer = proxy.ask("/runs?page=2", tls=False)
    assert (answer.status, answer.headers["Location"]) == (301, f"https://{DOMAIN}/runs?page=2")


def test_acme_challenges_are_answered_over_plain_http(proxy: Proxy) -> None:
    challenge = proxy.folder / "var/www/acme/.well-known/acme-challenge/token"
    challenge.parent.mkdir(parents=True)
    challenge.write_text("proof")
    assert proxy.ask("/.well-known/acme-challenge/token", tls=False).body == b"proof"
    assert proxy.ask("/.well-known/acme-challenge/other", tls=False).status == 404


def test_a_foreign_name_gets_no_answer(proxy: Proxy) -> None:
    with pytest.raises(http.client.RemoteDisconnected):
        proxy.ask("/", tls=False, Host="example.org")
    with pytest.raises(http.client.RemoteDisconnected):
        proxy.ask("/", Host="example.org")


def test_a_foreign_name_gets_no_certificate(proxy: Proxy) -> None:
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        proxy.connect(tls=True, name="example.org")


@pytest.mark.parametrize("variant", ["off", "off-without-quotes"])
def test_without_tls_the_domain_and_the_end_of_a_tunnel_are_served(start: Callable[[str], Proxy], variant: str) -> None:
    for name in (DOMAIN, "localhost:8080"):
        answer = start(variant).ask("/api/health", tls=False, Host=name)
        assert answer.status == 200
        assert "Strict-Transport-Security" not in answer.headers


def test_hsts_is_as_the_variable_says(proxy: Proxy, start: Callable[[str], Proxy]) -> None:
    assert proxy.ask("/").headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "Strict-Transport-Security" not in start("self-signed").ask("/").headers


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/assets/index-B-oNxJUg.js", "public, max-age=31536000, immutable"),
        ("/v2/assets/index-B-oNxJUg.js", "public, max-age=31536000, immutable"),
        ("/assets/gone.html", "no-cache"),
        ("/assets/missing.js", None),
        ("/dashboard", "no-cache"),
        ("/api/flow_runs/count", None),
    ],
)
def test_browsers_keep_what_cannot_change_and_nothing_else(proxy: Proxy, path: str, expected: str | None) -> None:
    assert proxy.ask(path).headers["Cache-Control"] == expected


def test_pages_cannot_be_framed_nor_guessed_at(proxy: Proxy) -> None:
    headers = proxy.ask("/missing").headers
    policy = headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "connect-src 'self'"} <= set(policy)
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "nginx"


@pytest.mark.parametrize("path", ["/assets/index-B-oNxJUg.js", "/dashboard", "/api/flow_runs/count"])
def test_nginx_compresses_in_the_place_of_prefect(proxy: Proxy, path: str) -> None:
    answer = proxy.ask(path, Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "accept-encoding" not in json.loads(gzip.decompress(answer.body))["headers"]


def test_prefect_learns_who_asks_and_how_whatever_the_client_claims(proxy: Proxy) -> None:
    seen = json.loads(proxy.ask("/api/health", X_Forwarded_For="203.0.113.1", X_Forwarded_Proto="http").body)["headers"]
    assert seen["host"] == seen["x-forwarded-host"] == DOMAIN
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "https"


def test_connections_to_prefect_are_kept(proxy: Proxy) -> None:
    ports = {json.loads(proxy.ask("/api/health").body)["connection"] for _ in range(5)}
    assert len(ports) == 1


def test_both_api_processes_get_requests(start: Callable[[str], Proxy]) -> None:
    ports = {json.loads(start("two-upstreams").ask("/api/health").body)["port"] for _ in range(10)}
    assert ports == set(LISTENING.values())


@pytest.mark.parametrize("path", SOCKETS)
def test_sockets_of_prefect_pass_and_may_stay_silent(proxy: Proxy, path: str) -> None:
    path = "/api" + re.sub(r"{\w+}", "default", path)
    with proxy.connect(tls=True) as connection, connection.makefile("rwb") as stream:
        head = f"GET {path} HTTP/1.1\r\nHost: {DOMAIN}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        stream.write(head.encode() + b"hello\n")
        stream.flush()
        assert stream.readline().startswith(b"HTTP/1.1 101")
        assert b"hello\n" in iter(stream.readline, b"")
    patient = re.search(r"location ~ (\S+) {[^}]*proxy_read_timeout 1h", (proxy.folder / "site.conf").read_text())
    assert patient
    assert re.search(patient[1], path)


@contextlib.contextmanager
def maintenance(proxy: Proxy) -> Iterator[Proxy]:
    """The proxy, which holds the server back."""
    folder = proxy.folder / AWAY / "maintenance"
    folder.mkdir()
    (folder / "away.json").write_text('{"detail": "Prefect is away: the disk is changed."}')
    try:
        yield proxy
    finally:
        shutil.rmtree(folder)


LOCAL = {"tls": False, "port": LOCAL_PORT, "Host": f"127.0.0.1:{LOCAL_PORT}"}


@pytest.mark.parametrize("door", [{}, LOCAL], ids=["public", "local"])
def test_a_server_that_is_away_is_no_error(start: Callable[[str], Proxy], door: dict) -> None:
    answer = start("away").ask("/api/flows/filter", "POST", **door)
    assert answer.status == 503
    assert answer.headers["Prefect-Maintenance"] == "true", "so Prefect's clients try again without end"
    assert int(answer.headers["Retry-After"]) > 0
    assert json.loads(answer.body)["detail"].startswith("Prefect is away")


def received(proxy: Proxy, path: str, seconds: float, tls: bool = True, port: int | None = None, **_: str) -> bytes:
    """What the handshake of a socket is answered within some seconds."""
    head = f"GET {path} HTTP/1.1\r\nHost: {DOMAIN}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    answer = b""
    with proxy.connect(tls=tls, port=port) as connection:
        connection.sendall((head if tls else head.replace(DOMAIN, "localhost")).encode())
        connection.settimeout(seconds)
        end = time.monotonic() + seconds
        with contextlib.suppress(TimeoutError):
            while time.monotonic() < end:
                answer += connection.recv(4096)
    return answer


@pytest.mark.parametrize("door", [{}, LOCAL], ids=["public", "local"])
@pytest.mark.parametrize("held_back", [False, True])
def test_who_sends_events_is_kept_waiting(start: Callable[[str], Proxy], held_back: bool, door: dict) -> None:
    with maintenance(start("letsencrypt")) if held_back else contextlib.nullcontext(start("away")) as proxy:
        refused = received(proxy, "/api/events/out", 1, **door)
        kept = received(proxy, "/api/events/in", 3, **door)
    assert refused.startswith(b"HTTP/1.1 503")
    assert b"\r\n\r\n" in refused
    assert b"Prefect-Maintenance".lower() in refused.lower()
    assert kept, "or the client would take it for a broken connection"
    # By default the client (websockets) gives up after 10 seconds.
    assert len(kept) / 3 * 10 < refused.index(b"\r\n\r\n")


@pytest.mark.parametrize("door", [{}, LOCAL], ids=["public", "local"])
def test_what_the_server_answers_itself_is_left_as_it_is(start: Callable[[str], Proxy], door: dict) -> None:
    answer = start("letsencrypt").ask("/api/refusing", "POST", **door)
    assert (answer.status, answer.headers["Prefect-Maintenance"]) == (503, None), "or it would be tried without end"
    assert b"headers" in answer.body


def late(rendered: dict, folder: Path, upstream: socket.socket) -> Proxy:
    """A proxy that waits for an upstream for a second, rather than 5 and 60."""
    texts = dict(rendered["letsencrypt"])
    impatient = "proxy_connect_timeout 1s; proxy_read_timeout 1s;"
    site = texts["nginx/prefect.conf"].replace("proxy_connect_timeout 5s;", impatient)
    assert impatient in site
    texts["nginx/prefect.conf"] = site.replace(f":{UPSTREAM_PORTS[0]};", f":{upstream.getsockname()[1]};")
    return Proxy.of(folder, texts)


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and answers none, like one that hangs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def unreachable(silent: socket.socket) -> Iterator[socket.socket]:
    """The same with a queue that is full, so that no answer comes even to a connection, as from a host that is off."""
    silent.listen(0)
    with socket.create_connection(silent.getsockname()):
        yield silent


@pytest.mark.parametrize("door", [{}, LOCAL], ids=["public", "local"])
def test_a_server_that_takes_no_connection_is_away(rendered: dict, tmp_path: Path, unreachable, door: dict) -> None:
    with late(rendered, tmp_path, unreachable).run() as proxy:
        answer = proxy.ask("/api/flow_runs/", "POST", b"{}", **door)
    assert (answer.status, answer.headers["Prefect-Maintenance"]) == (503, "true")
    assert json.loads(answer.body)["detail"].startswith("Prefect is away")


@pytest.mark.parametrize("door", [{}, LOCAL], ids=["public", "local"])
def test_what_the_server_may_have_done_is_not_tried_without_end(
    rendered: dict, tmp_path: Path, silent: socket.socket, door: dict
) -> None:
    with late(rendered, tmp_path, silent).run() as proxy:
        answer = proxy.ask("/api/flow_runs/", "POST", b"{}", **door)
    assert (answer.status, answer.headers["Prefect-Maintenance"]) == (504, None)


def test_browsers_get_a_page_that_comes_back_by_itself(start: Callable[[str], Proxy]) -> None:
    answer = start("away").ask("/dashboard", Accept="text/html,application/xhtml+xml")
    assert answer.status == 503
    assert answer.headers["Content-Type"] == "text/html"
    assert b'http-equiv="refresh"' in answer.body
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Strict-Transport-Security"]
    assert answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("door", [{}, LOCAL], ids=["public", "local"])
def test_the_server_is_held_back_while_there_is_maintenance(start: Callable[[str], Proxy], door: dict) -> None:
    with maintenance(start("letsencrypt")) as proxy:
        answer = proxy.ask("/api/health", **door)
    assert (answer.status, answer.headers["Prefect-Maintenance"]) == (503, "true")
    assert b"the disk is changed" in answer.body
    assert proxy.ask("/api/health", **door).status == 200


def test_this_host_has_a_door_of_its_own(start: Callable[[str], Proxy]) -> None:
    proxy = start("few-sockets")
    assert {proxy.ask("/api/flows/filter", Authorization="Basic none", **LOCAL).status for _ in range(60)} == {200}
    listening = re.findall(rf"listen (.*):{proxy.ports[str(LOCAL_PORT)]};", (proxy.folder / "site.conf").read_text())
    assert listening == ["127.0.0.1"]


@pytest.mark.parametrize("path", ["/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"])
def test_the_pages_of_the_schema_are_not_there(proxy: Proxy, path: str) -> None:
    answer = proxy.ask(path)
    assert answer.status == 404
    assert b"headers" not in answer.body, "Prefect was not asked"


@pytest.mark.parametrize("host", [DOMAIN, f"{DOMAIN}:4444"])
def test_a_redirect_leads_to_a_path_of_the_site(proxy: Proxy, host: str) -> None:
    assert proxy.ask("/api/redirect", Host=host).headers["Location"] == "/api/flows/?from=redirect"


def test_guessing_is_slowed_down_and_the_right_login_is_not(start: Callable[[str], Proxy]) -> None:
    proxy = start("few-sockets")
    guesses = [proxy.ask("/api/flows/filter", Authorization=f"Basic {guess}").status for guess in range(60)]
    assert 429 in guesses
    assert guesses[:10] == [200] * 10, "a few mistakes are nobody's attack"
    for login in (LOGIN, PREVIOUS_LOGIN):
        header = f"Basic {base64.b64encode(login.encode()).decode()}"
        assert {proxy.ask("/api/flows/filter", Authorization=header).status for _ in range(60)} == {200}
    log = proxy.folder / "var/log/nginx/error.log"
    until(lambda: "limiting requests" in log.read_text(), within=10, what="the limit is logged")


def test_sockets_of_one_address_are_limited(start: Callable[[str], Proxy]) -> None:
    proxy = start("few-sockets")
    head = f"GET /api/events/out HTTP/1.1\r\nHost: {DOMAIN}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    with contextlib.ExitStack() as stack:
        answers = []
        for _ in range(5):
            connection = stack.enter_context(proxy.connect(tls=True))
            connection.sendall(head.encode())
            answers.append(stack.enter_context(connection.makefile("rb")).readline().split()[1])
        assert answers == [b"101"] * 3 + [b"429"] * 2


def handshake(proxy: Proxy, **headers: str) -> int:
    """How the handshake of a socket is answered, which ends at once."""
    with proxy.connect(tls=True) as connection, connection.makefile("rwb") as stream:
        asked = {"Host": DOMAIN, "Upgrade": "websocket", "Connection": "Upgrade"} | headers
        lines = ["GET /api/events/out HTTP/1.1", *(f"{name}: {value}" for name, value in asked.items())]
        stream.write("\r\n".join([*lines, "", "bye\n"]).encode())
        stream.flush()
        status = int(stream.readline().split()[1])
        stream.read()
        return status


def test_guessing_by_sockets_is_slowed_down_and_the_right_login_is_not(start: Callable[[str], Proxy]) -> None:
    proxy = start("few-sockets")
    right = {"Authorization": f"Basic {base64.b64encode(LOGIN.encode()).decode()}"}
    log = proxy.folder / "var/log/nginx/error.log"
    before = log.read_text().count("prefect_handshakes") if log.exists() else 0
    assert 429 in {handshake(proxy) for _ in range(30)}
    until(lambda: log.read_text().count("prefect_handshakes") > before, within=10, what="the limit is logged")
    counted = log.read_text().count("prefect_handshakes")
    for _ in range(30):
        until(lambda: handshake(proxy, **right) == 101, within=10, what="a socket is free")
    assert log.read_text().count("prefect_handshakes") == counted


def test_a_large_batch_of_logs_is_taken(proxy: Proxy) -> None:
    assert proxy.ask("/api/logs/", "POST", b"x" * 5_000_000).status == 200


def test_the_access_log_has_no_query_strings(proxy: Proxy) -> None:
    proxy.ask("/api/seen?token=secret", Referer="https://prefect.test/?code=secret")
    log = proxy.folder / "var/log/nginx/access.log"
    # nginx writes it after it has answered.
    until(lambda: '"GET /api/seen HTTP/1.1" 200' in log.read_text(), within=10, what="the call is logged")
    assert "secret" not in log.read_text()


def test_the_access_log_names_what_was_asked_for_while_the_server_is_away(start: Callable[[str], Proxy]) -> None:
    proxy = start("away")
    proxy.ask("/api/flows/count?token=secret")
    log = proxy.folder / "var/log/nginx/access.log"
    until(lambda: '"GET /api/flows/count HTTP/1.1" 503' in log.read_text(), within=10, what="the call is logged")


def test_the_status_page_is_there_for_this_machine(proxy: Proxy) -> None:
    assert b"Active connections" in proxy.ask("/nginx_status", tls=False, Host="127.0.0.1").body


def test_the_status_page_gives_no_answer_to_others(proxy: Proxy) -> None:
    with pytest.raises(http.client.RemoteDisconnected):
        proxy.ask("/nginx_status", tls=False, Host="127.0.0.1", source="127.0.0.2")
