"""The Prefect server as its unit runs it: a new password locks nobody out.

Prefect accepts one login, and a run keeps the login that it began with. As long as PREVIOUS_API_AUTH_STRING is set, the
server accepts that login too. The arguments are those of `prefect`.
"""

import base64
import hmac
import json
import os
from typing import Any

from fastapi import FastAPI
from prefect.cli import app as prefect
from prefect.server.api import server
from prefect.settings import get_current_settings
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def main() -> None:
    """Do what the command line says."""
    if previous := os.environ.get("PREVIOUS_API_AUTH_STRING"):
        accept_too(previous)
    prefect()


def accept_too(previous: str) -> None:
    """Let the application that Prefect makes accept the previous login."""
    create_app = server.create_app

    def create_app_for_both(*arguments: Any, **options: Any) -> FastAPI:
        app = create_app(*arguments, **options)
        # Prefect asks for the same application again, after it has started
        if not any(middleware.cls is PreviousLogin for middleware in app.user_middleware):
            current = get_current_settings().server.api.auth_string
            app.add_middleware(PreviousLogin, previous=previous, current=current.get_secret_value() if current else "")
        return app

    server.create_app = create_app_for_both


class PreviousLogin:
    """Puts the current login in the place of the previous one, in a request's header and a socket's first message."""

    def __init__(self, app: ASGIApp, previous: str, current: str) -> None:
        self._app = app
        self._previous, self._current = previous, current
        self._previous_header, self._current_header = basic(previous), basic(current)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["headers"] = [(name, self._header(name, value)) for name, value in scope["headers"]]
        elif scope["type"] == "websocket":
            receive = self._login_of(receive)
        await self._app(scope, receive, send)

    def _header(self, name: bytes, value: bytes) -> bytes:
        previous = name == b"authorization" and hmac.compare_digest(value, self._previous_header)
        return self._current_header if previous else value

    def _login_of(self, receive: Receive) -> Receive:
        first = True

        async def receive_current() -> Message:
            nonlocal first
            message = await receive()
            if message["type"] == "websocket.receive" and first:
                first = False
                return self._message(message)
            return message

        return receive_current

    def _message(self, message: Message) -> Message:
        try:
            content = json.loads(message.get("text") or message["bytes"])
            token = content["token"].encode()
        except (ValueError, TypeError, KeyError, AttributeError):
            return message  # for Prefect to refuse
        if not hmac.compare_digest(token, self._previous.encode()):
            return message
        return {"type": message["type"], "text": json.dumps(content | {"token": self._current})}


def basic(login: str) -> bytes:
    """The header of a login, see RFC 7617."""
    return b"Basic " + base64.b64encode(login.encode())


if __name__ == "__main__":
    main()
