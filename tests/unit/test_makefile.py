"""What a person types on make's command line reaches the programs letter by letter."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
import summary

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
TEXTS = re.search(r"foreach name,([A-Z ]+),", MAKEFILE)[1].split()
HOSTILE = """{"q": "it's $1 $$2 $(shell id) `id` \\d \\"x\\" #h; id & *"}"""


@pytest.mark.parametrize("name", TEXTS)
def test_no_shell_and_no_make_reads_a_text(name: str) -> None:
    probe = f""".probe: ; @printf %s "$${name}" """
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--silent", "--eval", probe, ".probe", f"{name}={HOSTILE}"]
    assert subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=True).stdout == HOSTILE


@pytest.mark.parametrize("name", TEXTS)
def test_no_recipe_pastes_a_text(name: str) -> None:
    assert f"$({name})" not in MAKEFILE


def test_a_value_that_lacks_its_quotes_is_noticed_before_anything_is_done() -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "restore", "TIME=2026-11-20", "14:00:00+00"]
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'14:00:00+00' is no command" in done.stderr
    assert "A value with a blank needs quotes: TIME='2026-11-20 14:00:00+00'" in done.stderr


def test_an_environment_that_is_not_there_is_told_before_anything_is_built() -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "secrets", "ENV=typo"]
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode
    assert done.stdout.strip() == (
        "ansible/inventories/typo does not exist: cp -r ansible/inventories/example ansible/inventories/typo"
    )


@pytest.mark.parametrize(
    ("tests", "code", "end"),
    [
        ("sleep 600", 0, "Not run\ntests/faults/test_some.py: the deadline came before its end"),
        ("true", 0, "\n0 passed"),
        ("exit 1", 2, "Failed outside of pytest\nmake: *** [Makefile"),
        (
            "exit 137",
            2,
            "Failed outside of pytest\nmake: *** [Makefile",
        ),  # the kernel killed pytest, for want of memory
    ],
)
def test_a_fault_that_is_not_over_at_the_deadline_is_interrupted_and_named(
    tests: str, code: int, end: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    clean["TEST_DEADLINE"] = str(int(time.time()) + (1 if tests.startswith("sleep") else 600))
    command = ["make", "test-faults-some", f"pytest=sh -c '{tests}'", f"reports={tmp_path}"]
    with (tmp_path / "output.log").open("w") as output:
        done = subprocess.run(command, cwd=ROOT, env=clean, stdout=output, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == code
    summary.main(tmp_path)
    assert end in capsys.readouterr().out
