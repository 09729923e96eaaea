"""A stand-in for whatever is told of something by a POST of JSON."""

import json
from http.server import BaseHTTPRequestHandler


class Webhook(BaseHTTPRequestHandler):
    """Answers as Slack's webhooks do, and keeps what it got."""

    def do_POST(self) -> None:
        self.server.got.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""
