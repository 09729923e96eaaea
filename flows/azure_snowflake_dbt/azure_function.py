"""A client of the Azure Function that exports a dataset to blob storage.

The function answers 200 with a manifest of the files written, or 202 as a durable function does, whose status address
is then polled until it is final. An HTTP answer is cut at 230 s while the work goes on, so every request names the
export by its id: a retry attaches to the same export.
"""

import logging
import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated
from urllib.parse import urljoin

import httpx
from pydantic import BaseModel, Field, ValidationError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from report import fields

# They log whole addresses, and an address may carry a key (`code=`, `sig=`).
for name in ("httpx", "httpcore"):
    logging.getLogger(name).setLevel(logging.WARNING)

ATTEMPTS = 5
POLL_SECONDS = 10.0
RETRIED = {408, 429}  # and every 5xx
UNFINISHED = {"Pending", "Running", "ContinuedAsNew", "Suspended"}
TIMEOUT = httpx.Timeout(30, read=240)  # the platform itself cuts an answer at 230 s


class FunctionError(RuntimeError):
    """The function did not export what was asked; the message says what to do and holds no secret."""


class _Transient(Exception):
    """An answer worth asking for again, perhaps after the seconds the function named."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class ExportedFile(BaseModel):
    """One file of an export."""

    name: Annotated[str, Field(pattern=r"^[\w-][\w./-]*$")]
    rows: Annotated[int, Field(ge=0)]
    bytes: Annotated[int, Field(ge=0)]


class Manifest(BaseModel):
    """What an export wrote: `files` below `path` in the exports container, `columns` in the order of a CSV file."""

    export_id: str
    dataset: str
    logical_date: date
    format: str
    path: Annotated[str, Field(pattern=r"^[\w-][\w./-]*/$")]
    columns: Annotated[list[Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]], Field(min_length=1)]
    files: list[ExportedFile]

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
        self._url, self._key, self._time_limit = url, key, time_limit
        self._logger, self._sleep = logger, sleep
        self._deadline = 0.0
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
        address = ""
        while True:
            body = _json(response)
            status = body.get("runtimeStatus") if isinstance(body, dict) else None
            if status == "Completed":
                return body.get("output")
            if status and status not in UNFINISHED:
                raise FunctionError(self._redacted(f"the function's export is {status}: {body.get('output')}"))
            if not status and response.status_code == 200:
                return body
            if isinstance(body, dict):
                address = body.get("statusQueryGetUri") or address
            address = urljoin(str(response.url), address or response.headers.get("Location", ""))
            if address == self._url:
                raise FunctionError(
                    f"the function answered {response.status_code} with neither statusQueryGetUri nor Location: "
                    "is the secret azure-function-url the address of the export function?"
                )
            seconds = _retry_after(response) or POLL_SECONDS
            self._logger.info("export waited for %s", fields(status=status or "accepted", asking_again_in=seconds))
            self._wait(seconds, status or "accepted")
            # The status address carries its own code. The function's key is for the function alone.
            response = self._request("GET", address)

    def _request(self, method: str, url: str, **kwargs: object) -> httpx.Response:
        """A request, asked again after what passes by itself: lost connections, 408, 429 and 5xx."""
        headers = {"x-functions-key": self._key} if url == self._url else {}

        def once() -> httpx.Response:
            try:
                response = self._client.request(method, url, headers=headers, **kwargs)
            except httpx.TransportError as error:
                raise _Transient(f"no answer: {type(error).__name__}: {error}") from None
            except (httpx.InvalidURL, httpx.HTTPError) as error:
                raise FunctionError(self._redacted(f"the function cannot be called: {error}")) from None
            body = _json(response)
            if response.is_success or (isinstance(body, dict) and "runtimeStatus" in body):
                return response
            reason = f"{response.status_code} {response.reason_phrase}: {response.text[:500]}".rstrip(": ")
            if response.status_code in RETRIED or response.is_server_error:
                raise _Transient(reason, _retry_after(response))
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
        """One line, without the key and without what addresses carry."""
        text = " ".join(text.replace(self._key, "***").split())
        return re.sub(r"\b(code|sig)=[^&\s\"']+", r"\1=***", text)


def _json(response: httpx.Response) -> object:
    try:
        return response.json()
    except ValueError:
        return None


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, given as a number or as a date."""
    value = response.headers.get("Retry-After", "")
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except ValueError:
        return None


def _hint(status: int) -> str:
    match status:
        case 401 | 403:
            return " (is the secret azure-function-key the key of this function?)"
        case 404:
            return " (is the secret azure-function-url the address of the export function?)"
        case _:
            return ""
