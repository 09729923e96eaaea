import logging
from datetime import UTC, date, datetime
from typing import Any

import pytest

from azure_function import ATTEMPTS, MISSING_AT_FIRST, ExportFunction, FunctionError

KEY = "k3y-of-the-function"
MANIFEST: dict[str, Any] = {
    "export_id": "run-2026-01-02",
    "dataset": "orders",
    "logical_date": "2026-01-02",
    "format": "csv",
    "path": "orders/run-2026-01-02/",
    "columns": ["id", "total"],
    "files": [{"name": "a.csv", "rows": 3, "bytes": 30}, {"name": "b.csv", "rows": 2, "bytes": 20}],
}


class Caller:
    """Calls the scripted function and notes the pauses instead of making them."""

    def __init__(self, function):
        self.function, self.pauses, self.time_limit = function, [], 3600
        self.url, self.key = f"{self.function.origin}/api/export", KEY

    def __call__(self):
        with ExportFunction(
            self.url, self.key, self.time_limit, logging.getLogger(), sleep=self.pauses.append
        ) as client:
            return client.export(
                export_id="run-2026-01-02", dataset="orders", logical_date=date(2026, 1, 2), file_format="csv"
            )


@pytest.fixture
def call(function):
    return Caller(function)


def test_an_immediate_manifest(function, call):
    function.will_answer(200, MANIFEST)
    manifest = call()
    assert (manifest.rows, [file.name for file in manifest.files]) == (5, ["a.csv", "b.csv"])
    [(method, path, headers, body)] = function.requests
    assert (method, path, headers["x-functions-key"]) == ("POST", "/api/export", KEY)
    assert body == {
        "action": "export",
        "export_id": "run-2026-01-02",
        "dataset": "orders",
        "logical_date": "2026-01-02",
        "format": "csv",
    }


def test_a_durable_function_is_polled_at_its_intervals(function, call):
    address = f"{function.origin}/status?code=c0de"
    function.will_answer(202, {"id": "1", "statusQueryGetUri": address}, Retry_After="7")
    function.will_answer(202, {"runtimeStatus": "Pending"}, Retry_After="3")
    function.will_answer(200, {"runtimeStatus": "Running"})  # the code says done, the status does not
    function.will_answer(200, {"runtimeStatus": "Completed", "output": MANIFEST})
    assert call().rows == 5
    assert call.pauses == [7, 3, 10]
    assert [path for _, path, _, _ in function.requests] == ["/api/export"] + ["/status?code=c0de"] * 3
    assert all("x-functions-key" not in headers for _, _, headers, _ in function.requests[1:])


def test_201_with_a_location_is_polled_too(function, call):
    function.will_answer(201, "", Location="/status/1")
    function.will_answer(202, "", Location="/status/1")
    function.will_answer(200, MANIFEST)
    assert call().rows == 5
    assert [path for _, path, _, _ in function.requests] == ["/api/export", "/status/1", "/status/1"]


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_final(function, call, status):
    function.will_answer(status, "no")
    with pytest.raises(FunctionError, match=f"refused: {status}"):
        call()
    assert len(function.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_transient_failures_are_retried_with_the_same_export_id(function, call, status):
    function.will_answer(status, "later", Retry_After="42")
    function.will_answer(500, "later")
    function.will_answer(200, MANIFEST)
    assert call().rows == 5
    assert call.pauses[0] == 42
    assert {body["export_id"] for _, _, _, body in function.requests} == {"run-2026-01-02"}


def test_status_requests_are_retried_too(function, call):
    function.will_answer(202, {"statusQueryGetUri": f"{function.origin}/status"})
    function.will_answer(503, "")
    function.will_answer(200, {"runtimeStatus": "Completed", "output": MANIFEST})
    assert call().rows == 5


def test_retries_end(function, call):
    for _ in range(ATTEMPTS):
        function.will_answer(500, "broken")
    with pytest.raises(FunctionError, match=f"failed {ATTEMPTS} times, the last with 500 .*broken"):
        call()


@pytest.mark.parametrize("code", [200, 500])
@pytest.mark.parametrize("status", ["Failed", "Terminated", "Canceled"])
def test_a_final_status_fails_with_the_functions_message(function, call, status, code):
    function.will_answer(202, {"statusQueryGetUri": f"{function.origin}/status"})
    function.will_answer(code, {"runtimeStatus": status, "output": "no table orders"})
    with pytest.raises(FunctionError, match=f"{status}: no table orders"):
        call()
    assert len(function.requests) == 2


def test_the_time_limit_holds(function, call):
    call.time_limit = 5
    function.will_answer(202, {"statusQueryGetUri": f"{function.origin}/status"}, Retry_After="1")
    function.will_answer(202, {"runtimeStatus": "Running"}, Retry_After="6")
    with pytest.raises(FunctionError, match="Running after 5 s"):
        call()
    assert call.pauses == [1]


def test_no_connection(function, call):
    function.server.shutdown()
    function.server.server_close()
    with pytest.raises(FunctionError, match="no answer: ConnectError"):
        call()
    assert len(call.pauses) == ATTEMPTS - 1
    assert all(pause <= 2**number for number, pause in enumerate(call.pauses)), "no exponential backoff"
    assert len(set(call.pauses)) == len(call.pauses), "no jitter"


@pytest.mark.parametrize(
    ("value", "pause"),
    [
        ("7", 7),
        ("²", 10),
        ("", 10),
        ("soon", 10),
        ("-5", 10),
        ("Fri, 01 Jan 2100 00:00:00 GMT", "date"),
        ("Fri, 01 Jan 2100 00:00:00", "date"),
        ("Fri, 01 Jan 2100 00:00:00 -0000", "date"),
        ("Fri, 01 Jan 99999 00:00:00 GMT", 10),
        ("Fri, 01 Jan 2000 00:00:00", 10),
    ],
)
def test_ways_to_write_retry_after(function, call, value, pause):
    call.time_limit = 1e10
    function.will_answer(202, {"statusQueryGetUri": f"{function.origin}/status"}, Retry_After=value)
    function.will_answer(200, {"runtimeStatus": "Completed", "output": MANIFEST})
    assert call().rows == 5
    if pause == "date":
        pause = pytest.approx((datetime(2100, 1, 1, tzinfo=UTC) - datetime.now(UTC)).total_seconds(), abs=60)
    assert call.pauses == [pause]


def test_a_just_accepted_export_may_be_missing_for_a_moment(function, call):
    function.will_answer(202, {"statusQueryGetUri": f"{function.origin}/status"}, Retry_After="1")
    function.will_answer(404, "")
    function.will_answer(404, "")
    function.will_answer(202, {"runtimeStatus": "Running"}, Retry_After="2")
    function.will_answer(404, "")
    function.will_answer(200, {"runtimeStatus": "Completed", "output": MANIFEST})
    assert call().rows == 5
    assert call.pauses == [1, 10, 10, 2, 10]


def test_an_export_that_stays_missing_fails(function, call):
    function.will_answer(202, {"statusQueryGetUri": f"{function.origin}/status"})
    for _ in range(MISSING_AT_FIRST + 1):
        function.will_answer(404, "no such instance")
    with pytest.raises(FunctionError, match="refused: 404 Not Found: no such instance"):
        call()
    assert len(function.requests) == 1 + MISSING_AT_FIRST + 1


@pytest.mark.parametrize("space", ["\n", "\r\n", " ", "\t\n"])
def test_a_key_copied_with_a_line_break_is_accepted(function, call, space):
    call.key, call.url = f"{KEY}{space}", f"{call.url}{space}"
    function.will_answer(200, MANIFEST)
    assert call().rows == 5
    assert function.requests[0][2]["x-functions-key"] == KEY


@pytest.mark.parametrize("character", ["\n", "é", "\0", "\x7f", "😀"])
def test_a_key_that_is_invalid_in_a_header(function, call, character):
    call.key = f"{KEY}{character}{KEY}"
    with pytest.raises(
        FunctionError, match=r"^the secret azure-function-key contains characters that no key has.*: copy it again$"
    ):
        call()
    assert function.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost/api",
        "ftp://me:s3cret@h/x",
        "http://me:s3cret@h:99999/x",
        "http://h:port/",
        "http://",
    ],
)
def test_an_invalid_address_is_refused_without_a_request(call, url):
    call.url = url
    with pytest.raises(
        FunctionError, match=r"^the secret azure-function-url is not an http:// or https:// address"
    ) as failed:
        call()
    assert "s3cret" not in str(failed.value)
    assert call.pauses == []


@pytest.mark.parametrize(
    "address", ["ftp://h/s?code=c0de", "http://h:99999/s?code=c0de", "http://[h/?code=c0de", 7, ["x"]]
)
def test_an_invalid_status_address(function, call, address):
    function.will_answer(202, {"statusQueryGetUri": address})
    function.will_answer(404, "")
    with pytest.raises(FunctionError) as failed:
        call()
    assert "c0de" not in str(failed.value)


@pytest.mark.parametrize("status", [["Running"], {"a": 1}, 7])
def test_an_invalid_status(function, call, status):
    function.will_answer(202, {"statusQueryGetUri": f"{function.origin}/status"})
    function.will_answer(200, {"runtimeStatus": status})
    with pytest.raises(FunctionError, match="the function's export is "):
        call()


def test_202_without_an_address(function, call):
    function.will_answer(202, {})
    with pytest.raises(FunctionError, match="neither statusQueryGetUri nor Location"):
        call()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"export_id": "another"}, "of another export: export_id"),
        ({"format": "json"}, "of another export: format"),
        ({"files": [{"name": "a.csv", "rows": -1, "bytes": 0}]}, "files.0.rows"),
        ({"files": [{"name": "a' drop", "rows": 1, "bytes": 0}]}, "files.0.name"),
        ({"columns": ["id)"]}, "columns.0"),
        ({"path": "orders"}, "path"),
        ({"path": "orders/../others/"}, "path"),
        ({"path": "orders//"}, "path"),
        ({"path": "/orders/"}, "path"),
        ({"files": [{"name": "../a.csv", "rows": 1, "bytes": 0}]}, "files.0.name"),
        ({"files": [{"name": "b/../a.csv", "rows": 1, "bytes": 0}]}, "files.0.name"),
        ({"files": MANIFEST["files"][:1] * 2}, "files: .*named more than once: a.csv"),
        ({"columns": ["id", "ID"]}, "columns: .*named more than once: ID"),
    ],
)
def test_an_invalid_manifest_is_refused(function, call, change, message):
    function.will_answer(200, MANIFEST | change)
    with pytest.raises(FunctionError, match=message):
        call()


def test_no_secret_is_shown(function, call, caplog):
    caplog.set_level(logging.DEBUG)
    echo = f"key {KEY} at https://x/?code=c0de&sig=s1g"
    function.will_answer(500, echo)
    function.will_answer(202, {"statusQueryGetUri": f"{function.origin}/status?code=c0de&sig=s1g"})
    function.will_answer(200, {"runtimeStatus": "Failed", "output": echo})
    with pytest.raises(FunctionError) as failed:
        call()
    shown = f"{failed.value}{failed.getrepr(chain=True)}{caplog.text}"
    assert "***" in shown
    assert not [secret for secret in (KEY, "c0de", "s1g") if secret in f"{failed.value}{caplog.text}"]
