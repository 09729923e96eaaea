"""What is kept is kept as long as it is set, and no longer."""

import uuid
from datetime import UTC, datetime, timedelta

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.states import Completed
from testinfra.host import Host
from waiting import until

RUN_DAYS = 30  # prefect_server_retention_days
EVENT_DAYS = 7  # prefect_server_event_retention_days


@flow
def kept() -> None:
    """Stands for any flow: its runs are made by the API."""


def database(host: Host, query: str) -> str:
    """What Prefect's database answers."""
    return host.check_output("runuser -u postgres -- psql -qtA --no-psqlrc --command %s prefect", query)


def event(client: SyncPrefectClient, days: int) -> str:
    """The id of an event of so many days ago, which is in the database."""
    made = {
        "id": str(uuid.uuid4()),
        "occurred": (datetime.now(UTC) - timedelta(days=days)).isoformat(),
        "event": "test.retention",
        "resource": {"prefect.resource.id": "test.retention"},
    }
    client.request("POST", "/events", json=[made])
    return made["id"]


def test_runs_and_events_go_when_they_are_older_than_is_kept(client: SyncPrefectClient, host: Host) -> None:
    ended = {days: client.create_flow_run(kept, state=Completed()).id for days in (RUN_DAYS - 1, RUN_DAYS + 1)}
    for days, run in ended.items():
        database(host, f"UPDATE flow_run SET end_time = now() - interval '{days} days' WHERE id = '{run}'")  # noqa: S608
    both = FlowRunFilter(id=FlowRunFilterId(any_=list(ended.values())))
    assert len(client.read_flow_runs(flow_run_filter=both)) == 2
    younger, older = event(client, EVENT_DAYS - 1), event(client, EVENT_DAYS + 1)

    def events() -> set[str]:
        kept_now = database(host, "SELECT id FROM events WHERE event = 'test.retention'").splitlines()
        return {younger, older} & {*kept_now}

    until(lambda: events() == {younger, older}, within=60, what="both events are kept")
    # It looks when it starts, then every hour.
    host.check_output("systemctl restart prefect-server")

    def left() -> list:
        return [run.id for run in client.read_flow_runs(flow_run_filter=both)]

    until(lambda: left() == [ended[RUN_DAYS - 1]], within=60, what="the older run is gone, the younger is not")
    until(lambda: events() == {younger}, within=60, what="the older event is gone, the younger is not")
    client.delete_flow(client.read_flow_by_name(kept.name).id)
