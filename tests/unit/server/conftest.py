"""A project whose deployments a test registers on a real server, by the commands its users type."""

import json
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

import deploy

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
def shop(settings, write_project, flows: Path, right_flows, request, monkeypatch):
    """A project whose flows, pool, mark and turn have names of this test's own, for the server is shared."""
    name = f"{request.node.originalname.replace('_', '-')}-{crc32(request.node.name.encode()):x}"
    hello, goodbye = (right_flows[f"flow.py:{function}"] for function in ("hello", "goodbye"))
    answers = {"flow.py:hello": replace(hello, name=name), "flow.py:goodbye": replace(goodbye, name=f"{name}-goodbye")}
    monkeypatch.setattr("deployer.check.projects.inspect", lambda python, projects: dict.fromkeys(projects, answers))
    monkeypatch.setattr("deployer.server.deploy_lock.LIMIT", f"{name}-turn")
    write_project(prefect_yaml=TEXT % {"pool": name})
    (flows / "resources.yml").write_text(f"work_pools: [{{name: {name}}}]\n")
    (flows / "targets.yml").write_text(f"name: {name}\ntargets: {{lab: {{mode: development}}}}\n")
    return name


@pytest.fixture
def run(flows: Path, python_of, capsys):
    """Runs deploy.py; gives the exit code, the lines it printed and those of the errors."""

    def call(command: str, *options: str) -> tuple[int, list[str], list[str]]:
        capsys.readouterr()
        code = deploy.main([command, "--flows", str(flows), "--target", "lab", *options], python_of)
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err.splitlines()

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
        answer = json.loads(line)
        pending = [change for change in answer["changes"] if change["action"] != "keep"]
        assert (code, errors) == (2 if pending else 0, [])
        return {
            f"{change['kind']} {change['name']}": (
                change["action"],
                {
                    difference["field"]: (difference.get("old"), difference.get("new"))
                    for difference in change["differences"]
                },
            )
            for change in answer["changes"]
        }

    return call
