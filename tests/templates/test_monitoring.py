"""What monitoring/ ships holds together: Prometheus takes it, and each alert fires when it should."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from given import ROOT

MONITORING = ROOT / "monitoring"
PROMTOOL = ROOT / ".cache/promtool"


def promtool(*arguments: str | Path) -> str:
    """What Prometheus' own checker says; `make tools` fetches it."""
    run = subprocess.run([PROMTOOL, *arguments], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_prometheus_takes_the_configuration() -> None:
    assert "SUCCESS" in promtool("check", "config", "--syntax-only", "prometheus.yml")


def test_every_alert_fires_when_it_should() -> None:
    assert "SUCCESS" in promtool("test", "rules", Path(__file__).with_name("rules_test.yml"))


def alerts() -> list[dict]:
    """All of them."""
    return [
        rule for group in yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"] for rule in group["rules"]
    ]


def test_a_unit_of_the_platform_that_fails_has_a_figure() -> None:
    variables = yaml.safe_load((ROOT / "ansible/roles/metrics/vars/main.yml").read_text())
    (included,) = re.findall(r"systemd.unit-include=(\S+)", "\n".join(variables["__metrics_exporters"][0]["arguments"]))
    names = [path.stem.replace("@.", "@one.") for path in (ROOT / "systemd").glob("*.service.j2")]
    assert [name for name in names if not re.fullmatch(included, name) and not name.startswith("notify@")] == []


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_how_bad_it_is_and_what_it_is(alert: dict) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert "\n" not in alert["annotations"]["summary"]


def test_no_panel_of_the_dashboard_lies_over_another() -> None:
    places = [panel["gridPos"] for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
