import logging
from datetime import date

import pytest

from azure_function import ATTEMPTS, ExportFunction, FunctionError

KEY = "k3y-of-the-function"
MANIFEST = {
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

    def __call__(self):
        url = f"{self.function.origin}/api/export"
        with ExportFunction(url, KEY, self.time_limit, logging.getLogger(), sleep=self.pauses.append) as client:
            return client.export(
                export_id="run-2026-01-02", dataset="orders", logical_date=date(2026, 1, 2), file_format="csv"
            )


@pytest.fixture
def call(function):
    return Caller(function)


def test_a_manifest_at_once(function, call):
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


def test_a_durable_function_is_polled_as_it_asks(function, call):
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
def test_what_passes_by_itself_is_asked_again_for_the_same_export(function, call, status):
    function.will_answer(status, "later", Retry_After="42")
    function.will_answer(500, "later")
    function.will_answer(200, MANIFEST)
    assert call().rows == 5
    assert call.pauses[0] == 42
    assert {body["export_id"] for _, _, _, body in function.requests} == {"run-2026-01-02"}


def test_the_status_is_asked_again_too(function, call):
    function.will_answer(202, {"statusQueryGetUri": f"{function.origin}/status"})
    function.will_answer(503, "")
    function.will_answer(200, {"runtimeStatus": "Completed", "output": MANIFEST})
    assert call().rows == 5


def test_it_gives_up(function, call):
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
    ],
)
def test_a_manifest_that_cannot_be_trusted(function, call, change, message):
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
