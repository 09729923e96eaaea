#!/usr/bin/python3
"""Backs up into one repository after the other: whatever becomes of one, the others have their backup.

Run as postgres, with the type of the backup and the numbers of the repositories. Fails if one got none, and names it.
"""

import subprocess
import sys


def back_up(kind: str, repository: str) -> str:
    """Make one backup, and pass on what pgBackRest says. Returns what went wrong, in one line."""
    command = ("pgbackrest", "--stanza=prefect", f"--repo={repository}", f"--type={kind}", "backup")
    wrong = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            if not wrong and "ERROR: " in line:
                wrong = line.partition("ERROR: ")[2].partition("]: ")[2].strip(" :\n")
    return (wrong or f"pgbackrest ended with {process.returncode}") if process.returncode else ""


def main(kind: str, *repositories: str) -> int:
    """Back up into each."""
    ended = {repository: back_up(kind, repository) for repository in repositories}
    failed = [f"repository {repository} ({wrong})" for repository, wrong in ended.items() if wrong]
    if failed:
        others = "the others have one" if len(failed) < len(repositories) else "no other has one"
        print(f"ERROR: no backup in {', '.join(failed)}; {others}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
