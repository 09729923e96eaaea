"""What `resources.yml` may say, and what is said of one that is wrong."""

from pathlib import Path

import pytest

from deployer.check import check
from deployer.files.resources_yml import read_resources

pytestmark = pytest.mark.usefixtures("imported")

AUTOMATION = """automations:
- name: failed
  trigger: {type: event, posture: Reactive, expect: [prefect.flow-run.Failed], threshold: 1}
  actions:
  - type: send-notification
    block_document_id: "{{ prefect.blocks.slack-webhook.ops }}"
    body: It has failed
  - {type: run-deployment, deployment_id: "{{ prefect.deployments.ciao/daily }}"}
notifications: [ops]
"""

BAD = {
    "not a mapping": ("- a", ":1: must be a mapping of work_pools"),
    "unknown section": ("work_pool: []", ":1: work_pool: is not known here"),
    "not a list": ("variables: {a: 1}", ":1: variables: must be a list"),
    "not an entry": ("variables: [a]", ":1: variables[0]: must be a mapping"),
    "unknown field": (
        "variables:\n- {name: a, value: 1, tag: b}",
        ": is not a field of resources.yml: did you mean 'tags'?",
    ),
    "no name": ("work_pools:\n- concurrency_limit: 1", ":2: work_pools[0].name: is missing"),
    "twice": ("variables:\n- {name: a, value: 1}\n- {name: a, value: 2}", ":3: variables[1]: the variable 'a' stands"),
    "limit of a pool": ("work_pools:\n- {name: a, concurrency_limit: -1}", ":2: work_pools[0].concurrency_limit: "),
    "type of a pool": (
        "work_pools:\n- name: a\n  type: docker",
        ":3: work_pools[0].type: workers here serve process pools only: remove it",
    ),
    "queues": ("work_pools:\n- {name: a, work_queues: b}", ":2: work_pools[0].work_queues: must be a list"),
    "a queue": ("work_pools:\n- name: a\n  work_queues: [b]", ":3: work_pools[0].work_queues[0]: must be a mapping"),
    "priority": (
        "work_pools:\n- name: a\n  work_queues:\n  - {name: b, priority: 0}",
        ":4: work_pools[0].work_queues[0].priority: Input should be greater than 0",
    ),
    "global limit": ("global_concurrency_limits:\n- name: a", ":2: global_concurrency_limits[0].limit: Field required"),
    "tag limit": (
        "tag_concurrency_limits:\n- {tag: a, concurrency_limit: many}",
        ":2: tag_concurrency_limits[0].concurrency_limit: Input should be a valid integer",
    ),
    "name of a variable": ("variables:\n- {name: a b, value: 1}", ":2: variables[0]"),
    "name of a secret": ("secrets:\n- Bad_Name", ":2: secrets[0]: 'Bad_Name' cannot name a block"),
    "posture": (AUTOMATION.replace("Reactive", "Active"), ":3: automations[0].trigger.posture: "),
    "field of a trigger": (
        AUTOMATION.replace("threshold", "treshold"),
        ":3: automations[0].trigger.treshold: is not a",
    ),
    "action": (AUTOMATION.replace("send-notification", "send"), ":5: automations[0].actions[0].type: must be one of"),
    "field of an action": (AUTOMATION.replace("body", "text"), "automations[0].actions[0].body: Field required"),
    "block": (AUTOMATION.replace("[ops]", "[]"), ":2: automations[0]: {{ prefect.blocks.slack-webhook.ops }} is not"),
    "deployment": (AUTOMATION.replace("/daily", "/weekly"), ":2: automations[0]: there is no deployment 'ciao/weekly'"),
    "not YAML": ("work_pools: [", ":1: not valid YAML"),
}


@pytest.mark.parametrize(("text", "reason"), BAD.values(), ids=BAD)
def test_a_wrong_file_is_refused_where_it_is_wrong(
    flows: Path, write_project, python_of, text: str, reason: str
) -> None:
    write_project()
    (flows / "resources.yml").write_text(text)
    problems = [
        str(problem)
        for problem in check(flows, None, None, python_of).problems
        if problem.file == "flows/resources.yml"
    ]
    assert len(problems) == 1, problems
    assert reason in problems[0]


def test_a_right_file_is_passed(flows: Path, write_project, python_of) -> None:
    write_project()
    (flows / "resources.yml").write_text(f"work_pools: [{{name: default}}]\n{AUTOMATION}")
    assert check(flows, None, None, python_of).problems == []


def test_what_is_left_out_goes_back_to_its_default(flows: Path) -> None:
    (flows / "resources.yml").write_text(
        "work_pools: [{name: a, work_queues: [{name: b, priority: 2}]}]\n"
        "global_concurrency_limits: [{name: c, limit: 1}]"
    )
    fields = {
        f"{resource.kind} {resource.name}": resource.fields for resource in read_resources(flows).resources.values()
    }
    assert fields == {
        "work pool a": {"type": "process", "description": None, "concurrency_limit": None},
        "work queue a/b": {"priority": 2, "description": "", "concurrency_limit": None},
        "global concurrency limit c": {"limit": 1, "active": True, "slot_decay_per_second": 0.0},
    }
