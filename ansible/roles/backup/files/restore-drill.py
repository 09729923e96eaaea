#!/usr/bin/python3
"""Restores the last backup of each repository into a scratch cluster, checks what is there, and removes it.

Run as postgres, by pgbackrest-drill.service, with PostgreSQL's programs in PATH. How it ended is told, and kept in
last.json of the unit's folder.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(os.environ["STATE_DIRECTORY"])
DATA = FOLDER / "data"
LOG, LAST = FOLDER / "log", FOLDER / "last.json"
LIVE = Path("/var/run/postgresql")
# At the end of each command for the control machine
ENVIRONMENT = f" ENV={os.environ['PLATFORM_ENV']}" if "PLATFORM_ENV" in os.environ else ""
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


class Failed(Exception):
    """The drill has failed; says why in one line."""


def run(*command: str | Path) -> str:
    """What a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise Failed(f"{Path(command[0]).name}: {said[-500:]}")
    return done.stdout


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


def restore(repository: int, size: int) -> None:
    """Bring the last backup, and all changes since, into a cluster that archives nothing."""
    shutil.rmtree(DATA, ignore_errors=True)
    if (free := shutil.disk_usage(FOLDER).free) < 1.2 * size:
        raise Failed(f"{FOLDER} has {free / 1e9:.1f} GB free, the drill needs {1.2 * size / 1e9:.1f} GB: make room")
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
            raise Failed(f"the archive was not read in {RECOVERY_SECONDS // 3600} h: see how busy this host is")
        time.sleep(1)
    if code != ready:
        fatal = [line for line in LOG.read_text().splitlines() if "FATAL" in line or "PANIC" in line]
        raise Failed(f"the restored cluster ended while it read the archive: {(fatal or ['see its log'])[-1]}")


def seconds_behind(restored: int, backup: int, started: int) -> int:
    """How long before the drill the first change was made that did not come back, 0 if all came (Unix times).

    A database may have been idle for days before it. One that had no flow run yet when it was backed up comes back as
    it was at the end of the backup.
    """
    since = max(restored, backup) + 1  # it is rounded
    [first] = ask(LIVE, FIRST_CHANGE.format(since=since, started=started))
    return started - int(first)


def check(started: int, backup: int) -> str:
    """Read every page and every row of the backup that ended then. Returns what was found."""
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
        raise Failed(f"what was restored is {behind} s behind the live database: see whether its changes are archived")
    return f"{runs} flow runs, {behind} s behind, schema {version}"


def drill_one(number: int, backups: list[dict]) -> str:
    """Try one repository. Returns what was found."""
    if not backups:
        raise Failed(f"no backup can be seen: make status{ENVIRONMENT}")
    started = int(time.time())
    restore(number, backups[-1]["info"]["size"])
    return f"{backups[-1]['label']} has {check(started, backups[-1]['timestamp']['stop'])}"


def drill() -> str:
    """Try every repository, whatever becomes of the others. Returns what was found."""
    [stanza] = json.loads(pgbackrest("info", "--output=json"))
    wrong, found = [], []
    for number in (repository["key"] for repository in stanza["repo"]):
        backups = [each for each in stanza["backup"] if each["database"]["repo-key"] == number]
        try:
            found.append(f"repository {number}: {drill_one(number, backups)}")
        except Failed as error:
            wrong.append(f"repository {number}: {error}")
    if wrong:
        raise Failed("; ".join(wrong + found))
    return "; ".join(found)


def main() -> int:
    """Drill, tell and keep how it ended."""
    started = time.monotonic()
    try:
        passed, message = True, drill()
    except Failed as error:
        passed, message = False, str(error)
    finally:
        shutil.rmtree(DATA, ignore_errors=True)
    seconds = round(time.monotonic() - started)
    message = f"passed in {seconds} s: {message}" if passed else f"failed: {message}"
    finished = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S+00")
    LAST.write_text(json.dumps({"finished": finished, "seconds": seconds, "passed": passed, "message": message}) + "\n")
    print("drill:" if passed else "ERROR: drill:", message)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
