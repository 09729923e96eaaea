"""The one door: HTTPS, with a certificate that clients check, and a password."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import certifi
import pytest
import requests
from lab import Site, notifications
from pydantic import SecretStr
from testinfra.host import Host
from waiting import until

LOCKED = ["/api/admin/version", "/api/admin/settings", "/api/flows/filter", "/api/metrics"]


@pytest.mark.parametrize("path", LOCKED)
@pytest.mark.parametrize("login", [None, SecretStr("admin:wrong"), SecretStr("admin:")], ids=["no", "wrong", "empty"])
def test_without_the_password_there_is_nothing(site: Site, path: str, login: SecretStr | None) -> None:
    assert site.get(path, login).status_code == 401


def test_the_password_opens(site: Site, login: SecretStr) -> None:
    assert site.get("/api/admin/version", login).status_code == 200


def test_metrics_are_there_for_those_who_may_see_them(site: Site, login: SecretStr) -> None:
    assert "\nprefect_" in site.get("/api/metrics", login).text


@pytest.mark.parametrize("path", ["/api/health", "/api/ready"])
def test_anybody_may_ask_how_it_is(site: Site, path: str) -> None:
    assert site.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_nobody_gets_the_schema_that_takes_the_server_seconds(site: Site, path: str) -> None:
    assert site.get(path).status_code == 404


def test_a_page_of_another_origin_may_not_call_the_api(site: Site) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = requests.options(site.url + "/api/flows/filter", headers=headers, verify=site.ca, timeout=30)
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_redirect_of_the_server_stays_on_the_site(site: Site, login: SecretStr) -> None:
    user, _, password = login.get_secret_value().partition(":")
    answer = requests.post(
        site.url + "/api/flows/filter/",
        auth=(user, password),
        json={},
        headers={"Host": f"{site.domain}:4444"},
        verify=site.ca,
        timeout=30,
        allow_redirects=False,
    )
    assert answer.status_code == 307
    assert answer.headers["Location"] == "/api/flows/filter"


@pytest.fixture
def alarm(host: Host, forget: Callable[[str], None]) -> Iterator[str]:
    """The unit that looks for guessed logins. Its timer rests afterwards: what the test did stays in the journal."""
    host.check_output("systemctl stop wrong-logins.timer")
    yield "wrong-logins.service"
    forget("wrong-logins.service")


def test_guessing_is_slowed_down_and_told(site: Site, login: SecretStr, host: Host, alarm: str) -> None:
    def guess(_: int) -> int:
        return site.get("/api/admin/version", SecretStr("admin:wrong")).status_code

    with ThreadPoolExecutor(8) as several:
        assert set(several.map(guess, range(100))) == {401, 429}
    assert site.get("/api/admin/version", login).status_code == 200
    assert host.run("systemctl start %s", alarm).rc == 1
    until(
        lambda: any(message["title"].startswith(f"{alarm} failed on ") for message in notifications()),
        within=60,
        what="the notification arrives",
    )


def test_plain_http_leads_to_https(site: Site) -> None:
    answer = requests.get(site.plain_url + "/runs?page=2", allow_redirects=False, timeout=30)
    assert answer.status_code == 301
    assert answer.headers["Location"].startswith(f"https://{site.domain}")
    assert answer.headers["Location"].endswith("/runs?page=2")


@pytest.mark.parametrize("path", ["/", "/api/health", "/api/admin/version"])
def test_browsers_are_told_to_stay_with_https(site: Site, path: str) -> None:
    assert site.get(path).headers["Strict-Transport-Security"].startswith("max-age=")


def test_the_certificate_is_of_the_lab_only(site: Site) -> None:
    with pytest.raises(requests.exceptions.SSLError, match="unable to get local issuer certificate"):
        requests.get(site.url + "/api/health", verify=certifi.where(), timeout=30)


def test_the_ui_is_there_compressed_and_kept_by_browsers(site: Site) -> None:
    page = site.get("/")
    assert page.status_code == 200
    assert "<title>Prefect Server</title>" in page.text
    script = page.text.split('src="')[1].split('"')[0]
    asset = site.get(script)
    assert asset.headers["Content-Encoding"] == "gzip"
    assert "immutable" in asset.headers["Cache-Control"]
