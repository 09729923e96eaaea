"""Registering on a real server: what is there afterwards, also the second time, and what is refused."""

import asyncio
import json
import ssl
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from unittest.mock import ANY

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_SSL_CERT_FILE, PREFECT_API_URL, temporary_settings

import deploy
from deployer.apply import LOCK
from deployer.inspection import inspect
from deployer.kinds import Deployments

TEXT = """
deployments:
  - name: daily
    entrypoint: flow.py:hello
    description: Every night.
    tags: [production, daily]
    parameters: {who: you}
    concurrency_limit: {limit: 1, collision_strategy: CANCEL_NEW}
    work_pool: {name: %(pool)s, job_variables: {env: {LEVEL: high}}}
    schedules:
      - {cron: 0 2 * * *, timezone: Europe/Paris, slug: night, parameters: {times: 2}}
      - {interval: 900}
      - {rrule: FREQ=MINUTELY;INTERVAL=5}
      - {rrule: "FREQ=WEEKLY;BYDAY=MO", timezone: Europe/Paris, active: false}
  - name: by-hand
    entrypoint: flow.py:goodbye
    work_pool: {name: %(pool)s}
"""


@pytest.fixture
def settings(prefect_server):
    """The standard settings of the server."""
    values = {PREFECT_API_URL: prefect_server.url, PREFECT_API_AUTH_STRING: prefect_server.auth}
    with temporary_settings(values):
        yield values


@pytest.fixture
def shop(settings, write_project, flows: Path, flow_source, request, monkeypatch):
    """A project whose flows, pool and mark have names of this test's own, for the server is shared. It is imported
    once.
    """
    answers = {}

    def inspect_once(python: Path, projects: dict[Path, list[str]]):
        for folder in projects.keys() - answers.keys():
            answers.update(inspect(python, {folder: projects[folder]}))
        return answers

    monkeypatch.setattr("deployer.check.inspect", inspect_once)
    name = request.node.originalname.replace("_", "-")
    flow = flow_source.replace('name="ciao"', f'name="{name}-goodbye"').replace("@flow\n", f'@flow(name="{name}")\n')
    write_project(flow_py=flow, prefect_yaml=TEXT % {"pool": name})
    (flows / "resources.yml").write_text(f"work_pools: [{{name: {name}}}]\n")
    (flows / "targets.yml").write_text(f"name: {name}\ntargets: {{lab: {{mode: development}}}}\n")
    return name


@pytest.fixture
def run(flows: Path, python_of, capsys):
    """Runs deploy.py; gives the exit code, the lines it printed and those of the errors."""

    def call(command: str, *options: str) -> tuple[int, list[str], list[str]]:
        capsys.readouterr()
        code = deploy.main([command, "--flows", str(flows), "--target", "lab", *options], python_of)
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return call


@pytest.fixture
def apply(run):
    """Applies a release; gives the exit code, what was done in the order of names, and the lines of the errors."""

    def call(release: str = "r1", *options: str) -> tuple[int, list[str], list[str]]:
        code, lines, errors = run("apply", "--release", release, *options)
        return code, sorted(lines[: next((at for at, line in enumerate(lines) if line.startswith(" ")), 0)]), errors

    return call


@pytest.fixture
def plan(run):
    """Plans a release; gives what would be done, by kind and name, and the fields in which they differ."""

    def call(release: str = "r1", *options: str) -> dict[str, tuple[str, dict[str, tuple]]]:
        code, [line], errors = run("plan", "--json", "--release", release, *options)
        told = json.loads(line)
        pending = [each for each in told["changes"] if each["action"] != "keep"]
        assert (code, errors) == (2 if pending else 0, [])
        return {
            f"{each['kind']} {each['name']}": (
                each["action"],
                {one["field"]: (one["old"], one["new"]) for one in each["differences"]},
            )
            for each in told["changes"]
        }

    return call


def ask(method: str, *arguments, **options):
    """Call a method of the Prefect client."""

    async def call():
        async with get_client() as client:
            return await getattr(client, method)(*arguments, **options)

    return asyncio.run(call())


def test_a_first_apply_creates_pool_and_deployments(apply, shop) -> None:
    assert apply() == (
        0,
        [
            f"created   deployment {shop}-goodbye/by-hand",
            f"created   deployment {shop}/daily",
            f"created   work pool {shop}",
        ],
        [],
    )
    pool = ask("read_work_pool", shop)
    assert pool.type == "process"
    assert "command" in pool.base_job_template["variables"]["properties"]
    daily = ask("read_deployment_by_name", f"{shop}/daily")
    assert (daily.version, daily.entrypoint, daily.work_pool_name) == ("r1", "flow.py:hello", shop)
    assert (daily.tags, daily.description, daily.parameters) == (
        ["production", "daily"],
        "Every night.",
        {"who": "you"},
    )
    assert daily.labels.items() >= {"platform.release": "r1", "platform.project": "shop"}.items()
    assert daily.pull_steps == [
        {"prefect.deployments.steps.set_working_directory": {"directory": "/opt/prefect/flows/releases/r1/shop"}}
    ]
    command = daily.job_variables["command"]
    assert command.startswith("/opt/prefect/envs/shop-")
    assert command.endswith("/bin/python -m prefect.engine")
    assert daily.job_variables["env"] == {"LEVEL": "high"}
    assert daily.global_concurrency_limit.limit == 1
    assert daily.parameter_openapi_schema["required"] == ["who"]
    assert len(daily.schedules) == 4
    [night] = [schedule for schedule in daily.schedules if schedule.slug == "night"]
    assert (night.schedule.cron, night.schedule.timezone, night.parameters) == (
        "0 2 * * *",
        "Europe/Paris",
        {"times": 2},
    )
    assert [schedule.active for schedule in daily.schedules].count(False) == 1
    assert ask("read_deployment_by_name", f"{shop}-goodbye/by-hand").description == "Says goodbye."


def test_applying_again_changes_nothing(apply, plan, shop) -> None:
    apply()
    before = ask("read_deployment_by_name", f"{shop}/daily")
    assert plan() == {}
    assert apply() == (0, [], [])
    assert ask("read_deployment_by_name", f"{shop}/daily") == before


def test_a_release_keeps_schedules_their_phase_and_a_pause_made_by_hand(apply, plan, shop) -> None:
    apply()
    before = ask("read_deployment_by_name", f"{shop}/daily")
    for schedule in before.schedules:
        ask("update_deployment_schedule", before.id, schedule.id, active=False, parameters=schedule.parameters)
    assert apply()[1] == []
    assert plan("r2") == {
        f"deployment {shop}/daily": ("release", {}),
        f"deployment {shop}-goodbye/by-hand": ("release", {}),
    }
    assert apply("r2")[1] == [f"released  deployment {shop}-goodbye/by-hand", f"released  deployment {shop}/daily"]
    after = ask("read_deployment_by_name", f"{shop}/daily")
    assert (after.id, after.version, after.labels["platform.release"]) == (before.id, "r2", "r2")
    assert "/releases/r2/shop" in str(after.pull_steps)
    assert [each.active for each in after.schedules] == [False] * 4

    def phases(deployment) -> list[str]:
        return sorted(each.schedule.model_dump_json() for each in deployment.schedules)

    assert phases(after) == phases(before)


def test_parameters_lost_by_a_pause_come_back_and_the_pause_stays(apply, shop, flows: Path) -> None:
    file = flows / "shop" / "prefect.yaml"
    file.write_text(file.read_text().replace("slug: night, ", ""))
    apply()
    before = ask("read_deployment_by_name", f"{shop}/daily")
    [night] = [schedule for schedule in before.schedules if schedule.parameters]
    ask("update_deployment_schedule", before.id, night.id, active=False, parameters={})
    assert apply()[1] == [f"changed   deployment {shop}/daily"]
    [night] = [
        schedule for schedule in ask("read_deployment_by_name", f"{shop}/daily").schedules if schedule.parameters
    ]
    assert (night.parameters, night.active) == ({"times": 2}, False)


def test_what_the_file_says_of_a_schedule_wins(apply, plan, shop, flows: Path) -> None:
    apply()
    file = flows / "shop" / "prefect.yaml"
    file.write_text(file.read_text().replace("0 2 * * *", "0 3 * * *").replace("active: false", "active: true"))
    changed = {"schedules.night.cron": ("0 2 * * *", "0 3 * * *"), "schedules.[3].active": (False, True)}
    assert plan() == {f"deployment {shop}/daily": ("update", changed)}
    assert apply()[1] == [f"changed   deployment {shop}/daily"]
    schedules = ask("read_deployment_by_name", f"{shop}/daily").schedules
    assert [each.schedule.cron for each in schedules if each.slug] == ["0 3 * * *"]
    assert all(each.active for each in schedules)
    assert plan() == {}


def test_what_is_taken_out_of_the_file_is_taken_off_the_server(apply, shop, flows: Path) -> None:
    apply()
    file = flows / "shop" / "prefect.yaml"
    kept = [
        line for line in file.read_text().splitlines() if not any(word in line for word in ("- {", "tags", "limit"))
    ]
    file.write_text("\n".join(kept))
    assert apply()[1] == [f"changed   deployment {shop}/daily"]
    daily = ask("read_deployment_by_name", f"{shop}/daily")
    assert (daily.schedules, daily.tags, daily.global_concurrency_limit) == ([], [], None)
    assert apply()[1] == []


def test_one_bad_project_and_nothing_is_registered(apply, shop, write_project) -> None:
    write_project("bad", prefect_yaml="deployments: []")
    code, summary, errors = apply()
    assert (code, summary) == (1, [])
    assert errors == ["flows/bad/prefect.yaml:1: deployments: must be a list of at least one deployment"]
    assert shop not in [pool.name for pool in ask("read_work_pools")]


def test_a_pool_of_another_type_is_refused_before_anything_is_registered(apply, shop) -> None:
    ask("create_work_pool", WorkPoolCreate(name=shop, type="docker"))
    code, summary, errors = apply()
    assert (code, summary) == (1, [])
    assert "is of type 'docker'" in errors[0]
    assert f"{shop}/daily" not in registered()


def registered() -> list[str]:
    """Names of all deployments."""
    flows = {each.id: each.name for each in ask("read_flows")}
    return [f"{flows[each.flow_id]}/{each.name}" for each in ask("read_deployments")]


def test_only_what_this_repository_registered_is_deleted_and_only_when_asked(apply, plan, shop, flows: Path) -> None:
    apply()
    flow = ask("create_flow_from_name", f"{shop}-other")
    ask("create_deployment", flow_id=flow, name="by-others")
    file = flows / "shop" / "prefect.yaml"
    file.write_text(file.read_text().split("  - name: by-hand")[0])
    gone = f"{shop}-goodbye/by-hand"
    assert plan() == {f"deployment {gone}": ("keep", {})}
    assert apply()[1] == []
    assert gone in registered()
    assert plan("r1", "--prune") == {f"deployment {gone}": ("delete", {})}
    assert apply("r1", "--prune")[1] == [f"deleted   deployment {gone}"]
    assert {f"{shop}/daily", f"{shop}-other/by-others"} <= set(registered()) - {gone}


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
    (tmp_path / "inventory.json").write_text(json.dumps({"platform_inventory": inventory}))
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
    queues = {each.name: each for each in ask("read_work_queues", work_pool_name=shop)}
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
        f"automation {shop} failed": ("update", {"actions": ANY}),
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
    assert [each.enabled for each in ask("read_automations_by_name", f"{shop} failed")] == [False]


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
    inventory.write_text(json.dumps({"platform_inventory": {"work_pools": [shop]}}))
    assert apply("r1", resources) == (
        1,
        [],
        [
            f"the notification '{shop}-ops' is declared in resources.yml and has no value in this environment: "
            "add it to prefect_notifications of the inventory"
        ],
    )
    assert f"{shop}/daily" not in registered()


def test_a_manifest_brings_back_what_was(apply, run, plan, shop: str, flows: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("deployer.archive.pack", lambda flows, folder: folder / "code.tar")
    _, [line], _ = run("pack", "--release", "r1", str(tmp_path))
    manifest = json.loads(line)["manifest"]
    apply()
    before = ask("read_deployment_by_name", f"{shop}/daily")
    file = flows / "shop" / "prefect.yaml"
    file.write_text(file.read_text().replace("0 2 * * *", "0 3 * * *").replace("who: you", "who: them"))
    apply("r2")
    changed = {"parameters.who": ("them", "you"), "schedules.night.cron": ("0 3 * * *", "0 2 * * *")}
    assert plan("r2", manifest)[f"deployment {shop}/daily"] == ("update", changed)
    assert apply("r2", manifest)[0] == 0
    after = ask("read_deployment_by_name", f"{shop}/daily")
    changing = {"updated", "schedules", "last_polled"}
    assert after.model_dump(exclude=changing) == before.model_dump(exclude=changing)
    definitions = [[each.schedule for each in one.schedules] for one in (before, after)]
    assert definitions[0] == definitions[1]


def test_a_server_that_goes_away_leaves_a_list_of_what_is_not_done(apply, plan, shop: str, monkeypatch) -> None:
    write = Deployments.write

    async def refuse(self, name, fields, held):
        if name.endswith("/daily"):
            raise httpx.ConnectError("All connection attempts failed")
        await write(self, name, fields, held)

    with monkeypatch.context() as patched:
        patched.setattr(Deployments, "write", refuse)
        code, _, errors = apply()
    assert code == 1
    assert "cannot be reached: All connection attempts failed" in errors[0]
    assert "run it again for the rest" in errors[1]
    assert f"  not done: create deployment {shop}/daily" in errors
    assert f"work pool {shop}" not in str(errors[1:])
    assert apply()[0] == 0
    assert plan() == {}


def test_two_at_the_same_time_take_turns(run, apply, shop: str, monkeypatch) -> None:
    monkeypatch.setattr("deployer.apply.WAIT", 0.1)
    apply()
    held = ask("increment_concurrency_slots_with_lease", names=[LOCK], slots=1, mode="concurrency", lease_duration=60)
    code, lines, errors = apply("r2")
    assert (code, lines) == (1, [])
    assert "somebody else is deploying to this server" in errors[0]
    assert ask("read_deployment_by_name", f"{shop}/daily").version == "r1"
    ask("release_concurrency_slots_with_lease", lease_id=held.json()["lease_id"])
    assert apply("r2")[0] == 0


def test_a_wrong_password_is_one_line(apply, shop, settings) -> None:
    with temporary_settings({PREFECT_API_AUTH_STRING: "admin:wrong-horse"}):
        code, summary, errors = apply()
    assert (code, summary) == (1, [])
    assert errors == [f"{settings[PREFECT_API_URL]} refused the password (401): correct PREFECT_API_AUTH_STRING"]
    with temporary_settings(restore_defaults=[PREFECT_API_AUTH_STRING]):
        assert "asks for a password: set PREFECT_API_AUTH_STRING" in apply()[2][0]


def test_a_server_that_is_none_is_one_line(apply, shop, settings, prefect_server) -> None:
    for url, said in (
        ("http://127.0.0.1:9/api", "cannot be reached"),
        (prefect_server.url.removesuffix("/api"), "PREFECT_API_URL ends in /api"),
    ):
        with temporary_settings({PREFECT_API_URL: url}):
            code, summary, errors = apply()
        assert (code, summary, len(errors)) == (1, [], 1)
        assert said in errors[0]
    with temporary_settings(restore_defaults=[PREFECT_API_URL]):
        assert apply()[2] == [
            "PREFECT_API_URL is not set: set it to the server's API, such as https://prefect.example.org/api"
        ]


def test_a_certificate_that_is_not_trusted_is_one_line(tmp_path: Path, apply, shop) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*made, *named, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"https://localhost:{server.server_port}/api"
        with temporary_settings({PREFECT_API_URL: url}):
            _, _, untrusted = apply()
        with temporary_settings({PREFECT_API_URL: url, PREFECT_API_SSL_CERT_FILE: str(certificate)}):
            _, _, trusted = apply()
        with temporary_settings({PREFECT_API_URL: url, PREFECT_API_SSL_CERT_FILE: str(tmp_path / "none.pem")}):
            _, _, missing = apply()
        server.shutdown()
    assert untrusted == [
        f"the certificate of {url} is not trusted: set PREFECT_API_SSL_CERT_FILE to its CA's certificate"
    ]
    assert "certificate" not in trusted[0]
    assert missing == [f"PREFECT_API_SSL_CERT_FILE {tmp_path}/none.pem cannot be read: No such file or directory"]


def test_a_release_cannot_leave_its_folder(apply, shop) -> None:
    assert "cannot name a release" in apply("../x")[2][0]


@pytest.fixture
def secrets(settings, shop: str, flows: Path, run, tmp_path: Path):
    """Applies with these secrets in the inventory; gives the exit code and all that was said."""

    def call(given: object) -> tuple[int, list[str], list[str]]:
        text = (
            given
            if isinstance(given, str)
            else json.dumps({"platform_inventory": {"work_pools": [shop], "secrets": given}})
        )
        (tmp_path / "secrets.json").write_text(text)
        return run("apply", "--release", "r1", "--inventory", str(tmp_path / "secrets.json"))

    return call


def test_secrets_are_written_when_they_differ_and_never_shown(secrets, capsys) -> None:
    given = {"key": "12345", "database": {"user": "me", "password": "swordfish"}, "text": "xyzzy"}
    code, lines, errors = secrets(given)
    assert (code, errors) == (0, [])
    assert {"created   secret key", "created   secret database", "created   secret text"} < set(lines)

    def held(name: str):
        return ask("read_block_document_by_name", name, "secret", include_secrets=True).data["value"]

    assert {name: held(name) for name in given} == given
    given["database"]["password"] = "trout"
    code, lines, errors = secrets(given)
    assert "changed   secret database" in lines
    assert "created   secret key" not in lines
    assert held("database") == {"user": "me", "password": "trout"}
    assert "trout" not in str(lines)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('{"a": "swordfish"', "it is not JSON"),
        ('["swordfish"]', "it is not JSON with a platform_inventory"),
        (["swordfish"], "must be an object of names and values"),
        ({"good": "swordfish", "Bad_Name": "swordfish"}, "'Bad_Name' cannot name a secret"),
        ({"good": "swordfish", "list": ["swordfish"]}, "the value of the secret 'list' must be a text or an object"),
        ({"good": "swordfish", "empty": ""}, "the value of the secret 'empty'"),
    ],
    ids=str,
)
def test_secrets_that_are_none_are_refused_unseen(secrets, given: object, said: str) -> None:
    code, lines, errors = secrets(given)
    assert (code, lines, len(errors)) == (1, [], 1)
    assert said in errors[0]
    assert "swordfish" not in errors[0]


@pytest.mark.parametrize("kind", ["answer", "exception"])
def test_secrets_are_not_in_what_the_server_says_of_them(secrets, monkeypatch, kind: str) -> None:
    async def refuse(client, *arguments, **options):
        if kind == "exception":
            raise ValueError("swordfish")
        response = httpx.Response(422, text="swordfish", request=httpx.Request("POST", "http://localhost/api"))
        raise PrefectHTTPStatusError("swordfish", request=response.request, response=response)

    monkeypatch.setattr("prefect.client.orchestration.PrefectClient.create_block_document", refuse)
    code, lines, errors = secrets({f"refused-{kind}": "swordfish"})
    assert code == 1
    assert ("422" if kind == "answer" else "ValueError") in errors[0]
    assert "swordfish" not in str(errors) + str(lines)
