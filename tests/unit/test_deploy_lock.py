"""The deploy lock says who holds it, and can be taken from a holder that hangs."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.concurrency.asyncio import AcquireConcurrencySlotTimeoutError
from prefect.concurrency.context import ConcurrencyContext
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

import deploy
from deployer.model.errors import DeployError
from deployer.server import deploy_lock
from deployer.server.deploy_lock import lock_status, release_lock


class Server:
    """A client of a server that has one limit, and variables."""

    def __init__(self) -> None:
        self.lease: UUID | None = None
        self.variables: dict[str, Any] = {}
        self.has_limit = False

    async def upsert_global_concurrency_limit_by_name(self, name: str, limit: int) -> None:
        assert (name, limit) == ("platform-deploy", 1)
        self.has_limit = True

    async def read_global_concurrency_limit_by_name(self, name: str) -> SimpleNamespace:
        if not self.has_limit:
            raise ObjectNotFound(Exception())
        return SimpleNamespace(active_slots=1 if self.lease else 0)

    async def release_concurrency_slots_with_lease(self, lease_id: UUID) -> None:
        if lease_id == self.lease:
            self.lease = None

    async def create_variable(self, variable: VariableCreate) -> None:
        if variable.name in self.variables:
            raise ObjectAlreadyExists(Exception())
        self.variables[variable.name] = variable.value

    async def update_variable(self, variable: VariableUpdate) -> None:
        self.variables[variable.name] = variable.value

    async def read_variable_by_name(self, name: str) -> SimpleNamespace | None:
        return SimpleNamespace(value=self.variables[name]) if name in self.variables else None

    async def delete_variable_by_name(self, name: str) -> None:
        if self.variables.pop(name, None) is None:
            raise ObjectNotFound(Exception())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server on which nothing was deployed."""
    server = Server()

    @asynccontextmanager
    async def concurrency(
        name: str, timeout_seconds: float, lease_duration: float, strict: bool
    ) -> AsyncIterator[None]:
        if server.lease:
            raise AcquireConcurrencySlotTimeoutError
        server.lease = lease = uuid4()
        ConcurrencyContext.get().cleanup_lease_ids.append(lease)
        try:
            yield
        finally:
            await server.release_concurrency_slots_with_lease(lease)

    @asynccontextmanager
    async def connect() -> AsyncIterator[Server]:
        yield server

    monkeypatch.setattr(deploy_lock, "concurrency", concurrency)
    monkeypatch.setattr(deploy, "connect", connect)
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    monkeypatch.setattr("socket.gethostname", lambda: "laptop")
    return server


def while_held(server: Server, action: Callable) -> Any:
    """Do it while somebody deploys."""

    async def hold() -> Any:
        async with deploy_lock.deploy_lock(server):
            return await action(server)

    return asyncio.run(hold())


HELD = r"The deploy lock is held by ada@laptop \(process \d+\) since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\+00:00\."


def test_the_status_names_the_holder_and_since_when(server: Server) -> None:
    assert str(asyncio.run(lock_status(server))) == "The deploy lock is free.", "nothing was deployed yet"
    assert re.fullmatch(HELD, str(while_held(server, lock_status)))
    assert str(asyncio.run(lock_status(server))) == "The deploy lock is free."
    assert server.variables == {}


def test_a_holder_that_was_interrupted_leaves_a_note_that_the_next_one_replaces(server: Server) -> None:
    async def fail(server: Server) -> None:
        raise DeployError("interrupted")

    with pytest.raises(DeployError, match="interrupted"):
        while_held(server, fail)
    [first] = server.variables.values()
    assert str(asyncio.run(lock_status(server))) == "The deploy lock is free."
    status = while_held(server, lock_status)
    assert status.holder.lease != first["lease"]


def test_who_waits_too_long_is_told_who_holds_it(server: Server) -> None:
    async def deploy_too(server: Server) -> None:
        async with deploy_lock.deploy_lock(server):
            pass

    message = (
        r"this server's deploy lock is held for more than 120 s by ada@laptop \(process \d+\) since .*: wait, then"
    )
    with pytest.raises(DeployError, match=message):
        while_held(server, deploy_too)


def test_a_lock_is_released_by_the_lease_of_its_holder(server: Server) -> None:
    async def release(server: Server) -> tuple[Any, Any]:
        return await release_lock(server), await lock_status(server)

    before, after = while_held(server, release)
    assert re.fullmatch(HELD, str(before))
    assert str(after) == "The deploy lock is free."


def test_a_lock_without_a_note_is_left_to_the_server(server: Server) -> None:
    server.has_limit, server.lease = True, uuid4()
    assert str(asyncio.run(lock_status(server))) == "The deploy lock is held by an unknown deployment."
    with pytest.raises(DeployError, match="has noted no lease: wait 60 s after its end, then the server frees it"):
        asyncio.run(release_lock(server))


def test_the_commands_print_one_line(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("status", "release"):
        assert deploy.main(["lock", action]) == 0
        assert capsys.readouterr().out == "The deploy lock is free.\n"
    server.has_limit, server.lease = True, uuid4()
    holder = {"name": "ada@laptop", "process": 7, "since": "2026-11-20 14:00:00+00:00", "lease": str(server.lease)}
    server.variables["platform_deploy_holder"] = holder
    assert deploy.main(["lock", "status"]) == 0
    who = "ada@laptop (process 7) since 2026-11-20 14:00:00+00:00"
    assert capsys.readouterr().out == f"The deploy lock is held by {who}.\n"
    assert deploy.main(["lock", "release"]) == 0
    assert (
        capsys.readouterr().out
        == f"Released: it was held by {who}. If that still runs, it stops within about a minute.\n"
    )
    assert server.lease is None
