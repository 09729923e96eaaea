"""A steady load of short runs, and what became of each of them."""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, GlobalConcurrencyLimitCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.schedules import IntervalSchedule
from pulse import LIMIT, TAG
from speed import speed
from testinfra.host import Host
from waiting import until

FLOW = Path(__file__).with_name("pulse.py")
FOLDER = "/var/lib/prefect-worker/default/faults"
EVERY = 5 * speed()  # seconds between two runs of the load, which two processors can do for three labs
RUNS = 8  # at least, under each of the tests: more than a hundred in all
SLOTS = 20  # seconds between two runs of the schedule
AT_ONCE = 50  # runs of its deployment: more than there are, but each of them asks for a slot
# Automations need up to a few minutes for what nobody reports
SETTLED_WITHIN = 420


class Load:
    """Runs of one deployment: on a schedule the whole time, and triggered while `steady()`."""

    def __init__(self, client: SyncPrefectClient, host: Host) -> None:
        self._client = client
        host.check_output("install -d -o prefect-worker-default %s", FOLDER)
        host.run_expect([0], f"cat > {FOLDER}/pulse.py <<'END'\n{FLOW.read_text()}\nEND")
        # The Python of the flows that are deployed
        self._command = client.read_deployment_by_name("db_dump/shop-postgres").job_variables["command"]
        self.since = datetime.now(UTC)
        schedule = IntervalSchedule(interval=timedelta(seconds=SLOTS), anchor_date=self.since)
        self.deployment = self.deploy(
            "pulse",
            work_pool_name="default",
            work_queue_name="default",
            concurrency_limit=AT_ONCE,
            schedules=[DeploymentScheduleCreate(schedule=schedule)],
        )
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=LIMIT, limit=1))
        client.create_concurrency_limit(TAG, 1)
        self.triggered: list[UUID] = []
        self.refused = 0

    def deploy(self, flow: str, name: str = "faults", **options: Any) -> UUID:
        """A deployment of one of the flows."""
        return self._client.create_deployment(
            self._client.create_flow_from_name(f"faults-{flow}"),
            name,
            entrypoint=f"pulse.py:{flow}",
            job_variables={"command": self._command},
            pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": FOLDER}}],
            tags=["faults"],
            **options,
        )

    def trigger(self, **parameters: Any) -> UUID:
        """Start one run of the load."""
        run = self.start(self.deployment, **parameters)
        self.triggered.append(run)
        return run

    def start(self, deployment: UUID, **parameters: Any) -> UUID:
        """Start one run; what the server does not answer is asked again, for the same run."""
        key = str(uuid.uuid4())

        def ask() -> UUID | None:
            try:
                return self._client.create_flow_run_from_deployment(
                    deployment, parameters=parameters, idempotency_key=key, tags=["faults"]
                ).id
            except httpx.HTTPError:
                self.refused += 1
                return None

        return until(ask, within=180, what="the server takes a run")

    @contextmanager
    def steady(self, runs: int = RUNS) -> Iterator["Load"]:
        """This many runs, one after the other, around what is done meanwhile; afterwards all of them are triggered."""
        failed: list[BaseException] = []

        def trigger() -> None:
            try:
                for _ in range(runs):
                    self.trigger()
                    time.sleep(EVERY)  # the load's own pace
            except BaseException as error:  # told to the test
                failed.append(error)

        thread = threading.Thread(target=trigger, daemon=True)
        thread.start()
        try:
            yield self
        finally:  # a test that fails leaves nothing behind that still triggers
            thread.join()
        if failed:
            raise failed[0]

    def read(self) -> list[FlowRun]:
        """All that should have begun by now; raises httpx.HTTPError."""
        found: list[FlowRun] = []
        ours = DeploymentFilter(id=DeploymentFilterId(any_=[self.deployment]))
        due = FlowRunFilter(expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)))
        asked = {"deployment_filter": ours, "flow_run_filter": due, "limit": 200, "sort": "ID_DESC"}
        while len(found) % 200 == 0:
            page = self._client.read_flow_runs(**asked, offset=len(found))
            if not page:
                break
            found += page
        return found

    def state(self, run: UUID) -> State | None:
        """The state of a run, or None while the server does not answer."""
        try:
            return self._client.read_flow_run(run).state
        except httpx.HTTPError:
            return None

    def slot(self, moment: datetime) -> float:
        """How often the schedule was due before a moment."""
        return (moment.timestamp() - self.since.timestamp()) / SLOTS

    def taken(self) -> dict[str, int]:
        """The slots that are taken of each limit."""
        named = {name: self._client.read_global_concurrency_limit_by_name(name) for name in (LIMIT, f"tag:{TAG}")}
        limits = named | {"deployment": self._client.read_deployment(self.deployment).global_concurrency_limit}
        return {name: limit.active_slots for name, limit in limits.items()}

    def settle(self) -> Counter[str]:
        """Wait until nothing is unfinished any more, and count the states; every slot of the schedule had its run."""
        end = datetime.now(UTC)

        runs: list[FlowRun] = []

        def over() -> bool:
            try:
                runs[:] = [run for run in self.read() if run.expected_start_time <= end]
            except httpx.HTTPError:
                return False
            return all(run.state.is_final() for run in runs)

        until(over, within=SETTLED_WITHIN, what="every run reaches a final state")
        known = {run.id for run in runs}
        missing = [run for run in self.triggered if run not in known]
        assert not missing, f"{len(missing)} triggered runs are gone"
        had = {round(self.slot(run.expected_start_time)) for run in runs if run.auto_scheduled}
        missed = set(range(1, int(self.slot(end)) + 1)) - had
        assert not missed, f"slots of the schedule had no run: {sorted(missed)}, every {SLOTS} s since {self.since}"
        for run in runs:
            if not run.state.is_completed():
                print(f"{run.name} {run.state.name} at {run.state.timestamp:%X}: {run.state.message}")
        return Counter(run.state.name for run in runs)
