"""The flows' parameters and deployments."""

from pathlib import Path

import pytest
import yaml
from prefect.exceptions import ParameterTypeError

import flow
from errors import LoadError

DEPLOYMENTS = yaml.safe_load(Path(__file__).parents[1].joinpath("prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("deployed_flow", [flow.files_to_database, flow.gcs_to_bigquery])
def test_every_parameter_is_described(deployed_flow):
    properties = deployed_flow.parameters.model_dump()["properties"]
    assert [name for name, value in properties.items() if not value.get("description")] == []


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_deployments_give_parameters_the_flow_takes(deployment):
    function = deployment["entrypoint"].partition(":")[2]
    parameters = deployment.get("parameters", {})
    assert parameters.keys() <= getattr(flow, function).parameters.properties.keys()
    if function == "files_to_database":
        flow.files_to_database.validate_parameters(parameters)


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("colour", "red", "'yellow', 'green'"),
        ("months", [13], "less than or equal to 12"),
        ("months", [], "at least 1 item"),
        ("table", "trips; DROP TABLE", "pattern"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_accepted(name, value, accepted):
    with pytest.raises(ParameterTypeError, match=f"(?s){name}.*{accepted}"):
        flow.files_to_database.validate_parameters({name: value})


def test_place_of_the_downloads(monkeypatch):
    monkeypatch.delenv("FILES_TO_DATABASE_CACHE", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    with pytest.raises(LoadError, match=r"^cache: .*FILES_TO_DATABASE_CACHE"):
        flow.default_cache()
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two")
    assert flow.default_cache() == "/var/lib/one/files_to_database"
