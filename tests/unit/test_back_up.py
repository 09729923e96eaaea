"""A repository that takes no backup keeps none from the others, and is named at the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = [Path(__file__).parents[2] / "host", "backup"]
PSQL = """#!/bin/sh
{}
"""
PGBACKREST = """#!/bin/sh
echo "$@" >>"$(dirname "$0")/asked"
case "$*" in
*--repo=[{broken}]\\ *) echo "ERROR: [049]: unable to get address for 'store':"; echo "       HINT: try"; exit 49 ;;
esac
"""


def back_up(folder: Path, broken: str, psql: str) -> subprocess.CompletedProcess[str]:
    """Back up with stand-ins for pgBackRest and the database."""
    for name, text in (("pgbackrest", PGBACKREST.format(broken=broken)), ("psql", PSQL.format(psql))):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "locks.conf").write_text("[global:backup]\nannotation=server=012\nannotation=worker=345\n")
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "LOCKS": str(folder / "locks.conf")}
    command = [sys.executable, *PROGRAM, "incr", "1", "2"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def asked(folder: Path) -> list[str]:
    """What pgBackRest was asked."""
    return (folder / "asked").read_text().splitlines()


@pytest.mark.parametrize(
    ("psql", "release"),
    [
        ("echo r2 r1", " --annotation=release=r2 r1"),
        ("", ""),
        ("echo no such database >&2; exit 2", ""),
    ],
)
def test_a_backup_names_locks_and_release(tmp_path: Path, psql: str, release: str) -> None:
    done = back_up(tmp_path, "x", psql)
    assert done.returncode == 0
    assert asked(tmp_path)[0] == (
        f"--stanza=prefect --repo=1 --type=incr --annotation=server=012 --annotation=worker=345{release} backup"
    )
    assert ("WARN: the backup does not name the release of the flows: no such database" in done.stdout) == (
        "exit 2" in psql
    )


@pytest.mark.parametrize(
    ("broken", "code", "last"),
    [
        ("x", 0, ""),
        ("1", 1, "ERROR: no backup in repository 1 (unable to get address for 'store'); the others have one"),
        (
            "12",
            1,
            "ERROR: no backup in repository 1 (unable to get address for 'store'), "
            "repository 2 (unable to get address for 'store'); no other has one",
        ),
    ],
)
def test_every_repository_is_backed_up_whatever_becomes_of_the_others(
    tmp_path: Path, broken: str, code: int, last: str
) -> None:
    done = back_up(tmp_path, broken, "")
    assert (done.returncode, (done.stdout.splitlines() or [""])[-1]) == (code, last)
    assert [line.split()[1] for line in asked(tmp_path)] == ["--repo=1", "--repo=2"]
