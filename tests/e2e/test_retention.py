"""Runs are kept as long as it is set, and no longer."""

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.states import Completed
from testinfra.host import Host
from waiting import until

DAYS = 30  # prefect_server_retention_days


@flow
def kept() -> None:
    """Stands for any flow: its runs are made by the API."""


def test_runs_go_when_they_are_older_than_is_kept(client: SyncPrefectClient, host: Host) -> None:
    ended = {days: client.create_flow_run(kept, state=Completed()).id for days in (DAYS - 1, DAYS + 1)}
    for days, run in ended.items():
        query = f"UPDATE flow_run SET end_time = now() - interval '{days} days' WHERE id = '{run}'"  # noqa: S608
        host.check_output("runuser -u postgres -- psql --no-psqlrc --command %s prefect", query)
    both = FlowRunFilter(id=FlowRunFilterId(any_=list(ended.values())))
    assert len(client.read_flow_runs(flow_run_filter=both)) == 2
    # It looks when it starts, then every hour.
    host.check_output("systemctl restart prefect-server")

    def left() -> list:
        return [run.id for run in client.read_flow_runs(flow_run_filter=both)]

    until(lambda: left() == [ended[DAYS - 1]], within=60, what="the older run is gone, the younger is not")
    client.delete_flow(client.read_flow_by_name(kept.name).id)
