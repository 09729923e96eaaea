"""Whatever is wrong outside, the run fails with the cause in one line, and the target is as it was."""

import json
import re

import pytest
from lab import DAY, export


@pytest.fixture
def fails(runs, loaded):
    """Runs that must fail: gives what the state says after the name of the error."""

    def run(flow_run=None, **parameters):
        before = loaded.rows()
        state = runs.run(flow_run or runs.new(**parameters))
        assert state.is_failed(), state
        assert "\n" not in state.message
        assert loaded.rows() == before
        return state.message

    return run


@pytest.fixture
def manifest(runs, lab, function, monkeypatch):
    """A run whose function answers with the lab's own manifest, changed."""

    def changed(**changes):
        flow_run = runs.new()
        manifest = export(lab, f"{flow_run}-{DAY}", DAY).model_dump(mode="json")
        for name, value in changes.items():
            manifest[name] = value(manifest[name])
        monkeypatch.setenv("SECRET_AZURE_FUNCTION_URL", f"{function.origin}/api/export")
        function.will_answer(200, manifest)
        return flow_run

    return changed


def test_a_wrong_key(fails, monkeypatch):
    monkeypatch.setenv("SECRET_AZURE_FUNCTION_KEY", "wr0ng-key-of-the-function")
    assert "the function refused: 401 Unauthorized (is the secret azure-function-key" in fails()


def test_a_function_that_keeps_failing(fails, function, monkeypatch):
    monkeypatch.setenv("SECRET_AZURE_FUNCTION_URL", f"{function.origin}/api/export")
    for _ in range(5):
        function.will_answer(500, "no database\n  at export()", Retry_After="1")
    message = fails()
    assert message.endswith(
        "the function failed 5 times, the last with 500 Internal Server Error: no database at export()"
    )
    assert len({request[3]["export_id"] for request in function.requests}) == 1


def test_a_durable_export_that_fails(fails, function, monkeypatch):
    monkeypatch.setenv("SECRET_AZURE_FUNCTION_URL", f"{function.origin}/api/export")
    function.will_answer(202, {"statusQueryGetUri": f"{function.origin}/status?code=c0de"}, Retry_After="1")
    function.will_answer(200, {"runtimeStatus": "Failed", "output": "no table orders"})
    assert fails().endswith("the function's export is Failed: no table orders")


def test_a_missing_file(fails, manifest):
    message = fails(manifest(files=lambda files: [*files, {"name": "missing.csv", "rows": 1, "bytes": 1}]))
    assert re.search(
        r"is unchanged: Snowflake refused `copy into …`.*Remote file '.*/missing\.csv' was not found", message
    )


def test_columns_in_another_order(fails, manifest):
    message = fails(manifest(columns=lambda columns: [columns[3], *columns[1:3], columns[0], *columns[4:]]))
    assert re.search(r"is unchanged: the first line of orders-\d+\.csv is not status,.*,id,", message)


@pytest.mark.parametrize(
    "columns", [lambda names: names[:-1], lambda names: [*names, "_loaded_at"]], ids=["fewer", "more"]
)
def test_rows_of_another_width(fails, manifest, columns):
    message = fails(manifest(columns=columns))
    assert re.search(r"is unchanged: .*File '.*/orders-\d+\.csv', line 1", message)


def test_a_row_less_than_in_the_manifest(fails, manifest):
    message = fails(manifest(files=lambda files: [files[0] | {"rows": files[0]["rows"] + 1}, *files[1:]]))
    assert re.search(r"orders-0001\.csv is LOADED with 1000 of 1001 rows", message)


def test_a_missing_target_table(fails):
    assert "RAW_TEST.NOWHERE is unchanged: Snowflake refused `describe table …`" in fails(
        target_table="RAW_TEST.NOWHERE"
    )


def test_a_refused_sign_in(fails, proxy):
    proxy.logins_refused = "JWT token is invalid. [0b1c]"
    message = fails()
    assert "no session with the Snowflake account lab as SHOP_ETL: " in message
    assert "JWT token is invalid" in message


def test_an_unreachable_warehouse(fails, lab, monkeypatch, function):
    function.server.server_close()  # nobody listens here any more
    account = lab[2] | {"host": "127.0.0.1", "port": function.server.server_port, "login_timeout": 5}
    monkeypatch.setenv("SECRET_SNOWFLAKE", json.dumps(account))
    assert "no session with the Snowflake account lab as SHOP_ETL: " in fails()


def test_a_warehouse_that_fails(fails, proxy):
    proxy.last_statement = r"^create temporary table \S+_header "
    message = fails(time_limit=5)
    assert re.search(r"is unchanged: Snowflake refused `copy into …`.* 503", message)
