"""A host gets the whole package, and a program that runs restarts when what it consists of changes."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from host.__main__ import PROGRAMS

ROOT = Path(__file__).parents[2]
HOST = ROOT / "host"
FILES = {path.relative_to(ROOT) for path in HOST.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
# They run in the environments of the server and of the workers.
WITH_PREFECT = ("encryption", "server", "worker")
# What a unit names, besides the program
BESIDE = {
    "server": {"after_outage.sql", "encryption.py", "leases.py"},
    "worker": {"logs/logging.yml", "logs/prefect_journal.py", "logs/prefect_text.py"},
}


def variables(role: str) -> dict:
    """The internal variables of a role."""
    return yaml.safe_load((ROOT / f"ansible/roles/{role}/vars/main.yml").read_text())


def imported(file: Path) -> Iterator[Path]:
    """A module of the package, and all of the package that it imports."""
    yield file
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "host":
            module = HOST.parent / node.module.replace(".", "/")
            names = [module / f"{alias.name}.py" for alias in node.names] if module.is_dir() else [module]
            for name in names:
                yield from imported(name.with_suffix(".py"))


def test_every_file_is_installed() -> None:
    patterns = variables("base")["__base_program_patterns"]
    assert {path.relative_to(ROOT) for pattern in patterns for path in ROOT.glob(pattern)} == FILES


@pytest.mark.parametrize("program", ["server", "worker"])
def test_a_change_of_what_it_consists_of_restarts_it(program: str) -> None:
    needed = {HOST / name for name in ("__init__.py", "__main__.py", f"{program}.py", *BESIDE[program])}
    needed |= {path for file in needed if file.suffix == ".py" for path in imported(file)}
    listed = variables(f"prefect_{program}")[f"__prefect_{program}_programs"]
    assert set(listed) == {str(path.relative_to(HOST)) for path in needed}
    [unit] = ROOT.glob(f"systemd/prefect-{program}[@.]*service.j2")
    assert f"X-RestartTriggers={{{{ __prefect_{program}_programs_hash }}}}" in unit.read_text()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_unit_starts_it(program: str) -> None:
    lines = [line for unit in ROOT.glob("systemd/*.j2") for line in unit.read_text().splitlines()]
    assert [line for line in lines if f"{{{{ platform_programs }}}} {program} " in f"{line} "]


@pytest.mark.parametrize("module", ["logs.prefect_journal", *(name for name in PROGRAMS if name not in WITH_PREFECT)])
def test_it_needs_the_standard_library_alone(module: str) -> None:
    command = [
        sys.executable,
        "-I",
        "-S",
        "-B",
        "-c",
        f"import sys; sys.path[:0] = [{str(ROOT)!r}]; import host.{module}",
    ]
    subprocess.run(command, check=True)


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program as on a host: by a Python without packages, from any folder, and through the link."""
    (tmp_path / "1").mkdir()
    (tmp_path / "1/host").symlink_to(HOST)
    (tmp_path / "current").symlink_to("1")
    command = [sys.executable, "-S", "-B", tmp_path / "current/host", *arguments]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)


def test_a_program_runs_by_its_name(tmp_path: Path) -> None:
    ended = run(tmp_path, "disk_space", "-1", str(tmp_path))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"{tmp_path}: ")


@pytest.mark.parametrize("arguments", [(), ("format_disk",)])
def test_another_name_is_refused_in_one_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = run(tmp_path, *arguments)
    assert ended.returncode == 1
    assert ended.stderr == f"Name a program: python3 {tmp_path}/current/host <{'|'.join(PROGRAMS)}> …\n"
