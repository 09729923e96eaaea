"""What is told reaches a mail server and Slack, by the block that the server loads."""

import json
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer
from threading import Thread

import pytest
from apprise.plugins.slack import NotifySlack
from asking import ask
from prefect.blocks.core import Block
from webhook import Webhook


class Mail(StreamRequestHandler):
    """As much of a mail server as it takes to be given a mail."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                self.server.got.append("".join(self.text()))
            self.wfile.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 fine\r\n")

    def text(self) -> Iterator[str]:
        while (line := self.rfile.readline()) != b".\r\n":
            yield line.decode()


@pytest.fixture
def listening(request):
    """A stand-in that keeps what it got."""
    base, handler = request.param
    with base(("127.0.0.1", 0), handler) as server:
        server.got = []
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def tell(run, shop: str, flows: Path):
    """Deploys an address, and tells it something as an automation does: by the block, as the server loads it."""

    def call(address: str) -> None:
        file = flows.parent / "inventory.json"
        given = {"work_pools": [shop], "notifications": {f"{shop}-ops": address}}
        file.write_text(json.dumps({"msg": {"platform_inventory": given}}))
        assert run("apply", "--release", "r1", "--inventory", str(file))[0] == 0
        document = ask("read_block_document_by_name", f"{shop}-ops", "slack-webhook", include_secrets=True)
        block = Block._from_block_document(document)
        with block.raise_on_failure():
            block.notify(subject="It has failed", body="Look at it")

    return call


@pytest.mark.parametrize("listening", [(TCPServer, Mail)], indirect=True)
def test_mail_arrives(tell, listening) -> None:
    tell(f"mailto://127.0.0.1:{listening.server_address[1]}?from=prefect@example.org&to=ops@example.org")
    [mail] = listening.got
    assert "\nTo: ops@example.org" in mail.replace("\r", "")
    assert "Subject: It has failed" in mail
    assert "Look at it" in mail


@pytest.mark.parametrize("listening", [(HTTPServer, Webhook)], indirect=True)
@pytest.mark.parametrize("beginning", ["https://hooks.slack.com/services/", "slack://"])
def test_slack_is_told(tell, listening, monkeypatch, beginning: str) -> None:
    # Apprise knows one host only, and no address can name another
    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://127.0.0.1:{listening.server_address[1]}/services")
    tell(f"{beginning}T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ")
    [(path, message)] = listening.got
    assert path == "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    assert "It has failed" in str(message)
    assert "Look at it" in str(message)
