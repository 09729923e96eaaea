"""A client of the Azure Function that exports a dataset to blob storage.

The function answers 200 with a manifest of the written files, or 202 as a durable function does; the client then polls
its status address until the status is final. Azure cuts an HTTP answer at 230 s while the work goes on. So every
request has the export's id: a retry attaches to the same export.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast
from urllib.parse import parse_qs, urljoin

import httpx
from pydantic import ValidationError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from manifest import Manifest
from redaction import redacted, shown
from report import Logger, fields

# they log complete addresses, and an address may contain a key (`code=`, `sig=`)
for library in ("httpx", "httpcore"):
    logging.getLogger(library).setLevel(logging.WARNING)

ATTEMPTS = 5
POLL_SECONDS = 10.0
RETRIED = {408, 429}  # and every 5xx
MISSING_AT_FIRST = 5  # a durable function may answer 404 this many times for an export it has just accepted
UNFINISHED = {"Pending", "Running", "ContinuedAsNew", "Suspended"}
TIMEOUT = httpx.Timeout(30, read=240)  # Azure itself cuts an answer at 230 s


class FunctionError(RuntimeError):
    """The export failed; the message says what to do and contains no secret."""


class _Transient(Exception):
    """A failure that may pass; `retry_after` has the seconds that the function asks to wait, if any."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class _Missing(Exception):
    """The function answered 404 for a status address."""


class ExportFunction:
    """The function at `url`, called with its `key`; an export may take `time_limit` seconds."""

    def __init__(
        self,
        url: str,
        key: str,
        time_limit: float,
        logger: Logger,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        # copied text often ends with a line break
        self._url, self._key, self._time_limit = url.strip(), key.strip(), time_limit
        if not (self._key.isascii() and self._key.isprintable()):
            raise FunctionError(
                "the secret azure-function-key contains characters that no key has, such as a line break: copy it again"
            )
        self._logger, self._sleep = logger, sleep
        self._deadline = 0.0
        self._secrets = {self._key}
        self._client = httpx.Client(timeout=TIMEOUT)

    def __enter__(self) -> "ExportFunction":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def export(self, *, export_id: str, dataset: str, logical_date: date, file_format: str) -> Manifest:
        """Export a dataset as of a day, or attach to the export with this id; returns the manifest.

        Raises FunctionError where the export fails or takes too long.
        """
        started = time.monotonic()
        self._deadline = started + self._time_limit
        request = {
            "export_id": export_id,
            "dataset": dataset,
            "logical_date": logical_date.isoformat(),
            "format": file_format,
        }
        response = self._request("POST", self._url, json={"action": "export"} | request)
        manifest = self._manifest(self._final_answer(response))
        answer = manifest.model_dump(mode="json")
        if differing := [name for name, value in request.items() if answer[name] != value]:
            raise FunctionError(
                f"the function's manifest is of another export: {', '.join(differing)} differ from the request"
            )
        self._logger.info(
            "export finished %s",
            fields(
                **request,
                files=len(manifest.files),
                rows=manifest.rows,
                bytes=sum(file.bytes for file in manifest.files),
                seconds=time.monotonic() - started,
            ),
        )
        return manifest

    def _final_answer(self, response: httpx.Response) -> object:
        """Poll until the export has ended: by `runtimeStatus`, and by the HTTP code only where it is missing."""
        address, patience = "", MISSING_AT_FIRST
        while True:
            body = _json(response)
            answer: dict[str, Any] = body if isinstance(body, dict) else {}
            status = str(answer.get("runtimeStatus") or "")
            if status == "Completed":
                return answer.get("output")
            if status and status not in UNFINISHED:
                raise FunctionError(self._redacted(f"the function's export is {status}: {answer.get('output')}"))
            if not status and response.status_code == 200:
                return body
            address = answer.get("statusQueryGetUri") or address
            address = self._joined(response.url, address or response.headers.get("Location", ""))
            if address == self._url:
                raise FunctionError(
                    f"the function answered {response.status_code} with neither statusQueryGetUri nor Location: "
                    "is the secret azure-function-url the address of the export function?"
                )
            patience = MISSING_AT_FIRST if status else patience
            response, patience = self._poll(address, status or "accepted", _retry_after(response), patience)

    def _poll(self, address: str, status: str, seconds: float | None, patience: int) -> tuple[httpx.Response, int]:
        """The next answer, and the patience left: the number of 404s to accept for an export just accepted."""
        while True:
            seconds = seconds or POLL_SECONDS
            self._logger.info("export waited for %s", fields(status=status, asking_again_in=seconds))
            self._wait(seconds, status)
            try:
                # the status address contains its own code; only the function itself gets the function's key
                return self._request("GET", address), patience
            except _Missing as error:
                if not patience:
                    raise FunctionError(self._redacted(f"the function refused: {error}{_hint(404)}")) from None
                patience -= 1
                seconds = None

    def _joined(self, base: httpx.URL, address: object) -> str:
        try:
            return urljoin(str(base), str(address))
        except ValueError:
            raise FunctionError("the function's statusQueryGetUri or Location is not an address") from None

    def _request(self, method: str, url: str, json: dict[str, str] | None = None) -> httpx.Response:
        """The answer to a request, repeated after lost connections, 408, 429 and 5xx."""
        headers = {"x-functions-key": self._key} if url == self._url else {}
        if not _is_address(url):
            origin = (
                "the secret azure-function-url" if url == self._url else "the function's statusQueryGetUri or Location"
            )
            raise FunctionError(f"{origin} is not an http:// or https:// address: {shown(url)}")
        self._secrets |= _codes(url)

        def attempt() -> httpx.Response:
            try:
                response = self._client.request(method, url, headers=headers, json=json)
            except httpx.TransportError as error:
                raise _Transient(f"no answer: {type(error).__name__}: {error}") from None
            except httpx.HTTPError as error:
                raise FunctionError(self._redacted(f"the function cannot be called: {error}")) from None
            body = _json(response)
            if response.is_success or (isinstance(body, dict) and "runtimeStatus" in body):
                return response
            # redacted before it is cut: half a secret would not be recognised
            text = self._redacted(response.text[:5000])[:500]
            reason = f"{response.status_code} {response.reason_phrase}: {text}".rstrip(": ")
            if response.status_code in RETRIED or response.is_server_error:
                raise _Transient(reason, _retry_after(response))
            if response.status_code == 404 and method == "GET":
                raise _Missing(reason)
            raise FunctionError(self._redacted(f"the function refused: {reason}{_hint(response.status_code)}"))

        backoff = wait_random_exponential(multiplier=1, max=60)

        def failure(state: RetryCallState) -> _Transient:
            return cast(_Transient, state.outcome and state.outcome.exception())

        def wait(state: RetryCallState) -> float:
            return failure(state).retry_after or backoff(state)

        def report(state: RetryCallState) -> None:
            self._logger.warning(self._redacted(f"The function: {failure(state)}; trying again"))

        retrying = Retrying(
            retry=retry_if_exception_type(_Transient),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait,
            sleep=lambda seconds: self._wait(seconds, "not answering"),
            before_sleep=report,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except _Transient as error:
            raise FunctionError(
                self._redacted(f"the function failed {ATTEMPTS} times, the last with {error}")
            ) from None

    def _wait(self, seconds: float, state: str) -> None:
        if time.monotonic() + seconds > self._deadline:
            raise FunctionError(
                f"the export is {state} after {self._time_limit:.0f} s: see the function's own log, or raise "
                "time_limit; retrying this flow run attaches to the same export"
            )
        self._sleep(seconds)

    def _manifest(self, answer: object) -> Manifest:
        try:
            return Manifest.model_validate(answer)
        except ValidationError as error:
            mistakes = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in error.errors()[:5])
            raise FunctionError(self._redacted(f"the function's manifest is not valid: {mistakes}")) from None

    def _redacted(self, text: str) -> str:
        return redacted(text, *self._secrets)


def _is_address(url: str) -> bool:
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        return False
    return parts.scheme in ("http", "https") and bool(parts.host) and (parts.port or 0) <= 65535


def _codes(url: str) -> set[str]:
    """The secrets in an address, and the address itself."""
    query = parse_qs(httpx.URL(url).query.decode())
    return {url, *query.get("code", []), *query.get("sig", [])}


def _json(response: httpx.Response) -> object:
    try:
        return response.json()
    except ValueError:
        return None


def _retry_after(response: httpx.Response) -> float | None:
    """The seconds of Retry-After, a number or a date; None for another value."""
    value = response.headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    # without a zone it is in UTC, as all dates of HTTP
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _hint(status: int) -> str:
    match status:
        case 401 | 403:
            return " (is the secret azure-function-key the key of this function?)"
        case 404:
            return " (is the secret azure-function-url the address of the export function?)"
        case _:
            return ""
