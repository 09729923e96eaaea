#!/usr/bin/python3
"""Backs up into one repository after the other: whatever becomes of one, the others have their backup.

Run as postgres, with the type of the backup and the numbers of the repositories. Fails if one got none, and names it.
LOCKS says in which file of settings the annotations stand that each backup has.
"""

import os
import subprocess
import sys
from pathlib import Path

LOCKS = Path(os.environ.get("LOCKS", "/etc/pgbackrest/conf.d/locks.conf"))
# The releases of the flows that deployments run, that of most of them first (deployer/server/kinds/deployments.py)
RELEASES = """
SELECT string_agg(release, ' ' ORDER BY deployments DESC, release)
FROM (SELECT labels ->> 'platform.release' AS release, count(*) AS deployments FROM deployment GROUP BY 1) AS of_each
WHERE release IS NOT NULL
"""


def annotations() -> list[str]:
    """The annotations of a backup, as options: on the command line, they replace those of the settings."""
    lines = LOCKS.read_text().splitlines() if LOCKS.exists() else []
    options = [f"--{line}" for line in lines if line.startswith("annotation=")]
    psql = ("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", RELEASES, "prefect")
    asked = subprocess.run(psql, capture_output=True, text=True, check=False)
    if asked.returncode:  # a backup that does not name it is better than none
        print(f"WARN: the backup does not name the release of the flows: {' '.join(asked.stderr.split())}", flush=True)
    elif releases := asked.stdout.strip():
        options.append(f"--annotation=release={releases}")
    return options


def back_up(kind: str, repository: str, options: list[str]) -> str:
    """Make one backup, and pass on what pgBackRest says. Returns what went wrong, in one line."""
    command = ("pgbackrest", "--stanza=prefect", f"--repo={repository}", f"--type={kind}", *options, "backup")
    wrong = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            if not wrong and "ERROR: " in line:
                wrong = line.partition("ERROR: ")[2].partition("]: ")[2].strip(" :\n")
    return (wrong or f"pgbackrest ended with {process.returncode}") if process.returncode else ""


def main(kind: str, *repositories: str) -> int:
    """Back up into each."""
    options = annotations()
    ended = {repository: back_up(kind, repository, options) for repository in repositories}
    failed = [f"repository {repository} ({wrong})" for repository, wrong in ended.items() if wrong]
    if failed:
        others = "the others have one" if len(failed) < len(repositories) else "no other has one"
        print(f"ERROR: no backup in {', '.join(failed)}; {others}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
