"""What the tests that break something have in common."""

import time
from uuid import UUID

from load import Load
from restoring import command
from testinfra.host import Host
from waiting import until

WORKER = "prefect-worker@default"
SERVER = "prefect-server"


def main_pid(host: Host, unit: str) -> str:
    """The process that systemd watches."""
    return host.check_output("systemctl show --property MainPID --value %s", unit)


def restarted(host: Host, unit: str, before: str) -> None:
    """Wait until another process runs."""
    until(
        lambda: main_pid(host, unit) not in (before, "0") and host.service(unit).is_running,
        within=180,
        what=f"{unit} runs again",
    )


def status() -> tuple[str, float]:
    """What `make status` says, however it ends, and how many seconds it took."""
    started = time.monotonic()
    said, _ = command("status").communicate()
    return said, round(time.monotonic() - started, 1)


def at_once(seconds: float, usual: float) -> bool:
    """Whether a status took no longer than it may while something hangs: it waits for all that hangs at once."""
    return seconds <= 2 * usual + 10


def began(load: Load, run: UUID) -> None:
    """Wait until a run is Running."""
    until(lambda: (state := load.state(run)) and state.is_running(), within=120, what="the run has begun")


def process_of(host: Host, run: UUID) -> str:
    """The process that runs it."""
    # Other processes end meanwhile, which grep reports by its exit status.
    files = host.run(f"grep -lsz '^PREFECT__FLOW_RUN_ID={run}$' /proc/[0-9]*/environ").stdout
    assert files, f"no process runs {run}"
    return files.split("/")[2]


def crashed_after(load: Load, run: UUID, moment: float) -> float:
    """Seconds from a moment to when the server called the run Crashed."""

    def crashed() -> float | None:
        state = load.state(run)
        return state.timestamp.timestamp() if state and state.is_crashed() else None

    return round(until(crashed, within=400, what="the run is Crashed") - moment, 1)
