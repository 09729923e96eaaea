import json
import os

import pytest
from conftest import PROJECT
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dbt.cli.main import dbtRunner

from dbt_build import DbtError, NodeResult, _environment, _profile, _results, check

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
DER = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def test_a_failed_node_is_named():
    results = [
        NodeResult("model.shop.stg_orders", "success", 0.1, "SUCCESS 1"),
        NodeResult("test.shop.unique_stg_orders_order_id", "fail", 0.1, "Got 3 results\nof many"),
        NodeResult("model.shop.daily_sales", "skipped", 0.0, None),
    ]
    with pytest.raises(DbtError, match=r"1 of 3 nodes failed, 1 skipped: test\.shop\.unique_stg.*: Got 3 results$"):
        check(results)
    check(results[:1])


def test_results_are_read(tmp_path):
    path = tmp_path / "target" / "run_results.json"
    with pytest.raises(DbtError, match=r"no results: see .*dbt\.log"):
        _results(path)
    path.parent.mkdir()
    result = {"unique_id": "model.shop.x", "status": "error", "execution_time": 1.234, "message": "no"}
    path.write_text(json.dumps({"results": [result]}))
    assert _results(path) == [NodeResult("model.shop.x", "error", 1.23, "no")]


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
