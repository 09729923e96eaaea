"""What the tests share: an Azure Function that answers as told."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


class ScriptedFunction:
    """An HTTP server that gives its answers (status, headers, body) in turn and remembers what it was asked."""

    def __init__(self):
        self.answers, self.requests = [], []
        function = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                function.requests.append((self.command, self.path, headers, json.loads(body or "null")))
                status, headers, body = function.answers.pop(0)
                content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()

    def will_answer(self, status, body=None, **headers):
        """Queue an answer."""
        self.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, body))


@pytest.fixture
def function():
    scripted = ScriptedFunction()
    yield scripted
    scripted.server.shutdown()
    scripted.server.server_close()
