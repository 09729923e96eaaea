"""Needs the lab's stand-ins for the Azure Function, blob storage and Snowflake; the lab writes their addresses:

set -a; . .lab/prefect-lab/flows.env; set +a
"""

import json
import os
from contextlib import closing

import pytest
import snowflake.connector
from lab import DAY, DAY_BEFORE, DER, PEM, SECRETS, VARIABLES, Runs, Target, load_undisturbed
from prefect.settings import PREFECT_HOME, temporary_settings
from prefect.testing.utilities import prefect_test_harness
from stand_ins import WarehouseProxy


@pytest.fixture(scope="session")
def lab():
    """The lab's secrets; the key pair is the tests' own, of which they know all forms."""
    if missing := [variable for variable in VARIABLES if variable not in os.environ]:
        pytest.fail(f"{', '.join(missing)} not set; with a lab: set -a; . .lab/prefect-lab/flows.env; set +a")
    url, key, account = (os.environ[variable] for variable in VARIABLES)
    return url, key, json.loads(account) | {"private_key": PEM}


@pytest.fixture(scope="session")
def warehouse(lab):
    """A session of the tests' own, past the proxy."""
    arguments = {name: value for name, value in lab[2].items() if name != "private_key"}
    with closing(snowflake.connector.connect(**arguments, private_key=DER)) as connection:
        yield connection


@pytest.fixture(scope="session")
def prefect(tmp_path_factory):
    """A Prefect server with a database file of its own; gives the folder of all that Prefect and dbt keep."""
    home = tmp_path_factory.mktemp("prefect")
    with temporary_settings({PREFECT_HOME: home}), prefect_test_harness(server_startup_timeout=120):
        yield home


@pytest.fixture
def proxy(lab):
    """The way to the warehouse that the flow takes."""
    account = lab[2]
    proxy = WarehouseProxy(account["host"], account["port"])
    yield proxy
    proxy.end_sessions()
    proxy.close()


@pytest.fixture
def target(warehouse):
    target = Target(warehouse)
    yield target
    target.drop()


@pytest.fixture
def loaded(warehouse, lab, target):
    """The target with the day before loaded, without flow or disturbance."""
    load_undisturbed(warehouse, lab, target.table, DAY_BEFORE)
    return target


@pytest.fixture(scope="session")
def undisturbed(warehouse, lab):
    """What both days look like when nothing goes wrong."""
    target = Target(warehouse)
    load_undisturbed(warehouse, lab, target.table, DAY_BEFORE)
    load_undisturbed(warehouse, lab, target.table, DAY)
    rows = target.rows()
    target.drop()
    assert [row[1] for row in rows] == [row[2] for row in rows], "an order is there twice"
    return rows


@pytest.fixture
def runs(prefect, lab, proxy, target, monkeypatch, caplog):
    """Runs of the flow. After every test, no trace of them may contain a secret."""
    url, key, account = lab
    account = account | {"host": "127.0.0.1", "port": proxy.port}
    environment = dict(zip(VARIABLES, (url, key, json.dumps(account)), strict=True))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    yield (all_runs := Runs(prefect, target, environment))
    traces = all_runs.traces() | {"log": caplog.text.encode()}
    assert not [(name, place) for name, value in SECRETS.items() for place, text in traces.items() if value in text]
