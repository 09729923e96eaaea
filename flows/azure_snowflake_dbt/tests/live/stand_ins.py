"""A warehouse that can be told to fail, or to keep a client waiting, at a statement."""

import gzip
import json
import re
import threading
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PATIENCE = 90


@dataclass
class Hold:
    """A statement that is kept from the warehouse until it is released, or for ever where it gets lost."""

    pattern: str
    lost: bool
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)


class WarehouseProxy:
    """Passes all on to the warehouse at `host` and `port`, unless told otherwise; remembers the statements."""

    def __init__(self, host: str, port: int) -> None:
        self.upstream = host, port
        self.statements: list[str] = []
        self.holds: list[Hold] = []
        self.refusals: list[tuple[str, str]] = []
        self.last_statement = ""  # that it answers; from there on it is out of order
        self.out_of_order = False
        self.logins_refused = ""  # with these words
        self.logins_allowed = 0  # before that
        self.sessions: set[str] = set()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                answer = proxy.scripted_answer(urlsplit(self.path).path, proxy.content(body, headers))
                status, content, kind = answer or proxy.forward(self.command, self.path, body, headers)
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:  # the client was killed
                    self.close_connection = True

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()

    def hold(self, pattern, *, lost=False):
        """Keep the next statement that matches from the warehouse."""
        self.holds.append(Hold(pattern, lost))
        return self.holds[-1]

    def refuse(self, pattern, message):
        """Answer the next statement that matches with an error, as Snowflake does."""
        self.refusals.append((pattern, message))

    def end_sessions(self):
        """End what sessions there were, as Snowflake does with those whose client is gone: they are rolled back."""
        for token in self.sessions:
            self.forward("POST", "/session?delete=true", b"", {"Authorization": token})
        self.sessions.clear()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    @staticmethod
    def content(body, headers):
        compressed = {name.lower(): value for name, value in headers.items()}.get("content-encoding") == "gzip"
        return json.loads((gzip.decompress(body) if compressed else body) or "null")

    def scripted_answer(self, path, content):
        """The answer of the test in place of the warehouse's, if there is one."""
        if self.out_of_order:
            return 503, b"", "text/plain"
        if path == "/session/v1/login-request" and self.logins_refused:
            self.logins_allowed -= 1
            return refusal("390144", self.logins_refused) if self.logins_allowed < 0 else None
        if path != "/queries/v1/query-request":
            return None
        statement = content["sqlText"]
        self.statements.append(statement)
        self.out_of_order = bool(self.last_statement and re.search(self.last_statement, statement))
        for pattern, message in self.refusals:
            if re.search(pattern, statement):
                self.refusals.remove((pattern, message))
                return refusal("000604", message)
        for hold in self.holds:
            if re.search(hold.pattern, statement):
                self.holds.remove(hold)
                hold.reached.set()
                hold.released.wait(PATIENCE)
                return refusal("000604", "lost") if hold.lost else None
        return None

    def forward(self, method, path, body, headers):
        if token := headers.get("Authorization"):
            self.sessions.add(token)
        connection = HTTPConnection(*self.upstream, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read(), response.headers["Content-Type"]
        finally:
            connection.close()


def refusal(code, message):
    body = {"data": {"errorCode": code, "sqlState": "57014"}, "code": code, "message": message, "success": False}
    return 200, json.dumps(body).encode(), "application/json"
