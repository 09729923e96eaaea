"""The flow's deployments, and the words that it counts."""

from pathlib import Path

import pytest
import yaml

from flow import count, words

DEPLOYMENTS = yaml.safe_load(Path(__file__).parents[1].joinpath("prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_deployments_give_parameters_the_flow_takes(deployment):
    words.validate_parameters(deployment["parameters"])


@pytest.mark.parametrize(("text", "counts"), [("", {}), ("b a b", {"b": 2, "a": 1})])
def test_words_are_counted_the_most_frequent_first(text, counts):
    assert list(count.fn(text).items()) == list(counts.items())
