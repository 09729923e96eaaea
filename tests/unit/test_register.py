"""Registering on a real server: what is there afterwards, also the second time, and what is refused."""

import asyncio
import io
import json
import os
import ssl
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_SSL_CERT_FILE, PREFECT_API_URL, temporary_settings

import deploy
from deployer.inspection import inspect

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
def shop(settings, write_project, flow_source, request, monkeypatch):
    """A project whose flows and pool have names of this test's own, for the server is shared. It is imported once."""
    flows = {}

    def inspect_once(python: Path, folder: Path, entrypoints: set[str]):
        if folder not in flows:
            flows[folder] = inspect(python, folder, entrypoints)
        return flows[folder]

    monkeypatch.setattr("deployer.check.inspect", inspect_once)
    name = request.node.name.replace("_", "-")
    flow = flow_source.replace('name="ciao"', f'name="{name}-goodbye"').replace("@flow\n", f'@flow(name="{name}")\n')
    write_project(flow_py=flow, prefect_yaml=TEXT % {"pool": name})
    return name


@pytest.fixture
def apply(flows: Path, python_of, capsys):
    """Applies a release; gives the exit code, the lines of the summary and those of the errors."""

    def run(release: str = "r1", *options: str) -> tuple[int, list[str], list[str]]:
        capsys.readouterr()
        code = deploy.main(["apply", "--flows", str(flows), "--release", release, *options], python_of)
        said = capsys.readouterr()
        errors = [line for line in said.err.splitlines() if not line.endswith(": checking")]
        return code, said.out.splitlines(), errors

    return run


def ask(method: str, *arguments, **options):
    """Call a method of the Prefect client."""

    async def call():
        async with get_client() as client:
            return await getattr(client, method)(*arguments, **options)

    return asyncio.run(call())


def test_a_first_apply_creates_pool_and_deployments(apply, shop) -> None:
    assert apply() == (
        0,
        [f"created   work pool {shop}", f"created   {shop}/daily", f"created   {shop}-goodbye/by-hand"],
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


def test_applying_again_changes_nothing(apply, shop) -> None:
    apply()
    before = ask("read_deployment_by_name", f"{shop}/daily")
    assert apply() == (0, [f"unchanged {shop}/daily", f"unchanged {shop}-goodbye/by-hand"], [])
    assert ask("read_deployment_by_name", f"{shop}/daily") == before


def test_a_release_keeps_schedules_their_phase_and_a_pause_made_by_hand(apply, shop) -> None:
    apply()
    before = ask("read_deployment_by_name", f"{shop}/daily")
    for schedule in before.schedules:
        ask("update_deployment_schedule", before.id, schedule.id, active=False, parameters=schedule.parameters)
    assert apply()[1] == [f"unchanged {shop}/daily", f"unchanged {shop}-goodbye/by-hand"]
    assert apply("r2")[1] == [f"updated   {shop}/daily", f"updated   {shop}-goodbye/by-hand"]
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
    assert apply()[1][0] == f"updated   {shop}/daily"
    [night] = [
        schedule for schedule in ask("read_deployment_by_name", f"{shop}/daily").schedules if schedule.parameters
    ]
    assert (night.parameters, night.active) == ({"times": 2}, False)


def test_what_the_file_says_of_a_schedule_wins(apply, shop, flows: Path) -> None:
    apply()
    file = flows / "shop" / "prefect.yaml"
    file.write_text(file.read_text().replace("0 2 * * *", "0 3 * * *").replace("active: false", "active: true"))
    assert apply()[1][0] == f"updated   {shop}/daily"
    schedules = ask("read_deployment_by_name", f"{shop}/daily").schedules
    assert [each.schedule.cron for each in schedules if each.slug] == ["0 3 * * *"]
    assert all(each.active for each in schedules)


def test_what_is_taken_out_of_the_file_is_taken_off_the_server(apply, shop, flows: Path) -> None:
    apply()
    file = flows / "shop" / "prefect.yaml"
    kept = [
        line for line in file.read_text().splitlines() if not any(word in line for word in ("- {", "tags", "limit"))
    ]
    file.write_text("\n".join(kept))
    assert apply()[1][0] == f"updated   {shop}/daily"
    daily = ask("read_deployment_by_name", f"{shop}/daily")
    assert (daily.schedules, daily.tags, daily.global_concurrency_limit) == ([], [], None)
    assert apply()[1][0] == f"unchanged {shop}/daily"


def test_one_bad_project_and_nothing_is_registered(apply, shop, write_project) -> None:
    write_project("bad", prefect_yaml="deployments: []")
    code, summary, errors = apply()
    assert (code, summary) == (1, [])
    assert errors == ["flows/bad/prefect.yaml:1: deployments: must be a list of at least one deployment"]
    assert shop not in [pool.name for pool in ask("read_work_pools")]


def test_a_pool_of_another_type_is_refused_before_anything_is_registered(apply, shop) -> None:
    ask("create_work_pool", WorkPoolCreate(name=f"{shop}-docker", type="docker"))
    code, summary, errors = apply("r1", "--pool", shop, "--pool", f"{shop}-docker")
    assert (code, summary) == (1, [])
    assert "is of type 'docker'" in errors[0]
    assert shop not in [pool.name for pool in ask("read_work_pools")]


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


def secrets(server, given: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `deploy.py secrets` as a user does, with the settings in the environment."""
    standard = {"PREFECT_API_URL": server.url, "PREFECT_API_AUTH_STRING": server.auth}
    return subprocess.run(
        [sys.executable, deploy.__file__, "secrets"],
        input=given,
        capture_output=True,
        text=True,
        env=os.environ | standard | environment,
    )


def test_secrets_are_written_when_they_differ_and_never_shown(prefect_server, settings) -> None:
    given = {"key": "12345", "database": {"user": "me", "password": "swordfish"}, "text": "xyzzy"}
    done = secrets(prefect_server, json.dumps(given))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["created   key", "created   database", "created   text"]

    def held(name: str):
        return ask("read_block_document_by_name", name, "secret", include_secrets=True).data["value"]

    assert {name: held(name) for name in given} == given
    given["database"]["password"] = "trout"
    done = secrets(prefect_server, json.dumps(given))
    assert done.stdout.splitlines() == ["unchanged key", "updated   database", "unchanged text"]
    assert held("database") == {"user": "me", "password": "trout"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('{"a": "swordfish"', "not JSON"),
        ('["swordfish"]', "must be a JSON object"),
        ('{"good": "swordfish", "Bad_Name": "swordfish"}', "'Bad_Name' cannot name a block"),
        ('{"good": "swordfish", "list": ["swordfish"]}', "the value of 'list' must be a string or an object"),
        ('{"good": "swordfish", "empty": ""}', "the value of 'empty'"),
    ],
)
def test_secrets_that_are_none_are_refused_unseen(settings, monkeypatch, capsys, given: str, said: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(given))
    assert deploy.main(["secrets"]) == 1
    out, err = capsys.readouterr()
    assert said in err
    assert (out, len(err.splitlines())) == ("", 1)
    assert "swordfish" not in err


def test_secrets_meet_a_wrong_password_in_one_line(prefect_server) -> None:
    done = secrets(prefect_server, '{"key": "swordfish"}', PREFECT_API_AUTH_STRING="admin:wrong-horse")
    assert (done.returncode, done.stdout) == (1, "")
    assert "refused the password (401)" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "horse" not in done.stderr
    assert "swordfish" not in done.stderr


@pytest.mark.parametrize("kind", ["answer", "exception"])
def test_secrets_are_not_in_what_the_server_says_of_them(settings, monkeypatch, capsys, kind: str) -> None:
    async def refuse(client, *arguments, **options):
        if kind == "exception":
            raise ValueError("swordfish")
        response = httpx.Response(422, text="swordfish", request=httpx.Request("POST", "http://localhost/api"))
        raise PrefectHTTPStatusError("swordfish", request=response.request, response=response)

    monkeypatch.setattr("prefect.client.orchestration.PrefectClient.create_block_document", refuse)
    monkeypatch.setattr("sys.stdin", io.StringIO('{"refused": "swordfish"}'))
    assert deploy.main(["secrets"]) == 1
    out, err = capsys.readouterr()
    assert ("422" if kind == "answer" else "ValueError") in err
    assert (out, len(err.splitlines())) == ("", 1)
    assert "swordfish" not in err
