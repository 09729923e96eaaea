"""The certificate of `self_signed` is made where there is none that holds, and else left alone."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DAYS = 825
Play = Callable[..., str]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Play the role's tasks in a folder; the output has a line for what was made."""
    tls = tmp_path / "tls"
    tasks = ROOT / "ansible/roles/proxy/tasks/self_signed.yml"
    variables = {
        "ansible_python_interpreter": sys.executable,
        "proxy_domain": "prefect.localhost",
        "__proxy_tls_directory": str(tls),
        "__proxy_ca": str(tls / "ca.pem"),
        "__proxy_ca_key": str(tls / "ca.key"),
        "__proxy_ca_days": 7300,
        "__proxy_certificate": str(tls / "site.pem"),
        "__proxy_certificate_key": str(tls / "site.key"),
    }
    whole = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "handlers": [{"name": "Reload nginx", "ansible.builtin.debug": {"msg": "nginx is reloaded"}}],
        "tasks": [{"ansible.builtin.import_tasks": str(tasks)}],
    }

    def play(*options: str, days: int = DAYS) -> str:
        values = variables | {"__proxy_certificate_days": days}
        (tmp_path / "play.yml").write_text(yaml.safe_dump([whole | {"vars": values}]))
        command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", tmp_path / "play.yml"]
        settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STRATEGY": "linear"}
        environment = os.environ | settings
        done = subprocess.run(
            [*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return play


def test_a_certificate_that_holds_is_left_alone(play: Play) -> None:
    assert "nginx is reloaded" in play()
    assert "changed=0 " in play()


def test_one_that_ends_within_30_days_is_made_anew_by_the_same_ca(play: Play, tmp_path: Path) -> None:
    play(days=20)
    ca = (tmp_path / "tls/ca.pem").read_bytes()
    assert "nginx is reloaded" in play()
    assert "changed=0 " in play()
    assert (tmp_path / "tls/ca.pem").read_bytes() == ca


def test_one_that_cannot_be_read_is_made_anew(play: Play, tmp_path: Path) -> None:
    play()
    (tmp_path / "tls/site.pem").write_text("rubbish\n")
    assert "nginx is reloaded" in play()
    assert "changed=0 " in play()


def test_a_dry_run_needs_no_key(play: Play, tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    play("--check")
    assert list((tmp_path / "tls").iterdir()) == []
