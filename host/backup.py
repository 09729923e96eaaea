"""Backs up into one repository after the other: one that fails does not keep the others from their backup.

Run as postgres: `backup incr 1 2`. Fails if a repository got no backup, and names it. LOCKS names the file of settings
with the annotations of each backup.
"""

import os
import subprocess
from pathlib import Path

from host.readable import one_line

LOCKS = Path(os.environ.get("LOCKS", "/etc/pgbackrest/conf.d/locks.conf"))
# The releases of the flows that deployments run, that of most of them first (deployer/server/kinds/deployments.py)
RELEASES = """
SELECT string_agg(release, ' ' ORDER BY deployments DESC, release)
FROM (SELECT labels ->> 'platform.release' AS release, count(*) AS deployments FROM deployment GROUP BY 1) AS counted
WHERE release IS NOT NULL
"""


def annotations() -> list[str]:
    """The annotations of a backup, as options: on the command line, they replace those of the settings."""
    lines = LOCKS.read_text().splitlines() if LOCKS.exists() else []
    options = [f"--{line}" for line in lines if line.startswith("annotation=")]
    psql = ("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", RELEASES, "prefect")
    query = subprocess.run(psql, capture_output=True, text=True, check=False)
    if query.returncode:  # a backup that does not name it is better than none
        print(f"WARN: the backup does not name the release of the flows: {one_line(query.stderr)}", flush=True)
    elif releases := query.stdout.strip():
        options.append(f"--annotation=release={releases}")
    return options


def back_up(kind: str, repository: str, options: list[str]) -> str:
    """Make one backup, and pass on what pgBackRest prints. Returns the error in one line, "" if there is none."""
    command = ("pgbackrest", "--stanza=prefect", f"--repo={repository}", f"--type={kind}", *options, "backup")
    reason = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            if not reason and "ERROR: " in line:
                reason = line.partition("ERROR: ")[2].partition("]: ")[2].strip(" :\n")
    return (reason or f"pgbackrest ended with {process.returncode}") if process.returncode else ""


def main(kind: str, *repositories: str) -> int:
    """Back up into each of these repositories, which are numbers; `kind` is full, diff or incr."""
    options = annotations()
    errors = {repository: back_up(kind, repository, options) for repository in repositories}
    failed = [f"repository {repository} ({error})" for repository, error in errors.items() if error]
    if failed:
        others = "the others have one" if len(failed) < len(repositories) else "no other has one"
        print(f"ERROR: no backup in {', '.join(failed)}; {others}")
    return int(bool(failed))
