"""The connection to the Prefect server of the standard settings, and its failures in one line each."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings

from deployer.commands import make_command
from deployer.model.errors import DeployError, one_line

_CORRECT_CA = "name its CA in prefect_api_ca of the inventory (without make: in PREFECT_API_SSL_CERT_FILE)"


def require_url() -> str:
    """The address of the server's API, without credentials. Raises a DeployError if it is not set."""
    url = get_current_settings().api.url
    if not url:
        raise DeployError(
            "PREFECT_API_URL is not set: set it to the server's API, such as https://prefect.example.org/api"
        )
    return str(httpx.URL(url).copy_with(userinfo=b""))


class MaintenanceHook:
    """Handles answers of a server in maintenance, on which the client would wait for ever.

    Before the log-in it ends the command. Later a change may be half done, so the command says once that it waits.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._reported = False
        self.logged_in = False

    async def __call__(self, response: httpx.Response) -> None:
        """Raises a DeployError before the log-in."""
        if response.headers.get("Prefect-Maintenance") != "true":
            return
        if not self.logged_in:
            await response.aread()
            status = make_command("status")
            raise DeployError(f"{self._url} is away: {_detail(response)} Try again when `{status}` finds it well")
        if not self._reported:
            print(f"{self._url} is away: waiting for it", file=sys.stderr, flush=True)
        self._reported = True


def _detail(response: httpx.Response) -> str:
    """The reason of the maintenance, from nginx's answer."""
    try:
        return one_line(response.json()["detail"].removeprefix("Prefect is away: "))
    except (ValueError, LookupError, TypeError):
        return f"{response.status_code}."


@asynccontextmanager
async def connect() -> AsyncIterator[PrefectClient]:
    """A client that is logged in. Raises a DeployError for failures of the server."""
    url = require_url()
    maintenance = MaintenanceHook(url)
    try:
        client = get_client(httpx_settings={"event_hooks": {"response": [maintenance]}})
    except OSError as error:
        path = get_current_settings().api.ssl_cert_file
        reason = error.strerror or error
        raise DeployError(f"the CA {path} of {url} cannot be read ({reason}): {_CORRECT_CA}") from None
    try:
        async with client:
            await _log_in(client, url)
            maintenance.logged_in = True
            yield client
    except httpx.HTTPError as error:
        raise failure(error) from None


def failure(error: httpx.HTTPError) -> DeployError:
    """The failure of the server, in one line."""
    url = require_url()
    if isinstance(error, httpx.HTTPStatusError):
        return DeployError(_status(error.response, url))
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return DeployError(f"the certificate of {url} is not trusted: {_CORRECT_CA}")
    return DeployError(f"{url} cannot be reached: {one_line(error) or type(error).__name__}")


async def _log_in(client: PrefectClient, url: str) -> None:
    try:
        await client.api_version()
        return
    except PrefectHTTPStatusError as error:
        if error.response.status_code != httpx.codes.NOT_FOUND:
            raise
    except ValueError:  # a web page instead of JSON
        pass
    raise DeployError(f"{url} does not answer as a Prefect API: PREFECT_API_URL ends in /api")


def _status(response: httpx.Response, url: str) -> str:
    if response.status_code == httpx.codes.UNAUTHORIZED:
        if get_current_settings().api.auth_string is None:
            return f"{url} asks for a password: set PREFECT_API_AUTH_STRING to user:password"
        return f"{url} refused the password (401): correct PREFECT_API_AUTH_STRING"
    request = response.request
    where = request.url.copy_with(userinfo=b"", query=None)
    return f"{request.method} {where} failed: {response.status_code}: {one_line(response.text)[:500]}"
