"""The UI as a person meets it, in Chromium."""

import base64
import hashlib
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate
from lab import Site
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright
from prefect.client.schemas.objects import FlowRun
from pydantic import SecretStr

SCREENSHOT = Path(__file__).parent / "screenshots/run.png"
# Under load the page takes longer than the five seconds that are the default.
expect.set_options(timeout=60_000)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def vouched_key(site: Site) -> str:
    """The hash of the public key of a certificate that the lab's CA vouches for."""
    context = ssl.create_default_context(cafile=site.ca)
    with (
        socket.create_connection((site.domain, site.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=site.domain) as connection,
    ):
        certificate = load_der_x509_certificate(connection.getpeercert(binary_form=True))
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


@pytest.fixture(scope="module")
def open_browser() -> Iterator[Callable[..., Browser]]:
    """Open a browser."""
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.fail("Chromium is not installed here: run `apt-get install chromium`", pytrace=False)
    with sync_playwright() as playwright:
        yield lambda *options: playwright.chromium.launch(executable_path=chromium, args=[*QUIET, *options])


@pytest.fixture(scope="module")
def browser(open_browser: Callable[..., Browser], site: Site) -> Iterator[Browser]:
    """A browser that trusts the certificate which the lab's CA vouches for, and no other."""
    with open_browser(f"--ignore-certificate-errors-spki-list={vouched_key(site)}") as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """The window of somebody who is not logged in."""
    with browser.new_context(viewport={"width": 1400, "height": 1000}) as context:
        yield context.new_page()


def log_in(page: Page, password: SecretStr) -> None:
    """Fill in the form that asks for user and password in one."""
    page.get_by_placeholder("admin:pass").fill(password.get_secret_value())
    page.get_by_role("button", name="Login").click()


def test_a_browser_that_does_not_know_the_ca_refuses(open_browser: Callable[..., Browser], site: Site) -> None:
    with open_browser() as browser, pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"):
        browser.new_page().goto(site.url)


def test_a_wrong_password_does_not_let_in(page: Page, site: Site) -> None:
    page.goto(site.url)
    log_in(page, SecretStr("admin:wrong"))
    expect(page.get_by_text("Invalid credentials")).to_be_visible()
    page.goto(f"{site.url}/v2/runs")
    expect(page.get_by_role("button", name="Login")).to_be_visible()


def test_a_person_logs_in_and_reads_how_a_run_went(
    page: Page, site: Site, login: SecretStr, finished: Callable[[str], FlowRun]
) -> None:
    run = finished("db_dump/shop-postgres")
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    page.goto(site.url)
    log_in(page, login)
    page.get_by_role("link", name="Runs", exact=True).click()
    page.get_by_role("link", name=run.name).and_(page.locator(f"[href$='{run.id}']")).click()

    expect(page.get_by_role("navigation", name="breadcrumb").first).to_contain_text(run.name)
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible()
    expect(page.get_by_text("all rows: read rows=5000")).to_be_visible()

    page.get_by_role("tab", name="Task Runs").click()
    task_runs = page.get_by_role("tabpanel", name="Task Runs")
    expect(task_runs.get_by_text("(4 Completed)")).to_be_visible()
    expect(task_runs.get_by_role("link", name="describe")).to_be_visible()
    expect(task_runs.get_by_role("link", name="read all rows")).to_be_visible()
    expect(task_runs.get_by_role("link", name="load-")).to_be_visible()
    page.screenshot(path=SCREENSHOT, full_page=True)
    assert errors == [], "the site's policy lets its own scripts do their work"


def test_the_ui_tells_nobody_that_it_is_used(page: Page, site: Site, login: SecretStr) -> None:
    asked = set()
    page.on("request", lambda request: asked.add(urlsplit(request.url).hostname))
    page.goto(site.url)
    log_in(page, login)
    expect(page.get_by_text("Active Work Pools")).to_be_visible()
    assert asked == {site.domain}
