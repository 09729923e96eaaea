"""What the server, PostgreSQL and the journal run with, as they say themselves; and that old environments go."""

import json
from collections.abc import Callable, Iterator

import pytest
from testinfra.host import Host

ENVIRONMENTS = "/opt/prefect/envs"


@pytest.fixture(scope="module")
def server(ask: Callable[..., dict]) -> dict:
    """The effective settings of the server."""
    return ask("GET", "/admin/settings")["server"]


def test_it_reports_to_nobody(server: dict) -> None:
    assert server["analytics_enabled"] is False
    assert server["ui"]["show_promotional_content"] is False


def test_it_shows_metrics(server: dict) -> None:
    assert server["metrics_enabled"] is True


def test_it_clears_old_runs_and_events(server: dict) -> None:
    assert set(server["services"]["db_vacuum"]["enabled"]) == {"events", "flow_runs"}


def test_it_asks_for_a_password(server: dict) -> None:
    assert server["api"]["auth_string"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("autovacuum", "on"),
        ("autovacuum_vacuum_scale_factor", "0.02"),
        ("autovacuum_vacuum_insert_scale_factor", "0.05"),
        ("autovacuum_analyze_scale_factor", "0.02"),
        ("autovacuum_vacuum_cost_limit", "1000"),
    ],
)
def test_large_tables_are_vacuumed_often(host: Host, name: str, value: str) -> None:
    assert host.check_output("runuser -u postgres -- psql -qtA -d prefect -c %s", f"SHOW {name}") == value


def test_damaged_pages_are_noticed(host: Host) -> None:
    assert host.check_output("runuser -u postgres -- psql -qtA -c 'SHOW data_checksums'") == "on"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("passwordauthentication", "no"),
        ("kbdinteractiveauthentication", "no"),
        ("x11forwarding", "no"),
        ("allowagentforwarding", "no"),
        ("maxauthtries", "3"),
    ],
)
def test_sshd_takes_keys_only(host: Host, name: str, value: str) -> None:
    settings = dict(line.split(" ", 1) for line in host.check_output("sshd -T").splitlines())
    assert settings[name] == value


def test_no_table_is_vacuumed_otherwise(host: Host) -> None:
    query = "SELECT relname FROM pg_class WHERE reloptions::text LIKE '%autovacuum%'"
    assert host.check_output("runuser -u postgres -- psql -qtA -d prefect -c %s", query) == ""


def test_the_journal_has_its_bounds(host: Host) -> None:
    # journald says so when it starts.
    usage = "MESSAGE_ID=ec387f577b844b8fa948f33cad9a75e6 JOURNAL_NAME='System Journal'"
    last = host.check_output(f"journalctl --quiet --no-pager --reverse --lines 1 --output json {usage}")
    assert json.loads(last)["MAX_USE"] == str(1 << 30)  # base_journald_max_use


@pytest.fixture
def environments(host: Host) -> Iterator[tuple[str, str]]:
    """Two that nothing names, of a month ago and of now; uv's cache is left for the tests to come."""
    old, young = (f"{ENVIRONMENTS}/test-{age}" for age in ("00000000old", "000000young"))
    folder = "/run/systemd/system/prefect-prune.service.d"
    host.check_output(
        f"mkdir -p {folder} && printf '[Service]\\nEnvironment=UV_CACHE_DIR=/tmp/uv\\n' > {folder}/test.conf"
    )
    host.check_output(
        "systemctl daemon-reload && mkdir %s %s && touch %s/.complete %s/.complete", old, young, old, young
    )
    host.check_output("touch --date='30 days ago' %s/.complete %s", old, old)
    yield old, young
    host.check_output("rm -rf %s %s %s && systemctl daemon-reload", old, young, folder)


def test_environments_that_nothing_needs_go_by_a_timer(host: Host, environments: tuple[str, str]) -> None:
    timer = host.service("prefect-prune.timer")
    assert timer.is_enabled
    assert timer.is_running
    kept = set(host.file(ENVIRONMENTS).listdir())
    host.check_output("systemctl start prefect-prune")
    gone = kept - set(host.file(ENVIRONMENTS).listdir())
    assert environments[0].rpartition("/")[2] in gone
    assert not [name for name in gone if not name.startswith("test-")]
    assert host.file(environments[1]).exists
