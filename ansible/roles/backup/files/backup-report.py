#!/usr/bin/python3
"""Tells how the backups are, in lines for people; fails if one is missing, too old or broken, or if changes pile up.

A failed drill is shown, and has told of itself; one that has not run for too long is a failure. Run as postgres.
MAX_AGE_HOURS says how old the last backup may be, DRILL_MAX_AGE_DAYS how old the last drill, PATIENCE_SECONDS how long
a repository or the database may take to answer, PLATFORM_ENV which environment this is.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

MAX_AGE_HOURS = float(os.environ.get("MAX_AGE_HOURS", "48"))
DRILL_MAX_AGE_DAYS = float(os.environ.get("DRILL_MAX_AGE_DAYS", "16"))
PATIENCE_SECONDS = float(os.environ.get("PATIENCE_SECONDS", "120"))
# At the end of each command for the control machine
ENVIRONMENT = f" ENV={os.environ['PLATFORM_ENV']}" if "PLATFORM_ENV" in os.environ else ""
DRILL = Path("/var/lib/pgbackrest-drill/last.json")
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
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS).stdout


def age(seconds: float) -> str:
    """An age in the largest unit that makes sense."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def size(count: float) -> str:
    """A number of bytes in the largest unit that makes sense."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def repositories() -> Iterator[str]:
    """The last backup of each repository."""
    [stanza] = json.loads(output("pgbackrest", "--stanza=prefect", "--output=json", "info"))
    now = datetime.now(UTC).timestamp()
    for repository in stanza["repo"]:
        name = f"repository {repository['key']}"
        backups = [each for each in stanza["backup"] if each["database"]["repo-key"] == repository["key"]]
        status = repository["status"]
        if status["code"] == AWAY:
            yield f"{PROBLEM}{name} cannot be used: {' '.join(status['message'].split())}"
            continue
        if status["code"] in UNPREPARED:
            mended = f"mount its disk again, or make provision{ENVIRONMENT} prepares it anew"
            yield f"{PROBLEM}{name}: {status['message']}; {mended}"
            continue
        if status["code"] or not backups:
            yield f"{PROBLEM}{name}: {status['message']}; make backup TYPE=full{ENVIRONMENT}"
            continue
        last = backups[-1]
        seconds = now - last["timestamp"]["stop"]
        bad = seconds > MAX_AGE_HOURS * 3600 or last.get("error")
        since = datetime.fromtimestamp(backups[0]["timestamp"]["stop"], UTC)
        yield (
            f"{PROBLEM if bad else ''}{name}: last backup {last['label']} ({last['type']}) {age(seconds)} ago, "
            f"{size(last['info']['repository']['delta'])} of {size(last['info']['size'])}; "
            f"{len(backups)} kept, any moment since {since:%Y-%m-%d %H:%M:%S}+00"
            + (f"; flows {release}" if (release := last.get("annotation", {}).get("release")) else "")
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
        bad, line, since = False, "none yet", Path(__file__)
    overdue = datetime.now(UTC).timestamp() - since.stat().st_mtime > DRILL_MAX_AGE_DAYS * 86400
    if overdue:
        line += f"; none for over {DRILL_MAX_AGE_DAYS:.0f} days: make restore-drill{ENVIRONMENT}"
    return f"{PROBLEM if bad or overdue else ''}drill: {line}", overdue


def look(part: Callable[[], Iterator[str]]) -> list[str]:
    """What a part tells. What cannot be looked at is a problem like the others."""
    try:
        return list(part())
    except subprocess.CalledProcessError as error:
        return [f"{PROBLEM}{part.__name__}: {' '.join((error.stderr or error.stdout).split())}"]
    except subprocess.TimeoutExpired as error:
        return [f"{PROBLEM}{part.__name__}: {error.cmd[0]} has not answered for {PATIENCE_SECONDS:.0f} s"]


def main() -> bool:
    """Tell. Returns whether something is wrong that has not told of itself."""
    with ThreadPoolExecutor() as together:  # both may hang, and somebody may be waiting
        lines = list(chain.from_iterable(together.map(look, (repositories, archive))))
    drilled, overdue = drill()
    print(*lines, drilled, sep="\n")
    return overdue or any(line.startswith(PROBLEM) for line in lines)


if __name__ == "__main__":
    sys.exit(main())
