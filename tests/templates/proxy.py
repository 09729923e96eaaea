"""An nginx of our own in a scratch folder, on free ports, and a Prefect server's stand-in behind it."""

import base64
import contextlib
import http.client
import http.server
import json
import os
import pwd
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from given import DOMAIN, LOCAL_PORT, LOGIN, UPSTREAM_PORTS, free_port

# The port on which a stand-in listens, by its port in the texts
LISTENING = {port: free_port() for port in UPSTREAM_PORTS}

# Where nginx has its answers for a server that is away
AWAY = "var/www/prefect-away"

MAIN = """
user {user};
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    include /etc/nginx/mime.types;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    include {folder}/site.conf;
}}
"""


# What Prefect answers besides 200, by a word in the path
CODES = {"missing": 404, "refusing": 503}


class Upstream(http.server.BaseHTTPRequestHandler):
    """Answers with the headers that it got, or with a socket that echoes one line."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers.get("Connection") == "upgrade" and self.headers.get("Upgrade") == "websocket":
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "upgrade")
            self.end_headers()
            self.wfile.write(self.rfile.readline())
            self.close_connection = True
            return
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "redirect" in self.path:
            self.send_response(307)
            self.send_header("Location", f"http://{self.headers['Host']}/api/flows/?from=redirect")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        answer = {"port": self.server.server_address[1], "connection": self.client_address[1]}
        body = json.dumps(answer | {"headers": {k.lower(): v for k, v in self.headers.items()}, "padding": "x" * 2000})
        self.send_response(next((code for word, code in CODES.items() if word in self.path), 200))
        self.send_header(
            "Content-Type", {"js": "text/javascript", "json": "application/json"}.get(self.extension, "text/html")
        )
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_POST = do_GET

    @property
    def extension(self) -> str:
        """`js` of `/a.js`; of the API's paths `json`."""
        return "json" if self.path.startswith("/api/") else self.path.partition("?")[0].rpartition(".")[2]

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextlib.contextmanager
def upstream(port: int) -> Iterator[None]:
    """The stand-in, listening."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Upstream)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Answer:
    """An answer, its body as bytes."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass
class Proxy:
    """nginx with one rendered site."""

    folder: Path
    ports: dict[str, int]

    @classmethod
    def of(cls, folder: Path, texts: dict[str, str]) -> "Proxy":
        """Lay out the folder: ports become free ones, and paths of the host become paths below the folder."""
        site = texts["nginx/prefect-login.conf"] + texts["nginx/prefect.conf"]
        ports = {port: free_port() for port in ("80", "443", str(LOCAL_PORT))}
        listen = rf"(listen (?:\[::\]:|127\.0\.0\.1:)?)({'|'.join(ports)})\b"
        site = re.sub(listen, lambda match: match[1] + str(ports[match[2]]), site)
        upstreams = rf"(127\.0\.0\.1:)({'|'.join(map(str, LISTENING))})\b"
        site = re.sub(upstreams, lambda match: match[1] + str(LISTENING[int(match[2])]), site)
        site = re.sub(r"(ssl_certificate(?:_key)?|root|access_log|error_log) /", rf"\1 {folder}/", site)
        site = site.replace(f" /{AWAY}/maintenance;", f" {folder}/{AWAY}/maintenance;")
        (folder / AWAY).mkdir(parents=True)
        (folder / AWAY / "away.html").write_text(texts["nginx/away.html"])
        (folder / AWAY / "away.json").write_text('{"detail": "Prefect is away: it restarts."}')
        (folder / "site.conf").write_text(site)
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=pwd.getpwuid(os.getuid()).pw_name))
        (folder / "var/log/nginx").mkdir(parents=True)
        proxy = cls(folder, ports)
        if proxy.certificate:
            proxy.make_certificate()
        return proxy

    def setting(self, name: str) -> str:
        """The first value of a directive of the site, empty where there is none."""
        found = re.search(rf"^\s*{name} (.+);", (self.folder / "site.conf").read_text(), flags=re.MULTILINE)
        return found[1] if found else ""

    @property
    def certificate(self) -> str:
        """Where the site has its certificate."""
        return self.setting("ssl_certificate")

    def make_certificate(self) -> None:
        """A throw-away one, where the site looks for it."""
        Path(self.certificate).parent.mkdir(parents=True)
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "1"]
        names = ["-subj", f"/CN={DOMAIN}", "-addext", f"subjectAltName=DNS:{DOMAIN}"]
        files = ["-keyout", self.setting("ssl_certificate_key"), "-out", self.certificate]
        subprocess.run(command + names + files, check=True, capture_output=True)

    def command(self, *arguments: str) -> list[str]:
        """An nginx command line that stays inside the folder."""
        path = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        assert path, "nginx is not installed here: run `apt-get install nginx-light`"
        return [path, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-e", "stderr", *arguments]

    def check(self) -> subprocess.CompletedProcess[str]:
        """`nginx -t`."""
        return subprocess.run(self.command("-t"), capture_output=True, text=True, check=False)

    @contextlib.contextmanager
    def run(self) -> Iterator["Proxy"]:
        """nginx, answering."""
        process = subprocess.Popen(self.command("-g", "daemon off;"), stderr=subprocess.PIPE, text=True)
        try:
            self.wait(process)
            yield self
        finally:
            process.terminate()
            process.communicate(timeout=60)

    def wait(self, process: subprocess.Popen[str]) -> None:
        """Until all ports of the site are open: nginx opens one after the other."""
        site = (self.folder / "site.conf").read_text()
        closed = [port for port in self.ports.values() if re.search(rf"listen .*\b{port}\b", site)]
        deadline = time.monotonic() + 60
        while closed and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read()
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", closed[0])):
                closed.pop(0)
        assert not closed, f"nginx did not open {closed} within 60 s"

    def connect(
        self, *, tls: bool, name: str = DOMAIN, port: int | None = None, source: str = "127.0.0.1"
    ) -> socket.socket:
        """A connection, over TLS one that trusts the throw-away certificate only."""
        address = ("127.0.0.1", self.ports[str(port or (443 if tls else 80))])
        plain = socket.create_connection(address, timeout=60, source_address=(source, 0))
        if not tls:
            return plain
        return ssl.create_default_context(cafile=self.certificate).wrap_socket(plain, server_hostname=name)

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        *,
        tls: bool = True,
        port: int | None = None,
        source: str = "127.0.0.1",
        **headers: str,
    ) -> Answer:
        """One request, by default with the right login. Underscores in the names of headers are hyphens."""
        headers = {"Authorization": "Basic " + base64.b64encode(LOGIN.encode()).decode()} | headers
        connection = http.client.HTTPConnection(DOMAIN)
        connection.sock = self.connect(tls=tls, port=port, source=source)
        with contextlib.closing(connection):
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
