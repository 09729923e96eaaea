import json
import os
import shutil

import pytest
from conftest import PROJECT
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dbt.cli.main import dbtRunner

import dbt_build
from dbt_build import DbtError, NodeResult, _can_retry, _environment, _profile, _results, check, prune

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
DER = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def test_a_failed_node_is_named():
    results = [
        NodeResult("model.shop.stg_orders", "success", 0.1, "SUCCESS 1"),
        NodeResult("test.shop.unique_stg_orders_order_id", "fail", 0.1, "Database Error in model\n  Got 3 results"),
        NodeResult("model.shop.daily_sales", "skipped", 0.0, None),
    ]
    with pytest.raises(
        DbtError,
        match=r"1 of 3 nodes failed, 1 skipped: test\.shop\.unique_stg.*: Database Error in model Got 3 results$",
    ):
        check(results)
    assert check(results[:1]) == []


def test_warnings_of_tests_are_reported():
    results = [
        NodeResult("model.shop.stg_orders", "success", 0.1, "SUCCESS 1"),
        NodeResult("test.shop.odd_orders", "warn", 0.1, "Got 1 result,\n configured to warn if != 0"),
    ]
    assert check(results) == ["test.shop.odd_orders warns: Got 1 result, configured to warn if != 0"]


def test_a_build_of_nothing_fails():
    with pytest.raises(DbtError, match=r"^dbt build: no model and no test was selected"):
        check([])


def test_results_are_read(tmp_path):
    path = tmp_path / "target" / "run_results.json"
    with pytest.raises(DbtError, match=r"no results: see .*dbt\.log"):
        _results(path)
    path.parent.mkdir()
    result = {"unique_id": "model.shop.x", "status": "error", "execution_time": 1.234, "message": "no"}
    path.write_text(json.dumps({"results": [result]}))
    assert _results(path) == [NodeResult("model.shop.x", "error", 1.23, "no")]


def write_results(folder, *statuses):
    """What dbt writes at the end of a try."""
    result = {"unique_id": "model.shop.x", "execution_time": 1, "message": "no"}
    results = json.dumps({"results": [result | {"status": status} for status in statuses]})
    (folder / "target" / "run_results.json").write_text(results)


@pytest.fixture
def failed_try(tmp_path, monkeypatch):
    """The folder of a try that failed, and the state it was built on."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT / "dbt", project)
    monkeypatch.setattr(dbt_build, "PROJECT", project)
    state = {"data": "3 rows", "project": dbt_build._digest(project)}
    folder = tmp_path / "run"
    (folder / "target").mkdir(parents=True)
    (folder / dbt_build.STATE).write_text(json.dumps(state))
    write_results(folder, "success", "fail", "skipped")
    return folder, state


def test_unfinished_nodes_of_an_earlier_attempt_are_resumed(failed_try):
    assert _can_retry(*failed_try)


def test_after_another_load_everything_is_rebuilt(failed_try):
    folder, state = failed_try
    assert not _can_retry(folder, state | {"data": "4 rows"})


def test_after_a_change_of_the_project_everything_is_rebuilt(failed_try):
    folder, _ = failed_try
    (dbt_build.PROJECT / "models" / "marts" / "daily_sales.sql").write_text("select 1 as n")
    assert not _can_retry(folder, {"data": "3 rows", "project": dbt_build._digest(dbt_build.PROJECT)})


@pytest.mark.parametrize("missing", ["target/run_results.json", dbt_build.STATE])
def test_after_a_killed_attempt_everything_is_rebuilt(failed_try, missing):
    folder, state = failed_try
    (folder / missing).unlink()
    assert not _can_retry(folder, state)


def test_after_a_complete_attempt_everything_is_rebuilt(failed_try):
    folder, state = failed_try
    write_results(folder, "success", "pass", "warn")
    assert not _can_retry(folder, state)


def test_folders_of_old_failures_are_removed_except_the_latest(tmp_path):
    now = tmp_path.stat().st_mtime
    for half_days in range(20):
        folder = tmp_path / f"{half_days:02}"
        (folder / "target").mkdir(parents=True)
        os.utime(folder, (now - half_days * 43200, now - half_days * 43200))
    prune(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{half_days:02}" for half_days in range(10)]
    for path in tmp_path.iterdir():
        os.utime(path, (now, now))
    for number in range(5):
        (tmp_path / f"today-{number}").mkdir()
    prune(tmp_path)
    assert len(list(tmp_path.iterdir())) == 15, "what is of today may be at work"
    prune(tmp_path / "none yet")


@pytest.mark.parametrize("sign_in", [{"private_key": DER}, {"password": "pw", "role": "R", "host": "h", "port": 8084}])
def test_the_project_and_its_profile_are_valid(tmp_path, sign_in):
    before = dict(os.environ)
    arguments = ["parse", "--target-path", str(tmp_path / "target"), "--log-path", str(tmp_path / "logs")]
    arguments += ["--project-dir", str(PROJECT / "dbt"), "--profiles-dir", str(PROJECT / "dbt"), "--quiet"]
    arguments += ["--vars", '{"raw_schema": "RAW_TEST", "orders_table": "ORDERS"}']
    account = {"account": "a", "user": "u", "database": "D", "warehouse": "w"}
    with _environment(_profile(account | sign_in, "ANALYTICS_TEST")):
        result = dbtRunner().invoke(arguments)
    assert result.success, result.exception
    assert {node.schema for node in result.result.nodes.values() if node.resource_type == "model"} == {"ANALYTICS_TEST"}
    assert [source.schema for source in result.result.sources.values()] == ["RAW_TEST"]
    assert dict(os.environ) == before
    assert not {"target", "logs"} & {path.name for path in (PROJECT / "dbt").iterdir()}
