"""The Prefect server as its unit runs it: a new password locks nobody out, and a NUL in a text delays nothing.

Prefect accepts one login, and a run keeps the login that it began with. As long as PREVIOUS_API_AUTH_STRING is set, the
server accepts that login too. PostgreSQL holds no text with a NUL (U+0000): the server leaves it out. The arguments are
those of `prefect`.
"""

import base64
import hmac
import json
import os
import re
from typing import Any

from fastapi import FastAPI
from prefect.cli import app as prefect
from prefect.server.api import server
from prefect.settings import get_current_settings
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# In JSON, where it stands for U+0000: not after a backslash that is itself escaped
NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
# Their values are encrypted before PostgreSQL has them.
BLOCKS = "/api/block_documents"


def main(*_arguments: str) -> None:
    """Run `prefect`, which reads the arguments itself."""
    add_middleware(WithoutNul)
    if previous := os.environ.get("PREVIOUS_API_AUTH_STRING"):
        accept_previous_login(previous)
    prefect()


def accept_previous_login(previous: str) -> None:
    """Let the application that Prefect makes accept this login (`user:password`) too."""
    current = get_current_settings().server.api.auth_string
    add_middleware(PreviousLogin, previous=previous, current=current.get_secret_value() if current else "")


def add_middleware(middleware: Any, **options: str) -> None:
    """Add a middleware, a class of ASGI, to the application that Prefect makes."""
    create_app = server.create_app

    def create_app_with_it(*arguments: Any, **options_of_app: Any) -> FastAPI:
        app = create_app(*arguments, **options_of_app)
        # Prefect asks for the same application again, after it has started
        if not any(added.cls is middleware for added in app.user_middleware):
            app.add_middleware(middleware, **options)
        return app

    server.create_app = create_app_with_it


class WithoutNul:
    """Leaves NULs out of what is written.

    Because of a NUL in a state, Prefect asks its client to try again, for minutes; because of a NUL in an event, it
    loses all events that it writes with that one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(BLOCKS):
            receive = self._clean_body(receive)
        elif scope["type"] == "websocket":
            receive = self._clean_messages(receive)
        await self._app(scope, receive, send)

    def _clean_body(self, receive: Receive) -> Receive:
        async def receive_whole() -> Message:
            message = await receive()
            body = message.get("body", b"")
            while message.get("more_body"):
                message = await receive()
                body += message.get("body", b"")
            # The connection may end in the middle of the body
            return {**message, "body": NUL.sub(rb"\1", body)} if message["type"] == "http.request" else message

        return receive_whole

    def _clean_messages(self, receive: Receive) -> Receive:
        async def receive_clean() -> Message:
            message = await receive()
            if text := message.get("text"):
                return {**message, "text": NUL.sub(rb"\1", text.encode()).decode()}
            if data := message.get("bytes"):
                return {**message, "bytes": NUL.sub(rb"\1", data)}
            return message

        return receive_clean


class PreviousLogin:
    """Replaces the previous login by the current one, in a request's header and a socket's first message."""

    def __init__(self, app: ASGIApp, previous: str, current: str) -> None:
        self._app = app
        self._previous, self._current = previous, current
        self._previous_header, self._current_header = basic(previous), basic(current)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["headers"] = [(name, self._header(name, value)) for name, value in scope["headers"]]
        elif scope["type"] == "websocket":
            receive = self._with_current_login(receive)
        await self._app(scope, receive, send)

    def _header(self, name: bytes, value: bytes) -> bytes:
        previous = name == b"authorization" and hmac.compare_digest(value, self._previous_header)
        return self._current_header if previous else value

    def _with_current_login(self, receive: Receive) -> Receive:
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
