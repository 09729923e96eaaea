"""Health, workers and runs, as the server knows them."""

import ssl
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx

from deployer.commands import make_command
from status.report import NOW, Report, age

# For all questions together: somebody is waiting
SECONDS = 8
# What ansible/restore.yml keeps the queues in that it holds
HELD = "platform_restore_holds"
STARTED = ("PENDING", "RUNNING", "COMPLETED", "FAILED", "CRASHED", "CANCELLED")


class HeldBackError(Exception):
    """Somebody holds the server back by `make maintenance`; says why."""


def tell(report: Report, url: str, login: str, ca: str) -> None:
    """Ask the server; that it does not answer is told too."""
    logs = make_command("logs UNIT=prefect-server")
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        reason, mended = error.strerror or error, make_command("provision TAGS=proxy")
        problem = f"{ca}, which checks {url}, cannot be read ({reason}): {mended}, or correct prefect_api_ca"
        report.line("Server: not asked, as the file of its CA cannot be read", problem)
        return
    hooks = {"request": [_ends_by(time.monotonic() + SECONDS)], "response": [_refuse_absence]}
    try:
        with httpx.Client(base_url=url, auth=tuple(login.split(":", 1)), verify=context, event_hooks=hooks) as api:
            report.line(
                f"Server: Prefect {_answer(api.get('/admin/version'))}, {_answer(api.get('/ready'))['message']}"
            )
            if api.get(f"/variables/name/{HELD}").is_success:
                report.line("Work: held since a restore", f"no run starts since a restore: {make_command('resume')}")
            workers(report, api)
            report.title("Runs of the last 24 hours")
            runs(report, api)
    except HeldBackError as error:
        report.line(f"Server: held back: {error}", f"{url} is held back ({error}): {make_command('maintenance OFF=1')}")
    except (httpx.HTTPError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        report.line(f"Server: {reason}", f"{url} does not answer as it should ({reason}): {logs}")


def workers(report: Report, api: httpx.Client) -> None:
    """Who polls each pool."""
    for pool in _ask(api, "/work_pools/filter"):
        name, found = pool["name"], _ask(api, f"/work_pools/{pool['name']}/workers/filter")
        online = [worker["name"] for worker in found if worker["status"] == "ONLINE"]
        paused = " (paused)" if pool["is_paused"] else ""
        logs = make_command(f"logs UNIT=prefect-worker@{name}")
        wrong = None if online else f"no worker polls the pool {name}: {logs}"
        report.line(f"Pool {name}{paused}: workers online: {', '.join(online) or 'none'}", wrong)


def runs(report: Report, api: httpx.Client) -> None:
    """How many of which state, which of them wait too long, and the last ones."""

    def count(*types: str, name: str | None = None, **times: dict[str, str]) -> int:
        state = {"name": {"any_": [name]}} if name else {"type": {"any_": types}}
        return _ask(api, "/flow_runs/count", flow_runs={"state": state, **times})

    def ago(**long: int) -> str:
        return (NOW - timedelta(**long)).isoformat()

    lately = {"expected_start_time": {"after_": ago(days=1)}}
    report.line("  ".join(f"{state.capitalize()} {count(state, **lately)}" for state in STARTED))
    waiting = {"expected_start_time": {"before_": ago(minutes=10)}}
    for what, number in {
        "late": count(name="Late"),
        "Pending for more than 10 minutes": count("PENDING", **waiting),
        "Cancelling for more than 10 minutes": count("CANCELLING", **waiting),
        "Running for more than a day": count("RUNNING", start_time={"before_": ago(days=1)}),
    }.items():
        if number:
            report.line(
                f"{what}: {number}", f"{number} of the runs {'is' if number == 1 else 'are'} {what}: docs/monitoring.md"
            )
    started = {"state": {"type": {"any_": STARTED}}}
    for run in _ask(api, "/flow_runs/filter", sort="START_TIME_DESC", limit=5, flow_runs=started):
        when = age(datetime.fromisoformat(run["start_time"])) + " ago" if run["start_time"] else ""
        report.line(f"{run['id']} {run['name'][:28]:28} {run['state_type']:10} {when:>10}")


def _ends_by(deadline: float) -> Callable[[httpx.Request], None]:
    """Gives each request the time that is left."""

    def limit(request: httpx.Request) -> None:
        request.extensions["timeout"] = httpx.Timeout(max(deadline - time.monotonic(), 0.1)).as_dict()

    return limit


def _refuse_absence(response: httpx.Response) -> None:
    """Raises what nginx says of a server that is away, or that is held back."""
    if response.headers.get("Prefect-Maintenance") != "true":
        return
    response.read()
    answer = response.json()
    reason = answer["detail"].removeprefix("Prefect is away: ")
    raise HeldBackError(reason) if answer.get("held_back") else httpx.HTTPError(reason)


def _ask(api: httpx.Client, path: str, **question: Any) -> Any:
    return _answer(api.post(path, json=question))


def _answer(response: httpx.Response) -> Any:
    return response.raise_for_status().json()
