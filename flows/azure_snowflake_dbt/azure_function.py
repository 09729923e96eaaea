"""A client of the Azure Function that exports a dataset to blob storage.

The function answers 200 with a manifest of the files written, or 202 as a durable function does, whose status address
is then polled until it is final. An HTTP answer is cut at 230 s while the work goes on, so every request names the
export by its id: a retry attaches to the same export.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated
from urllib.parse import parse_qs, urljoin

import httpx
from pydantic import BaseModel, Field, ValidationError, field_validator
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from redaction import redacted, shown
from report import fields

# They log whole addresses, and an address may carry a key (`code=`, `sig=`).
for name in ("httpx", "httpcore"):
    logging.getLogger(name).setLevel(logging.WARNING)

ATTEMPTS = 5
POLL_SECONDS = 10.0
RETRIED = {408, 429}  # and every 5xx
MISSING_AT_FIRST = 5  # times that a durable function may not yet know what it has accepted
UNFINISHED = {"Pending", "Running", "ContinuedAsNew", "Suspended"}
TIMEOUT = httpx.Timeout(30, read=240)  # the platform itself cuts an answer at 230 s


class FunctionError(RuntimeError):
    """The function did not export what was asked; the message says what to do and holds no secret."""


class _Transient(Exception):
    """An answer worth asking for again, perhaps after the seconds the function named."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class _Missing(Exception):
    """Nothing is at the address."""


# Neither `..` nor an empty part: a path stays below where it begins
PATH = r"[\w-][\w.-]*(?:/[\w-][\w.-]*)*"


class ExportedFile(BaseModel):
    """One file of an export."""

    name: Annotated[str, Field(pattern=rf"^{PATH}$")]
    rows: Annotated[int, Field(ge=0)]
    bytes: Annotated[int, Field(ge=0)]


class Manifest(BaseModel):
    """What an export wrote: `files` below `path` in the exports container, `columns` in the order of a CSV file."""

    export_id: str
    dataset: str
    logical_date: date
    format: str
    path: Annotated[str, Field(pattern=rf"^{PATH}/$")]
    columns: Annotated[list[Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]], Field(min_length=1)]
    files: list[ExportedFile]

    @field_validator("columns", "files")
    @classmethod
    def _once(cls, values: list) -> list:
        # Snowflake folds the case of columns, not of files
        names = [value.upper() if isinstance(value, str) else value.name for value in values]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"named more than once: {', '.join(twice)}")
        return values

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)


class ExportFunction:
    """The function at `url`, called with its `key`, given `time_limit` seconds for an export."""

    def __init__(
        self,
        url: str,
        key: str,
        time_limit: float,
        logger: logging.Logger | logging.LoggerAdapter,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        # what is copied often brings a line break along
        self._url, self._key, self._time_limit = url.strip(), key.strip(), time_limit
        if not (self._key.isascii() and self._key.isprintable()):
            raise FunctionError(
                "the secret azure-function-key holds what no key has, a line break or an é: copy it again"
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
        """Export a dataset as of a day, or attach to the export that has this id; gives the manifest."""
        started = time.monotonic()
        self._deadline = started + self._time_limit
        asked = {
            "export_id": export_id,
            "dataset": dataset,
            "logical_date": logical_date.isoformat(),
            "format": file_format,
        }
        response = self._request("POST", self._url, json={"action": "export"} | asked)
        manifest = self._manifest(self._final_answer(response))
        if differing := [field for field, value in asked.items() if manifest.model_dump(mode="json")[field] != value]:
            raise FunctionError(
                f"the function's manifest is of another export: {', '.join(differing)} differ from what was asked"
            )
        self._logger.info(
            "export finished %s",
            fields(
                **asked,
                files=len(manifest.files),
                rows=manifest.rows,
                bytes=sum(file.bytes for file in manifest.files),
                seconds=time.monotonic() - started,
            ),
        )
        return manifest

    def _final_answer(self, response: httpx.Response) -> object:
        """Poll until the export is over. What counts is `runtimeStatus`; the HTTP code only where there is none."""
        address, patience = "", MISSING_AT_FIRST
        while True:
            body = _json(response)
            status = str(body.get("runtimeStatus") or "") if isinstance(body, dict) else ""
            if status == "Completed":
                return body.get("output")
            if status and status not in UNFINISHED:
                raise FunctionError(self._redacted(f"the function's export is {status}: {body.get('output')}"))
            if not status and response.status_code == 200:
                return body
            if isinstance(body, dict):
                address = body.get("statusQueryGetUri") or address
            address = self._joined(response.url, address or response.headers.get("Location", ""))
            if address == self._url:
                raise FunctionError(
                    f"the function answered {response.status_code} with neither statusQueryGetUri nor Location: "
                    "is the secret azure-function-url the address of the export function?"
                )
            patience = MISSING_AT_FIRST if status else patience
            response, patience = self._poll(address, status or "accepted", _retry_after(response), patience)

    def _poll(self, address: str, status: str, seconds: float | None, patience: int) -> tuple[httpx.Response, int]:
        """The next answer. A durable function may not know for a moment what it has just accepted: `patience` times."""
        while True:
            seconds = seconds or POLL_SECONDS
            self._logger.info("export waited for %s", fields(status=status, asking_again_in=seconds))
            self._wait(seconds, status)
            try:
                # The status address carries its own code. The function's key is for the function alone.
                return self._request("GET", address), patience
            except _Missing as error:
                if not patience:
                    raise FunctionError(self._redacted(f"the function refused: {error}{_hint(404)}")) from None
                patience -= 1
                seconds = None

    def _joined(self, asked: httpx.URL, address: object) -> str:
        try:
            return urljoin(str(asked), str(address))
        except ValueError:
            raise FunctionError("the function's statusQueryGetUri or Location is no address") from None

    def _request(self, method: str, url: str, **kwargs: object) -> httpx.Response:
        """A request, asked again after what passes by itself: lost connections, 408, 429 and 5xx."""
        headers = {"x-functions-key": self._key} if url == self._url else {}
        if not _is_address(url):
            whose = (
                "the secret azure-function-url" if url == self._url else "the function's statusQueryGetUri or Location"
            )
            raise FunctionError(f"{whose} is no http:// or https:// address: {shown(url)}")
        self._secrets |= _codes(url)

        def once() -> httpx.Response:
            try:
                response = self._client.request(method, url, headers=headers, **kwargs)
            except httpx.TransportError as error:
                raise _Transient(f"no answer: {type(error).__name__}: {error}") from None
            except httpx.HTTPError as error:
                raise FunctionError(self._redacted(f"the function cannot be called: {error}")) from None
            body = _json(response)
            if response.is_success or (isinstance(body, dict) and "runtimeStatus" in body):
                return response
            # first without secrets, then cut: half a secret would not be found
            words = self._redacted(response.text[:5000])[:500]
            reason = f"{response.status_code} {response.reason_phrase}: {words}".rstrip(": ")
            if response.status_code in RETRIED or response.is_server_error:
                raise _Transient(reason, _retry_after(response))
            if response.status_code == 404 and method == "GET":
                raise _Missing(reason)
            raise FunctionError(self._redacted(f"the function refused: {reason}{_hint(response.status_code)}"))

        backoff = wait_random_exponential(multiplier=1, max=60)

        def wait(state: RetryCallState) -> float:
            return state.outcome.exception().retry_after or backoff(state)

        def report(state: RetryCallState) -> None:
            self._logger.warning(self._redacted(f"The function: {state.outcome.exception()}; asking again"))

        retrying = Retrying(
            retry=retry_if_exception_type(_Transient),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait,
            sleep=lambda seconds: self._wait(seconds, "not answering"),
            before_sleep=report,
            reraise=True,
        )
        try:
            return retrying(once)
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
            wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in error.errors()[:5])
            raise FunctionError(self._redacted(f"the function's manifest is not understood: {wrong}")) from None

    def _redacted(self, text: str) -> str:
        return redacted(text, *self._secrets)


def _is_address(url: str) -> bool:
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        return False
    return parts.scheme in ("http", "https") and bool(parts.host) and (parts.port or 0) <= 65535


def _codes(url: str) -> set[str]:
    """What an address lets in by."""
    query = parse_qs(httpx.URL(url).query.decode())
    return {url, *query.get("code", []), *query.get("sig", [])}


def _json(response: httpx.Response) -> object:
    try:
        return response.json()
    except ValueError:
        return None


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, given as a number or as a date; None for what is neither."""
    value = response.headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    # without a zone it is in UTC, as HTTP has all dates
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _hint(status: int) -> str:
    match status:
        case 401 | 403:
            return " (is the secret azure-function-key the key of this function?)"
        case 404:
            return " (is the secret azure-function-url the address of the export function?)"
        case _:
            return ""
