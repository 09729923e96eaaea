"""Restores the last backup of each repository into a scratch cluster, checks it, and removes it.

Run as postgres, by pgbackrest-drill.service, with PostgreSQL's programs in PATH. It prints how it ended, and keeps that
in last.json of the unit's folder.
"""

import json
import os
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from host.commands import ENVIRONMENT
from host.readable import one_line, size

FOLDER = Path(os.environ.get("STATE_DIRECTORY", "/var/lib/pgbackrest-drill"))
DATA = FOLDER / "data"
LOG, LAST = FOLDER / "log", FOLDER / "last.json"
LIVE = Path("/var/run/postgresql")
# A change goes to the archive within minutes, more of them in a segment.
MOST_BEHIND = 3600
# A week of changes is read in less.
RECOVERY_SECONDS = 6 * 3600
# A standby that answers would need the settings of the cluster that made the archive.
SETTINGS = f"""
listen_addresses = ''
unix_socket_directories = '{FOLDER}'
hot_standby = off
shared_buffers = 64MB
autovacuum = off
fsync = off
jit = off
"""
SUMMARY = """
SELECT (SELECT version_num FROM alembic_version), (SELECT count(*) FROM flow_run),
       (SELECT coalesce(extract(epoch FROM max(updated)), 0)::bigint FROM flow_run)
"""
FIRST_CHANGE = """
SELECT coalesce(extract(epoch FROM min(updated)), {started})::bigint
FROM flow_run WHERE updated > to_timestamp({since}) AND updated <= to_timestamp({started})
"""


class DrillError(Exception):
    """The drill has failed; says why in one line."""


def run(*command: str | Path) -> str:
    """What a command prints; raises DrillError with the end of its errors."""
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise DrillError(f"{Path(command[0]).name}: {one_line(process.stderr or process.stdout)[-500:]}")
    return process.stdout


def pgbackrest(*arguments: str) -> str:
    """What pgBackRest prints."""
    return run("pgbackrest", "--stanza=prefect", *arguments)


def ask(socket: Path, query: str) -> list[str]:
    """The columns that a cluster answers."""
    psql = ("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--field-separator= ", f"--host={socket}")
    return run(*psql, f"--command={query}", "prefect").split()


def summary(socket: Path) -> tuple[str, int, int]:
    """Version of the schema, number of flow runs, and when the last of them changed."""
    version, runs, changed = ask(socket, SUMMARY)
    return version, int(runs), int(changed)


def restore(repository: int, needed: float) -> None:
    """Bring the last backup, and all changes since, into a cluster that archives nothing; it needs so many bytes."""
    shutil.rmtree(DATA, ignore_errors=True)
    if (free := shutil.disk_usage(FOLDER).free) < needed:
        raise DrillError(f"{FOLDER} has {size(free)} free, the drill needs {size(needed)}: make room")
    DATA.mkdir(mode=0o700)
    pgbackrest(f"--repo={repository}", f"--pg1-path={DATA}", "--archive-mode=off", "restore")
    (DATA / "postgresql.conf").write_text(SETTINGS)
    (DATA / "pg_hba.conf").write_text("local all postgres peer\n")
    (DATA / "pg_ident.conf").touch()


def recover() -> None:
    """Wait until all changes are read from the archive."""
    ready, rejecting = 0, 1
    deadline = time.monotonic() + RECOVERY_SECONDS
    while (code := subprocess.run(["pg_isready", "--quiet", f"--host={FOLDER}"], check=False).returncode) == rejecting:
        if time.monotonic() > deadline:
            raise DrillError(f"the archive was not read in {RECOVERY_SECONDS // 3600} h: see how busy this host is")
        time.sleep(1)
    if code != ready:
        fatal = [line for line in LOG.read_text().splitlines() if "FATAL" in line or "PANIC" in line]
        raise DrillError(f"the restored cluster ended while it read the archive: {(fatal or ['see its log'])[-1]}")


def seconds_behind(restored: int, backup: int, started: int) -> int:
    """How long before the drill the first change was made that did not come back, 0 if all came (Unix times).

    A database may have been idle for days before it. One that had no flow run yet when it was backed up comes back as
    it was at the end of the backup.
    """
    since = max(restored, backup) + 1  # it is rounded
    [first] = ask(LIVE, FIRST_CHANGE.format(since=since, started=started))
    return started - int(first)


def check(started: int, backup: int) -> str:
    """Read every page and every row of the backup that ended then (Unix times). Returns a summary of it."""
    LOG.unlink(missing_ok=True)
    run("pg_ctl", "start", "--silent", f"--pgdata={DATA}", f"--log={LOG}")
    try:
        recover()
        run("pg_amcheck", f"--host={FOLDER}", "--install-missing", "--database=prefect")
        run("pg_dump", f"--host={FOLDER}", "--file=/dev/null", "prefect")
        version, runs, changed = summary(FOLDER)
    finally:
        subprocess.run(["pg_ctl", "stop", "--mode=immediate", "--silent", f"--pgdata={DATA}"], check=False)
    if (behind := seconds_behind(changed, backup, started)) > MOST_BEHIND:
        raise DrillError(
            f"what was restored is {behind} s behind the live database: see whether its changes are archived"
        )
    return f"{runs} flow runs, {behind} s behind, schema {version}"


def drill_repository(number: int, backups: list[dict[str, Any]]) -> str:
    """Try the last of these backups of a repository, which are as pgBackRest has them. Returns a summary."""
    if not backups:
        raise DrillError(f"no backup can be seen: make status{ENVIRONMENT}")
    started = int(time.time())
    restore(number, 1.2 * backups[-1]["info"]["size"])
    return f"{backups[-1]['label']} has {check(started, backups[-1]['timestamp']['stop'])}"


def drill() -> str:
    """Try every repository, also after one that fails. Returns a summary; raises DrillError if one failed."""
    [stanza] = json.loads(pgbackrest("info", "--output=json"))
    errors, summaries = [], []
    for number in (repository["key"] for repository in stanza["repo"]):
        backups = [backup for backup in stanza["backup"] if backup["database"]["repo-key"] == number]
        try:
            summaries.append(f"repository {number}: {drill_repository(number, backups)}")
        except DrillError as error:
            errors.append(f"repository {number}: {error}")
    if errors:
        raise DrillError("; ".join(errors + summaries))
    return "; ".join(summaries)


def main() -> int:
    """Drill, print and keep how it ended. Returns 1 if it failed."""
    started = time.monotonic()
    try:
        passed, message = True, drill()
    except DrillError as error:
        passed, message = False, str(error)
    finally:
        shutil.rmtree(DATA, ignore_errors=True)
    seconds = round(time.monotonic() - started)
    message = f"passed in {seconds} s: {message}" if passed else f"failed: {message}"
    finished = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S+00")
    LAST.write_text(json.dumps({"finished": finished, "seconds": seconds, "passed": passed, "message": message}) + "\n")
    print("drill:" if passed else "ERROR: drill:", message)
    return 0 if passed else 1
