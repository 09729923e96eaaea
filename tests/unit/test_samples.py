"""The README says which secrets each sample needs."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SECRETS = yaml.safe_load((ROOT / "flows/resources.yml").read_text())["secrets"]
ROWS = re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
# A secret's name that is also a kind of target there
OTHERWISE = {"db_dump": {"snowflake"}}
SAMPLES = {project: set(re.findall(r"`([\w-]+)`", secrets)) for project, secrets in ROWS}


@pytest.mark.parametrize("project", [path.parent.name for path in ROOT.glob("flows/*/prefect.yaml")])
def test_of_a_sample(project: str) -> None:
    files = [path for pattern in ("*.py", "*.yaml") for path in (ROOT / "flows" / project).glob(pattern)]
    text = "\n".join(path.read_text() for path in files)
    named = {secret for secret in SECRETS if re.search(rf"[\"/]{secret}\b(?!-)", text)}
    assert SAMPLES[project] == named - OTHERWISE.get(project, set())


def test_all_secrets_are_of_a_sample() -> None:
    assert set().union(*SAMPLES.values()) == set(SECRETS)
