"""What the `runs` fixture looks for after every test, provoked."""

import json

from lab import SECRETS

NAMES = "function key", "status code", "signature", "password"
KEY, CODE, SIGNATURE, PASSWORD = (SECRETS[name].decode() for name in NAMES)


def test_a_function_that_repeats_its_request(runs, function, monkeypatch):
    monkeypatch.setenv("SECRET_AZURE_FUNCTION_URL", f"{function.origin}/api/export?code={CODE}")
    status = f"{function.origin}/status?code={CODE}&sig={SIGNATURE}"
    function.will_answer(500, f"not with {KEY} at {status}", Retry_After="1")
    function.will_answer(202, {"statusQueryGetUri": status}, Retry_After="1")
    function.will_answer(503, status, Retry_After="1")
    function.will_answer(200, {"runtimeStatus": "Failed", "output": {"key": KEY, "at": status}})
    assert runs.run(runs.new()).is_failed()


def test_a_refused_password(runs, proxy, lab, monkeypatch):
    account = {name: value for name, value in lab[2].items() if name != "private_key"}
    account |= {"host": "127.0.0.1", "port": proxy.port, "password": PASSWORD}
    monkeypatch.setenv("SECRET_SNOWFLAKE", json.dumps(account))
    proxy.logins_refused = "Incorrect username or password was specified."
    assert runs.run(runs.new()).is_failed()


def test_dbt_cannot_sign_in(runs, proxy, loaded):
    proxy.logins_refused, proxy.logins_allowed = "JWT token is invalid.", 1
    state = runs.run(runs.new())
    assert state.is_failed()
    assert "JWT token is invalid" in state.message
    assert "\n" not in state.message
