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
    user, _, password = login.partition(":")
    hooks: dict[str, list[Callable[..., Any]]] = {
        "request": [_ends_by(time.monotonic() + SECONDS)],
        "response": [_refuse_absence],
    }
    try:
        with httpx.Client(base_url=url, auth=(user, password), verify=context, event_hooks=hooks) as api:
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
    """The workers that poll each pool."""
    for pool in _ask(api, "/work_pools/filter"):
        name, registered = pool["name"], _ask(api, f"/work_pools/{pool['name']}/workers/filter")
        online = [worker["name"] for worker in registered if worker["status"] == "ONLINE"]
        paused = " (paused)" if pool["is_paused"] else ""
        logs = make_command(f"logs UNIT=prefect-worker@{name}")
        wrong = None if online else f"no worker polls the pool {name}: {logs}"
        report.line(f"Pool {name}{paused}: workers online: {', '.join(online) or 'none'}", wrong)


def runs(report: Report, api: httpx.Client) -> None:
    """How many runs are in which state, how many wait too long, and the last ones."""

    def count(state: dict[str, Any], **times: dict[str, str]) -> int:
        number: int = _ask(api, "/flow_runs/count", flow_runs={"state": state, **times})
        return number

    def of_type(state_type: str) -> dict[str, Any]:
        return {"type": {"any_": [state_type]}}

    def ago(**duration: int) -> str:
        return (NOW - timedelta(**duration)).isoformat()

    today = {"after_": ago(days=1)}
    counts = {name.capitalize(): count(of_type(name), expected_start_time=today) for name in STARTED}
    report.line("  ".join(f"{name} {number}" for name, number in counts.items()))
    overdue = {"before_": ago(minutes=10)}
    for condition, number in {
        "late": count({"name": {"any_": ["Late"]}}),
        "Pending for more than 10 minutes": count(of_type("PENDING"), expected_start_time=overdue),
        "Cancelling for more than 10 minutes": count(of_type("CANCELLING"), expected_start_time=overdue),
        "Running for more than a day": count(of_type("RUNNING"), start_time={"before_": ago(days=1)}),
    }.items():
        if number:
            verb = "is" if number == 1 else "are"
            report.line(f"{condition}: {number}", f"{number} of the runs {verb} {condition}: docs/monitoring.md")
    started = {"state": {"type": {"any_": STARTED}}}
    for run in _ask(api, "/flow_runs/filter", sort="START_TIME_DESC", limit=5, flow_runs=started):
        when = age(datetime.fromisoformat(run["start_time"])) + " ago" if run["start_time"] else ""
        report.line(f"{run['id']} {run['name'][:28]:28} {run['state_type']:10} {when:>10}")


def _ends_by(deadline: float) -> Callable[[httpx.Request], None]:
    """A hook that gives each request the time that is left."""

    def limit(request: httpx.Request) -> None:
        request.extensions["timeout"] = httpx.Timeout(max(deadline - time.monotonic(), 0.1)).as_dict()

    return limit


def _refuse_absence(response: httpx.Response) -> None:
    """Raise what nginx says of a server that is away (httpx.HTTPError) or held back (HeldBackError)."""
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
