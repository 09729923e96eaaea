"""A project whose deployments a test registers on a real server, by the commands its users type."""

import json
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

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
                {one["field"]: (one.get("old"), one.get("new")) for one in each["differences"]},
            )
            for each in told["changes"]
        }

    return call
