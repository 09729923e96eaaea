"""A host has the programs of this checkout in one folder, and nowhere else."""

from hashlib import sha256
from pathlib import Path

import pytest
from programs import PROGRAMS
from testinfra.host import Host

HERE = Path(__file__).parents[2] / "host"


def test_the_host_has_the_programs_of_this_checkout(host: Host) -> None:
    files = [path for path in HERE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    ours = {f"./{path.relative_to(HERE)}": sha256(path.read_bytes()).hexdigest() for path in files}
    sums = host.check_output(f"cd {PROGRAMS} && find . -type f ! -name '*.pyc' -exec sha256sum {{}} +")
    assert dict(line.split()[::-1] for line in sums.splitlines()) == ours


def test_everybody_can_run_them(host: Host) -> None:
    asked = host.run(f"runuser -u nobody -- /usr/bin/python3 {PROGRAMS}")
    assert (asked.rc, asked.stdout) == (1, "")
    assert asked.stderr.startswith("Name a program: ")


@pytest.mark.parametrize(
    "place", ["/opt/prefect/bin", "/opt/prefect/canary", "/opt/prefect/logging", "/usr/local/lib/prefect"]
)
def test_an_earlier_place_is_gone(host: Host, place: str) -> None:
    assert not host.file(place).exists
