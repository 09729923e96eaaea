"""The flow's parameters and deployments."""

from pathlib import Path

import pytest
import yaml
from prefect.exceptions import ParameterTypeError

from flow import default_folder, dump

DEPLOYMENTS = yaml.safe_load(Path(__file__).parents[1].joinpath("prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_deployments_give_parameters_the_flow_takes(deployment):
    dump.validate_parameters(deployment["parameters"])


@pytest.mark.parametrize("tables", [[], ["../orders"], ["orders; DROP"], ["a.b.c"], None])
def test_wrong_tables_are_refused(tables):
    with pytest.raises(ParameterTypeError, match="tables"):
        dump.validate_parameters({"tables": tables})


def test_files_go_to_the_state_directory(monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two")
    assert default_folder() == "/var/lib/one/{{ cookiecutter.project }}"
    monkeypatch.delenv("STATE_DIRECTORY")
    with pytest.raises(ValueError, match="folder: no place for the files"):
        default_folder()
