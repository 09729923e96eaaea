"""systemd understands every unit, and finds it well locked in."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from given import DOMAIN, ROOT

SYSTEM_UNITS = "usr/lib/systemd/system"
OWN_UNITS = "etc/systemd/system"
NAMES = sorted(path.stem for path in (ROOT / "systemd").glob("*.j2"))
UNITS = [name for name in NAMES if name.endswith((".path", ".service", ".socket", ".target", ".timer"))]
EXPOSED_MOST = 2.0
# It starts as root and hands its work to another user, which takes rights that count; older systemds count more than a
# host's (tests/host/test_units.py).
MORE_EXPOSED = {"nginx.service": 2.8}
SERVICES = [*MORE_EXPOSED, *(name.replace("@.", "@default.") for name in UNITS if name.endswith(".service"))]


def place_of(name: str) -> str:
    """Where a role puts what it renders; of a pool's units, those of the pool `default`."""
    if name == "service.conf":
        return f"{OWN_UNITS}/service.d/notify.conf"
    if name.endswith(".conf"):
        unit, of_pool, _ = name.removesuffix(".conf").removesuffix(".service").partition("@")
        return f"{OWN_UNITS}/{unit}{'@default' if of_pool else ''}.service.d/{name}"
    return f"{OWN_UNITS}/{name}"


@pytest.fixture(scope="session")
def root(rendered: dict[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root folder that has the units where the roles put them, systemd's own, and a stand-in for each program."""
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(Path("/", SYSTEM_UNITS), root / SYSTEM_UNITS, symlinks=True)
    drop_ins = ["service.conf", *(name for name in NAMES if "@" in name and name.endswith(".conf"))]
    texts = {name: rendered["letsencrypt"][f"systemd/{name}"] for name in UNITS + drop_ins}
    texts["nginx.service.conf"] = rendered["letsencrypt"]["nginx/nginx.service.conf"]
    for name, text in texts.items():
        unit = root / place_of(name)
        unit.parent.mkdir(parents=True, exist_ok=True)
        unit.write_text(text)
    for unit in root.rglob("*.service"):
        if unit.is_symlink():
            continue
        for program in re.findall(r"^Exec\w+=[-@:+!]*/(\S+)", unit.read_text(), flags=re.MULTILINE):
            (root / program).parent.mkdir(parents=True, exist_ok=True)
            (root / program).touch(mode=0o755)
    return root


def analyze(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """systemd-analyze, looking at the scratch host."""
    command = shutil.which("systemd-analyze")
    assert command, "systemd-analyze is not installed here: run `apt-get install systemd`"
    return subprocess.run(
        [command, "--no-pager", f"--root={root}", *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say_about_a_unit(root: Path, unit: str) -> None:
    verified = analyze(root, "verify", "--man=no", "--recursive-errors=no", unit.replace("@.", "@default."))
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_no_line_of_a_unit_has_run_into_the_one_before(rendered: dict[str, dict[str, str]], unit: str) -> None:
    text = rendered["letsencrypt"][f"systemd/{unit}"]
    assert not re.findall(r"^\w+=.*\b\w*Environment\w*=.*$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("unit", UNITS)
def test_the_end_of_a_unit_takes_no_memory_away_from_postgresql(rendered: dict[str, dict[str, str]], unit: str) -> None:
    # RemoveIPC removes what belongs to the user: the shared memory of the live cluster too.
    text = rendered["letsencrypt"][f"systemd/{unit}"]
    if "User=postgres\n" in text:
        assert re.findall(r"^RemoveIPC=(.*)$", text, flags=re.MULTILINE)[-1] == "false"


@pytest.mark.parametrize("unit", ["prefect-server.service", "prefect-worker@.service"])
def test_what_is_told_of_a_run_links_to_it(rendered: dict[str, dict[str, str]], unit: str) -> None:
    assert f"\nEnvironment=PREFECT_UI_URL=https://{DOMAIN}\n" in rendered["letsencrypt"][f"systemd/{unit}"]


@pytest.mark.parametrize("unit", SERVICES)
def test_a_unit_is_locked_in(root: Path, unit: str) -> None:
    security = analyze(root, "security", "--offline=true", unit)
    level = re.search(r"Overall exposure level for .*: ([\d.]+)", security.stdout)
    assert level, security.stderr
    assert float(level[1]) <= MORE_EXPOSED.get(unit, EXPOSED_MOST), security.stdout
