"""What a person types on make's command line reaches the programs letter by letter."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
import summary
import yaml

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
def test_what_a_shell_exports_is_not_typed(name: str) -> None:
    probe = f""".probe: ; @printf %s "$${name}" """
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--silent", "--eval", probe, ".probe"]
    exported = clean | {name: "of the shell"}
    assert subprocess.run(command, cwd=ROOT, env=exported, capture_output=True, text=True, check=True).stdout == ""


def test_what_is_typed_reaches_a_make_within_make() -> None:
    inner = """.inner: ; @printf %s "$$HOST" """
    outer = """.outer: ; @$(MAKE) --silent --eval '$(value inner)' .inner"""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--silent", f"inner={inner}", "--eval", outer, ".outer", "HOST=typed"]
    exported = clean | {"HOST": "of the shell"}
    assert subprocess.run(command, cwd=ROOT, env=exported, capture_output=True, text=True, check=True).stdout == "typed"


def test_whatever_the_list_of_commands_names_must_be_typed() -> None:
    helps = re.findall(r"^[a-z-]+:.*?## (.*)$", MAKEFILE, re.MULTILINE)
    named = {name for text in helps for name in re.findall(r"\b([A-Z_]+)=", text)}
    assert named - {"FAULTS"} == set(TEXTS), "make itself reads FAULTS, to choose among tests"


@pytest.mark.parametrize("name", TEXTS)
def test_no_recipe_pastes_a_text(name: str) -> None:
    assert f"$({name})" not in MAKEFILE


@pytest.mark.parametrize(
    "value", ["$(shell touch touched)", "`touch touched`", "a;touch touched", "a b", "it's", 'quo"te', "a\\", "a#b", ""]
)
@pytest.mark.parametrize("name", ["ENV", "LAB_NAME", "LAB_RELEASE", "LAB_PORT_OFFSET"])
@pytest.mark.parametrize("typed", [True, False], ids=["typed", "exported"])
def test_a_name_that_recipes_paste_is_refused_if_a_shell_would_read_it(
    tmp_path: Path, name: str, value: str, typed: bool
) -> None:
    clean = {key: text for key, text in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", f"--file={ROOT}/Makefile", "help", *([f"{name}={value}"] if typed else [])]
    done = subprocess.run(command, cwd=tmp_path, env=clean | {name: value}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{name}='{value}' cannot be used: give it without blanks and signs" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["BENCH_ROWS", "FAULTS", "TEST_DEADLINE"])
def test_so_is_one_that_need_not_be_there(tmp_path: Path, name: str) -> None:
    clean = {key: text for key, text in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", f"--file={ROOT}/Makefile", "help", f"{name}=$(shell touch touched)"]
    done = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert list(tmp_path.iterdir()) == []


def test_faults_may_be_several(tmp_path: Path) -> None:
    clean = {key: text for key, text in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", f"--file={ROOT}/Makefile", "help", "FAULTS=restore drift"]
    assert subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, check=False).returncode == 0


def test_every_variable_that_may_be_set_is_tried_here() -> None:
    """Each of them is a text, or a name that is refused if it is strange; what is left is the secrets of a job."""
    exported = set(re.findall(r"^(?:[\w% -]+: )?export ([A-Z_]+) \?=", MAKEFILE, re.MULTILINE))
    in_recipes = set(re.findall(r"\$\$\{?!?([A-Z_]{2,})", MAKEFILE)) | set(re.findall(r"\$\(([A-Z_]{2,})\)", MAKEFILE))
    checked = set(
        re.search(r"foreach name,CURDIR (.*)\(foreach optional,([A-Z_ ]+),", MAKEFILE).expand(r"\1 \2").split()
    )
    of_make = {"CURDIR", "MAKE", "MAKECMDGOALS", "MAKEFILE_LIST", "PATH"}
    derived = {"LAB_DIR", "STATE_DIR"}
    assert (exported | in_recipes) - of_make - derived - set(TEXTS) - checked == {"VAULT_PASSWORD"}


def test_a_clone_in_a_folder_with_a_blank_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "my projects"
    folder.mkdir()
    clean = {key: text for key, text in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", f"--file={ROOT}/Makefile", "help"]
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "without blanks and signs by moving the clone to another folder" in done.stderr


@pytest.mark.parametrize("secret", [HOSTILE, "end\\", "-n"])
def test_the_secrets_of_a_job_arrive(tmp_path: Path, secret: str) -> None:
    clean = {key: text for key, text in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    (tmp_path / "vault.yml").touch()
    files = {"vault": tmp_path / "vault.yml", "vault_password": tmp_path / "password"}
    files |= {"ci_key": tmp_path / "key", "ci_known_hosts": tmp_path / "known_hosts"}
    command = ["make", "ci-credentials", "ENV=example", *(f"{name}={path}" for name, path in files.items())]
    secrets = dict.fromkeys(["VAULT_PASSWORD", "SSH_PRIVATE_KEY", "SSH_KNOWN_HOSTS"], secret)
    subprocess.run(command, cwd=ROOT, env=clean | secrets, capture_output=True, check=True)
    for name in ("vault_password", "ci_key", "ci_known_hosts"):
        assert files[name].read_text() == f"{secret}\n"
        assert files[name].stat().st_mode & 0o777 == 0o600


def test_the_values_of_blocks_arrive(tmp_path: Path) -> None:
    signs = "".join(map(chr, range(0x20, 0x7F)))
    secrets = {
        "hostile": HOSTILE,
        "signs": signs,
        "lines": "one\ntwo => {\nthree",
        "templates": "{{ no }}{#",
        "name": "ä",
    }
    lines = "\n".join(f"    {name}: !unsafe {json.dumps(value)}" for name, value in secrets.items())
    hosts = tmp_path / "hosts.yml"
    hosts.write_text(f"all:\n  hosts: {{one: }}\n  vars:\n   prefect_flow_secrets:\n{lines}\n")
    clean = {key: text for key, text in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    probe = """.probe: ; @cat $(facts)"""
    command = ["make", "--silent", "--eval", probe, ".probe", f"ansible_options=-i {hosts}"]
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["msg"]["platform_inventory"]["secrets"] == secrets


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


def logs(folder: Path, *typed: str, **exported: str) -> subprocess.CompletedProcess[str]:
    """`make logs` of an environment of two hosts, of which the second cannot be reached; nginx runs on the first."""
    hosts = {"one": {"ansible_connection": "local"}, "two": {"ansible_host": "127.0.0.1", "ansible_port": 9}}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": {"ansible_become": False}}}))
    journal = folder / "journalctl"
    journal.write_text("""#!/bin/sh\nfor last; do :; done; test "$last" != --unit=ngnix && echo "[1] {{ $last }}"\n""")
    journal.chmod(0o755)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    ready = [f"--assume-old={file}" for file in (".venv/.complete", f"{folder}/.vault-opens")]
    command = [
        "make",
        "--silent",
        "logs",
        *ready,
        f"STATE_DIR={folder}",
        f"ansible_options=-i {folder}/hosts.yml",
        *typed,
    ]
    ours = {
        "PATH": f"{folder}:{clean['PATH']}",
        "ANSIBLE_STRATEGY": "linear",
        "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
    }
    return subprocess.run(command, cwd=ROOT, env=clean | ours | exported, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("unit", ["nginx", "postgresql@*", r"systemd-fsck@dev-disk-by\x2duuid.service"])
def test_logs_are_those_of_the_journal_alone(tmp_path: Path, unit: str) -> None:
    done = logs(tmp_path, f"UNIT={unit}", "HOST=one", UNIT="sshd")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"--- one\n[1] {{{{ --unit={unit} }}}}\n", "")
    assert list(tmp_path.glob("journal.*")) == []


def test_logs_of_a_host_that_is_away_are_missed_in_one_line(tmp_path: Path) -> None:
    done = logs(tmp_path, "UNIT=nginx", HOST="one")
    assert done.stdout.startswith("--- one\n[1] ")
    away, failed = done.stderr.splitlines()
    assert re.fullmatch(
        r"unreachable: two: Read the journal: .*Connection refused.* \(correct ansible_host, .*\)", away
    )
    assert failed.startswith("make: *** ")


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (
            ["UNIT=ngnix", "HOST=one"],
            "failed: localhost: Find the unit: The journal of one has no line of ngnix: correct UNIT=; "
            "`make status ENV=lab` shows the units.",
        ),
        (
            ["UNIT=nginx", "HOST=three"],
            "failed: localhost: Find the hosts: HOST=three is not a host of this environment: use one of one, two.",
        ),
    ],
)
def test_logs_that_are_not_there_are_told_in_one_line(tmp_path: Path, typed: list[str], line: str) -> None:
    done = logs(tmp_path, *typed)
    assert done.stdout == ""
    assert [text for text in done.stderr.splitlines() if not text.startswith("make: *** ")] == [line]
    assert done.returncode == 2


def test_logs_want_a_unit(tmp_path: Path) -> None:
    assert logs(tmp_path).stdout.startswith("Say which: make logs UNIT=prefect-server")
