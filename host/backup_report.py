"""Reports how the backups are, in lines for people; fails if one is missing, too old or broken, or if changes pile up.

A failed drill is shown, and has notified you itself; one that has not run for too long is a failure. Run as postgres.
MAX_AGE_HOURS says how old the last backup may be, DRILL_MAX_AGE_DAYS how old the last drill, PATIENCE_SECONDS how long
a repository or the database may take to answer, PLATFORM_ENV which environment this is.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from host.commands import ENVIRONMENT
from host.readable import age, one_line, size

MAX_AGE_HOURS = float(os.environ.get("MAX_AGE_HOURS", "48"))
DRILL_MAX_AGE_DAYS = float(os.environ.get("DRILL_MAX_AGE_DAYS", "16"))
PATIENCE_SECONDS = float(os.environ.get("PATIENCE_SECONDS", "120"))
DRILL = Path("/var/lib/pgbackrest-drill/last.json")
# As old as the installation of the drill
DRILL_TIMER = Path("/etc/systemd/system/pgbackrest-drill.timer")
ARCHIVER = """
SELECT coalesce(extract(epoch FROM now() - last_archived_time)::bigint, -1),
       coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false)
FROM pg_stat_archiver
"""
PROBLEM = "PROBLEM: "
# pgBackRest's codes: it could not reach the repository
AWAY = 99
# ... the repository has no stanza (its folder is gone), or a stanza without data
UNPREPARED = (1, 3)


def output(*command: str) -> str:
    """What a command prints; raises subprocess.CalledProcessError or subprocess.TimeoutExpired."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS).stdout


def repositories() -> Iterator[str]:
    """A line on the last backup of each repository."""
    [stanza] = json.loads(output("pgbackrest", "--stanza=prefect", "--output=json", "info"))
    for repository in stanza["repo"]:
        key = repository["key"]
        backups = [backup for backup in stanza["backup"] if backup["database"]["repo-key"] == key]
        yield last_backup(f"repository {key}", repository["status"], backups)


def last_backup(name: str, status: dict[str, Any], backups: list[dict[str, Any]]) -> str:
    """A line on the last of the backups of a repository, by its status; both are as pgBackRest has them."""
    if status["code"] == AWAY:
        return f"{PROBLEM}{name} cannot be used: {one_line(status['message'])}"
    if status["code"] in UNPREPARED:
        mend = f"mount its disk again, or make provision{ENVIRONMENT} prepares it anew"
        return f"{PROBLEM}{name}: {status['message']}; {mend}"
    if status["code"] or not backups:
        return f"{PROBLEM}{name}: {status['message']}; make backup TYPE=full{ENVIRONMENT}"
    last = backups[-1]
    seconds = datetime.now(UTC).timestamp() - last["timestamp"]["stop"]
    bad = seconds > MAX_AGE_HOURS * 3600 or last.get("error")
    since = datetime.fromtimestamp(backups[0]["timestamp"]["stop"], UTC)
    release = last.get("annotation", {}).get("release")
    return (
        f"{PROBLEM if bad else ''}{name}: last backup {last['label']} ({last['type']}) {age(seconds)} ago, "
        f"{size(last['info']['repository']['delta'])} of {size(last['info']['size'])}; "
        f"{len(backups)} kept, any moment since {since:%Y-%m-%d %H:%M:%S}+00"
        + (f"; flows {release}" if release else "")
    )


def archive() -> Iterator[str]:
    """Whether changes get into the archive."""
    psql = ("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--field-separator= ", "--command", ARCHIVER)
    seconds, failing = output(*psql, "postgres").split()
    when = f"last segment {age(int(seconds))} ago" if int(seconds) >= 0 else "nothing yet"
    yield f"{PROBLEM if failing == 't' else ''}archive: {when}{', the next one fails' if failing == 't' else ''}"


def drill() -> tuple[str, bool]:
    """How the last restore drill ended, and whether it is overdue: the first one counts from the installation."""
    if DRILL.exists():
        last = json.loads(DRILL.read_text())
        bad, line, since = not last["passed"], f"{last['finished']} {last['message']}", DRILL
    else:
        bad, line, since = False, "none yet", DRILL_TIMER
    overdue = datetime.now(UTC).timestamp() - since.stat().st_mtime > DRILL_MAX_AGE_DAYS * 86400
    if overdue:
        line += f"; none for over {DRILL_MAX_AGE_DAYS:.0f} days: make restore-drill{ENVIRONMENT}"
    return f"{PROBLEM if bad or overdue else ''}drill: {line}", overdue


def look(part: Callable[[], Iterator[str]]) -> list[str]:
    """The lines of a part. What cannot be looked at is a problem like the others."""
    try:
        return list(part())
    except subprocess.CalledProcessError as error:
        return [f"{PROBLEM}{part.__name__}: {one_line(error.stderr or error.stdout)}"]
    except subprocess.TimeoutExpired as error:
        return [f"{PROBLEM}{part.__name__}: {error.cmd[0]} has not answered for {PATIENCE_SECONDS:.0f} s"]


def main() -> int:
    """Print the report. Returns 1 if there is a problem that has not notified you itself."""
    with ThreadPoolExecutor() as threads:  # both may hang, and somebody may be waiting
        lines = list(chain.from_iterable(threads.map(look, (repositories, archive))))
    drill_line, overdue = drill()
    print(*lines, drill_line, sep="\n")
    return int(overdue or any(line.startswith(PROBLEM) for line in lines))
