"""A repository that takes no backup keeps none from the others, and is named at the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "ansible/roles/backup/files/back-up.py"
PGBACKREST = """#!/bin/sh
echo "$@" >>"$(dirname "$0")/asked"
case "$*" in
*--repo=[{broken}]\\ *) echo "ERROR: [049]: unable to get address for 'store':"; echo "       HINT: try"; exit 49 ;;
esac
"""


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
    fake = tmp_path / "pgbackrest"
    fake.write_text(PGBACKREST.format(broken=broken))
    fake.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, PROGRAM, "incr", "1", "2"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, (done.stdout.splitlines() or [""])[-1]) == (code, last)
    assert (tmp_path / "asked").read_text().splitlines() == [
        f"--stanza=prefect --repo={number} --type=incr backup" for number in (1, 2)
    ]
