"""Everything else the server holds, of each kind."""

import json
from pathlib import Path

import pytest
from asking import ask, registered

ID = "7a1f34a5-0c2e-4f0b-9f52-1c6ae6e0b7d1"
RESOURCES = """
work_pools:
  - name: %(pool)s
    concurrency_limit: 3
    work_queues:
      - {name: default, concurrency_limit: 2}
      - {name: urgent, priority: 1}
global_concurrency_limits:
  - {name: %(pool)s-database, limit: 4}
tag_concurrency_limits:
  - {tag: %(pool)s-heavy, concurrency_limit: 2}
variables:
  - {name: %(variable)s, value: {country: FR}, tags: [shop]}
notifications: [%(pool)s-ops]
automations:
  - name: %(pool)s failed
    trigger: {type: event, posture: Reactive, expect: [prefect.flow-run.Failed, prefect.flow-run.Crashed], threshold: 1}
    actions:
      - type: send-notification
        block_document_id: "{{ prefect.blocks.slack-webhook.%(pool)s-ops }}"
        body: It has failed
      - type: run-deployment
        deployment_id: "{{ prefect.deployments.%(pool)s/daily }}"
"""


@pytest.fixture
def resources(shop: str, flows: Path, tmp_path: Path) -> str:
    """One of each kind; gives the options that bring the values from the vault."""
    (flows / "resources.yml").write_text(RESOURCES % {"pool": shop, "variable": shop.replace("-", "_")})
    inventory = {"work_pools": [shop], "notifications": {f"{shop}-ops": "json://localhost/swordfish"}}
    (tmp_path / "inventory.json").write_text(json.dumps({"msg": {"platform_inventory": inventory}}))
    return f"--inventory={tmp_path / 'inventory.json'}"


def test_all_kinds_are_registered_once(apply, plan, shop: str, resources: str) -> None:
    code, lines, errors = apply("r1", resources)
    assert (code, errors) == (0, [])
    assert [line.split(maxsplit=1)[1].replace(shop, "x") for line in lines] == [
        "automation x failed",
        "deployment x-goodbye/by-hand",
        "deployment x/daily",
        "global concurrency limit x-database",
        "notification x-ops",
        "tag concurrency limit x-heavy",
        f"variable {shop.replace('-', '_')}",
        "work pool x",
        "work queue x/default",
        "work queue x/urgent",
    ]
    assert plan("r1", resources) == {}
    assert ask("read_work_pool", shop).concurrency_limit == 3
    queues = {queue.name: queue for queue in ask("read_work_queues", work_pool_name=shop)}
    assert (queues["default"].concurrency_limit, queues["urgent"].priority) == (2, 1)
    assert ask("read_global_concurrency_limit_by_name", f"{shop}-database").limit == 4
    assert ask("read_concurrency_limit_by_tag", f"{shop}-heavy").concurrency_limit == 2
    assert ask("read_variable_by_name", shop.replace("-", "_")).value == {"country": "FR"}
    [automation] = ask("read_automations_by_name", f"{shop} failed")
    block = ask("read_block_document_by_name", f"{shop}-ops", "slack-webhook")
    daily = ask("read_deployment_by_name", f"{shop}/daily")
    assert [automation.actions[0].block_document_id, automation.actions[1].deployment_id] == [block.id, daily.id]


def test_a_change_of_any_kind_is_shown_by_its_field(apply, plan, run, shop: str, resources: str, flows: Path) -> None:
    apply("r1", resources)
    file, variable = flows / "resources.yml", shop.replace("-", "_")
    for old, new in (("limit: 3", "limit: 5"), ("priority: 1", "priority: 2"), ("FR", "DE"), ("limit: 4", "limit: 6")):
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new, 1))
    file.write_text(
        file.read_text().replace("has failed", "died").replace("concurrency_limit: 2}\nv", "concurrency_limit: 1}\nv")
    )
    inventory = Path(resources.partition("=")[2])
    inventory.write_text(inventory.read_text().replace("swordfish", "trout"))
    assert plan("r1", resources) == {
        f"notification {shop}-ops": ("update", {"value": ("(hidden)", "(hidden)")}),
        f"variable {variable}": ("update", {"value.country": ("FR", "DE")}),
        f"work pool {shop}": ("update", {"concurrency_limit": (3, 5)}),
        f"global concurrency limit {shop}-database": ("update", {"limit": (4, 6)}),
        f"tag concurrency limit {shop}-heavy": ("update", {"concurrency_limit": (2, 1)}),
        f"work queue {shop}/urgent": ("update", {"priority": (1, 2)}),
        f"automation {shop} failed": ("update", {"actions[0].body": ("It has failed", "It died")}),
    }
    _, shown, _ = run("plan", "--release", "r1", resources)
    assert '    value.country: "FR" -> "DE"' in shown
    assert "trout" not in str(shown)
    assert len(apply("r1", resources)[1]) == 7
    assert plan("r1", resources) == {}


def test_an_automation_paused_by_hand_stays_paused(apply, plan, shop: str, resources: str, flows: Path) -> None:
    apply("r1", resources)
    [automation] = ask("read_automations_by_name", f"{shop} failed")
    ask("pause_automation", automation.id)
    assert plan("r1", resources) == {}
    file = flows / "resources.yml"
    file.write_text(file.read_text().replace("has failed", "died"))
    apply("r1", resources)
    assert [automation.enabled for automation in ask("read_automations_by_name", f"{shop} failed")] == [False]


def test_what_carries_a_mark_is_deleted_when_it_is_declared_no_more(
    apply, plan, shop: str, resources: str, flows: Path
) -> None:
    apply("r1", resources)
    (flows / "resources.yml").write_text(f"work_pools: [{{name: {shop}}}]\n")
    gone = {f"variable {shop.replace('-', '_')}": ("delete", {}), f"automation {shop} failed": ("delete", {})}
    assert gone.items() <= plan("r1", "--prune").items()
    apply("r1", "--prune")
    assert plan("r1", "--prune") == {}
    assert ask("read_automations_by_name", f"{shop} failed") == []


def test_a_block_without_a_value_is_refused_before_anything_is_registered(apply, shop: str, resources: str) -> None:
    inventory = Path(resources.partition("=")[2])
    inventory.write_text(json.dumps({"msg": {"platform_inventory": {"work_pools": [shop]}}}))
    assert apply("r1", resources) == (
        1,
        [],
        [
            f"the notification '{shop}-ops' is declared in resources.yml and has no value in this environment: "
            "add it to prefect_notifications of the inventory, "
            "or take it out of resources.yml if no flow of yours needs it"
        ],
    )
    assert f"{shop}/daily" not in registered()


NAMING = """
work_pools: [{name: %(pool)s, work_queues: [{name: urgent}]}]
automations:
  - name: %(pool)s names
    trigger:
      type: event
      posture: Reactive
      expect: [prefect.deployment.not-ready]
      match: {prefect.resource.id: "prefect.deployment.{{ prefect.deployments.%(pool)s/daily }}"}
      match_related: {prefect.resource.id: ["prefect.work-pool.{{prefect.work_pools.%(pool)s}}"]}
      threshold: 1
    actions:
      - {type: pause-work-pool, work_pool_id: "{{ prefect.work_pools.%(pool)s }}"}
      - {type: pause-work-queue, work_queue_id: "{{ prefect.work_queues.%(pool)s/urgent }}"}
"""


def test_an_automation_names_what_comes_with_it(apply, plan, shop: str, flows: Path) -> None:
    (flows / "resources.yml").write_text(NAMING % {"pool": shop})
    assert apply()[0] == 0
    [automation] = ask("read_automations_by_name", f"{shop} names")
    daily, pool = ask("read_deployment_by_name", f"{shop}/daily"), ask("read_work_pool", shop)
    [queue] = [queue for queue in ask("read_work_queues", work_pool_name=shop) if queue.name == "urgent"]
    trigger, actions = automation.trigger, automation.actions
    assert trigger.match.root == {"prefect.resource.id": f"prefect.deployment.{daily.id}"}
    assert trigger.match_related.root == {"prefect.resource.id": [f"prefect.work-pool.{pool.id}"]}
    assert (actions[0].work_pool_id, actions[1].work_queue_id) == (pool.id, queue.id)
    assert plan() == {}


@pytest.mark.parametrize(
    ("named", "other", "reason"),
    [
        (
            'prefect.work_pools.%(pool)s }}"}\n',
            'prefect.work_pools.none }}"}\n',
            "prefect.work_pools.none }}, which the ",
        ),
        ("%(pool)s/urgent }}", "%(pool)s/none }}", "work_queues.%(pool)s/none }}, which the server does"),
        ("{{prefect.work_pools.%(pool)s}}", "{{ prefect.work_pools.none }}", "prefect.work_pools.none }}, which the "),
        (
            "{{prefect.work_pools.%(pool)s}}",
            "{{ flow_run.id }}",
            "{{ flow_run.id }} cannot be resolved",
        ),
        ("{{prefect.work_pools.%(pool)s}}", ID, f"prefect.work-pool.{ID} cannot be resolved"),
        (
            "{{ prefect.work_queues.%(pool)s/urgent }}",
            ID,
            f"work_queue_id: {ID} is an id, or another kind",
        ),
        ("pause-work-queue, work_queue_id", "pause-automation, automation_id", "automation cannot be named here"),
    ],
)
def test_what_an_automation_cannot_name_is_told_before_anything_is_registered(
    apply, run, shop: str, flows: Path, named: str, other: str, reason: str
) -> None:
    names = {"pool": shop}
    assert named in NAMING
    (flows / "resources.yml").write_text(NAMING.replace(named, other) % names)
    code, lines, [error] = apply()
    assert (code, lines) == (1, [])
    assert reason % names in error
    assert run("plan", "--release", "r1")[2] == [error]
    assert f"{shop}/daily" not in registered()
