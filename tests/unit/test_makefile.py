"""What a person types on make's command line reaches the programs letter by letter."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
TEXTS = re.search(r"foreach name,([A-Z ]+),", MAKEFILE)[1].split()
HOSTILE = """{"q": "it's $1 $$2 $(shell id) `id` \\d \\"x\\" #h; id & *"}"""


@pytest.mark.parametrize("name", TEXTS)
def test_no_shell_and_no_make_reads_a_text(name: str) -> None:
    probe = f"""probe: ; @printf %s "$${name}" """
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--silent", "--eval", probe, "probe", f"{name}={HOSTILE}"]
    assert subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=True).stdout == HOSTILE


@pytest.mark.parametrize("name", TEXTS)
def test_no_recipe_pastes_a_text(name: str) -> None:
    assert f"$({name})" not in MAKEFILE


def test_an_environment_that_is_not_there_is_told_before_anything_is_built() -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "secrets", "ENV=typo"]
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode
    assert done.stdout.strip() == (
        "ansible/inventories/typo does not exist: cp -r ansible/inventories/example ansible/inventories/typo"
    )
