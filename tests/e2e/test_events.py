"""Events pass the proxy both ways while a run goes, and only for those who know the password."""

import asyncio
import json
import ssl
from collections.abc import Callable

import pytest
from lab import Site
from prefect.client.schemas.objects import FlowRun
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter
from websockets.exceptions import ConnectionClosedError
from websockets.frames import CloseCode
from websockets.sync.client import ClientConnection, connect


def subscribe(site: Site) -> ClientConnection:
    """Open the socket, as Prefect's UI does."""
    return connect(
        site.url.replace("https://", "wss://") + "/api/events/out",
        ssl=ssl.create_default_context(cafile=site.ca),
        subprotocols=["prefect"],
    )


def test_a_subscriber_sees_a_run_go_by(start: Callable[[str], FlowRun]) -> None:
    async def follow() -> set[str]:
        seen = set()
        prefixes = EventFilter(event=EventNameFilter(prefix=["prefect.flow-run.", "prefect.task-run."]))
        async with asyncio.timeout(90), get_events_subscriber(filter=prefixes) as subscriber:
            run = await asyncio.to_thread(start, "db_dump/shop-mariadb")
            async for event in subscriber:
                if f"prefect.flow-run.{run.id}" in {event.resource.id, *(related.id for related in event.related)}:
                    seen.add(event.event)
                if {"prefect.flow-run.Completed", "prefect.task-run.Completed"} <= seen:
                    break
        return seen

    assert {"prefect.flow-run.Pending", "prefect.flow-run.Running"} <= asyncio.run(follow())


def test_the_password_opens_the_socket(site: Site, login: tuple[str, str]) -> None:
    with subscribe(site) as socket:
        socket.send(json.dumps({"type": "auth", "token": ":".join(login)}))
        assert json.loads(socket.recv(timeout=10))["type"] == "auth_success"


def test_without_the_password_the_socket_closes(site: Site) -> None:
    with subscribe(site) as socket:
        socket.send(json.dumps({"type": "auth", "token": "admin:wrong"}))
        with pytest.raises(ConnectionClosedError) as closed:
            socket.recv(timeout=10)
    assert closed.value.rcvd.code == CloseCode.POLICY_VIOLATION
