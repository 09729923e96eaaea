"""The Prefect server that the standard settings name, and its failures in one line each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings

from deployer.errors import DeployError, one_line


def require_url() -> str:
    """The address of the server's API, without credentials."""
    url = get_current_settings().api.url
    if not url:
        raise DeployError(
            "PREFECT_API_URL is not set: set it to the server's API, such as https://prefect.example.org/api"
        )
    return str(httpx.URL(url).copy_with(userinfo=b""))


@asynccontextmanager
async def connect() -> AsyncIterator[PrefectClient]:
    """A client that is logged in; what fails on the server becomes a DeployError."""
    url = require_url()
    try:
        client = get_client()
    except OSError as error:
        path = get_current_settings().api.ssl_cert_file
        raise DeployError(f"PREFECT_API_SSL_CERT_FILE {path} cannot be read: {error.strerror or error}") from None
    try:
        async with client:
            await _log_in(client, url)
            yield client
    except httpx.HTTPError as error:
        raise failure(error) from None


def failure(error: httpx.HTTPError) -> DeployError:
    """What failed on the server, in one line."""
    url = require_url()
    if isinstance(error, httpx.HTTPStatusError):
        return DeployError(_status(error.response, url))
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return DeployError(
            f"the certificate of {url} is not trusted: set PREFECT_API_SSL_CERT_FILE to its CA's certificate"
        )
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
