"""While a password changes, the server accepts the one before too, and nobody else."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from prefect.server.api import server
from prefect.settings import PREFECT_SERVER_API_AUTH_STRING, temporary_settings
from starlette.websockets import WebSocketDisconnect

from host.server import accept_previous_login

CURRENT, PREVIOUS, WRONG = "admin:current-password", "admin:previous-password", "admin:wrong-password"
OTHERS = ({"type": "auth", "token": WRONG}, {"type": "auth"}, {"type": "x", "token": PREVIOUS})
SOCKETS = ("/api/events/in", "/api/logs/out")


@pytest.fixture(scope="module")
def site() -> Iterator[TestClient]:
    """The server, which has changed its password."""
    with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_SERVER_API_AUTH_STRING: CURRENT}):
        patch.setattr(server, "create_app", server.create_app)
        accept_previous_login(PREVIOUS)
        yield TestClient(server.create_app(ignore_cache=True))


def status(site: TestClient, login: str) -> int:
    """What a request with a login is answered."""
    return site.get("/api/admin/version", auth=tuple(login.split(":"))).status_code


@pytest.mark.parametrize(("login", "code"), [(CURRENT, 200), (PREVIOUS, 200), (WRONG, 401)])
def test_requests(site: TestClient, login: str, code: int) -> None:
    assert status(site, login) == code


def test_nobody_gets_in_without_a_login(site: TestClient) -> None:
    assert site.get("/api/admin/version").status_code == 401


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize("login", [CURRENT, PREVIOUS])
def test_sockets(site: TestClient, path: str, login: str) -> None:
    with site.websocket_connect(path, subprotocols=["prefect"]) as socket:
        socket.send_json({"type": "auth", "token": login})
        assert socket.receive_json() == {"type": "auth_success"}


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize("message", OTHERS)
def test_other_sockets_are_closed(site: TestClient, path: str, message: object) -> None:
    with site.websocket_connect(path, subprotocols=["prefect"]) as socket:
        socket.send_json(message)
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()


def test_only_the_first_message_of_a_socket_signs_in(site: TestClient) -> None:
    with site.websocket_connect(SOCKETS[0], subprotocols=["prefect"]) as socket:
        socket.send_json({"type": "auth", "token": WRONG})
        socket.send_json({"type": "auth", "token": PREVIOUS})
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()


def test_the_server_gets_its_own_application_again(site: TestClient) -> None:
    # Its services ask for it, to act by it; an application that has answered takes no more middleware
    assert status(site, CURRENT) == 200
    assert server.create_app() is site.app
    assert status(site, PREVIOUS) == 200
