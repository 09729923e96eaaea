"""What the server runs with, as it says itself."""

from collections.abc import Callable

import pytest


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
