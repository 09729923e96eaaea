"""What `prefect.yaml` alone can get wrong: one bad file for each rule, and the line that is said about it."""

from pathlib import Path

import pytest

from deployer.files.document import Document
from deployer.files.prefect_yaml import Declaration, read_declarations


def read(folder: Path) -> tuple[list[Declaration], list[str]]:
    document = Document(folder / "prefect.yaml", "flows/shop/prefect.yaml")
    return read_declarations(document, folder), sorted(map(str, document.problems))


# Each is added to a right deployment, whose lines are 1 to 4, so that it stands on line 5 and after
IN_DEPLOYMENT = {
    "version of an earlier Prefect": (
        "is_schedule_active: false",
        "is_schedule_active: ",
        "`active: false` into the sch",
    ),
    "job variables beside the pool": ("job_variables: {env: {}}", "].job_variables: ", "it belongs under `work_pool`"),
    "queue beside the pool": ("work_queue_name: night", "].work_queue_name: ", "it belongs under `work_pool`"),
    "environment beside the pool": ("env: {A: b}", "].env: ", "it belongs under `job_variables` of `work_pool`"),
    "environment in the pool": ("work_pool: {env: {A: b}}", ".work_pool.env: ", "under `job_variables` of `work_pool`"),
    "cron beside schedules": ("cron: 0 2 * * *", "].cron: ", "it belongs into an entry of `schedules`"),
    "timezone beside schedules": ("timezone: UTC", "].timezone: ", "it belongs into an entry of `schedules`"),
    "strategy beside the limit": ("collision_strategy: ENQUEUE", "].collision_strategy: ", "under `concurrency_limit`"),
    "tags of the pool": ("work_pool: {tags: [a]}", ".work_pool.tags: ", "it belongs into an entry of `deployments`"),
    "queue as a job variable": (
        "work_pool: {job_variables: {work_queue_name: a}}",
        ".job_variables.work_queue_name: ",
        "it belongs under `work_pool`",
    ),
    "pause of a schedule": ("schedules: [{cron: 0 2 * * *, paused: true}]", "[0].paused: ", "write `active: false`"),
    "key of a schedule, misspelt": ("schedules: [{cron: 0 2 * * *, timezon: UTC}]", "[0].timezon: ", "'timezone'?"),
    "schedules under schedule": ("schedule: [{cron: 0 2 * * *}]", "].schedule: ", "a list belongs under `schedules`"),
    "interval as a text": ('schedules: [{interval: "900"}]', "interval: '900' is a text: ", "write 900 without quotes"),
    "interval as a switch": ("schedules: [{interval: true}]", "[0].interval: must be a number of seconds", "900"),
    "limit as a switch": ("concurrency_limit: true", "].concurrency_limit: ", "must be a number"),
    "limit as a switch, inside": (
        "concurrency_limit: {limit: true}",
        "].concurrency_limit.limit: ",
        "must be a number",
    ),
    "number in the environment": ("work_pool: {job_variables: {env: {A: 1}}}", ".env.A: ", "must be a text: quote it"),
    "switch in the environment": ("work_pool: {job_variables: {env: {A: no}}}", ".env.A: ", "must be a text: quote it"),
    "number as a job variable": ("work_pool: {job_variables: {name: 5}}", ".name: ", "must be a text: quote it"),
    "number as a description": ("description: 5", "].description: ", "must be a text: quote it"),
    "number as a cron": ("schedules: [{cron: 5}]", "[0].cron: ", "must be a text: quote it"),
    "unknown key": ("scedules: []", ":5: deployments[0].scedules: ", "did you mean 'schedules'?"),
    "tags as text": ("tags: daily", ":5: deployments[0].tags: ", "must be a list"),
    "tags as mapping": ("tags: {a: b}", ":5: deployments[0].tags: ", "valid list"),
    "parameters as list": ("parameters: [1]", ":5: deployments[0].parameters: ", "valid dictionary"),
    "paused": ("paused: maybe", ":5: deployments[0].paused: ", "valid boolean"),
    "enforce": ("enforce_parameter_schema: 7", ":5: deployments[0].enforce_parameter_schema: ", "valid boolean"),
    "limit": ("concurrency_limit: many", ":5: deployments[0].concurrency_limit: ", "valid integer"),
    "limit of none": ("concurrency_limit: 0", ":5: deployments[0].concurrency_limit: ", "at least 1"),
    "limit's strategy": (
        "concurrency_limit:\n      limit: 1\n      collision_strategy: PRAY",
        ":7: deployments[0].concurrency_limit.collision_strategy: ",
        "ENQUEUE",
    ),
    "limit's key": (
        "concurrency_limit: {limit: 1, limits: 1}",
        ":5: deployments[0].concurrency_limit.limits: ",
        "'limit'?",
    ),
    "build": ("build: [{x: {}}]", ":5: deployments[0].build: ", "the platform ships the code"),
    "push": ("push: [{x: {}}]", ":5: deployments[0].push: ", "the platform ships the code"),
    "pull": ("pull: [{x: {}}]", ":5: deployments[0].pull: ", "the platform ships the code"),
    "triggers": ("triggers: [{x: {}}]", ":5: deployments[0].triggers: ", "move it there"),
    "version": ("version: 1.2.3", ":5: deployments[0].version: ", "the release that registered it"),
    "sla": ("sla: [{name: a}]", ":5: deployments[0].sla: ", "Prefect Cloud only"),
    "version's type": ("version_type: prefect:simple", ":5: deployments[0].version_type: ", "the release that"),
    "template": ("description: 'in {{ $REGION }}'", ":5: deployments[0].description: ", "write the value"),
    "pool's key": ("work_pool:\n      pool: x", ":6: deployments[0].work_pool.pool: ", "is not a field"),
    "pool of another type": (
        "work_pool:\n      job_variables: {image: x}",
        ":6: deployments[0].work_pool.job_variables.image: ",
        "process work pools",
    ),
    "job variable of the platform": (
        "work_pool:\n      job_variables: {command: x}",
        ":6: deployments[0].work_pool.job_variables.command: ",
        "the platform sets it",
    ),
    "folder of the platform": (
        "work_pool:\n      job_variables: {working_dir: /tmp}",
        ":6: deployments[0].work_pool.job_variables.working_dir: ",
        "the release's folder",
    ),
    "job variable's value": (
        "work_pool:\n      job_variables: {env: {LEVEL: [1]}}",
        ":6: deployments[0].work_pool.job_variables.env.LEVEL: ",
        "not valid",
    ),
    "environment of the platform": (
        "work_pool:\n      job_variables: {env: {PYTHONPATH: lib}}",
        ":6: deployments[0].work_pool.job_variables.env.PYTHONPATH: ",
        "the platform sets it",
    ),
    "settings of the logs": (
        "work_pool:\n      job_variables: {env: {PREFECT_LOGGING_SETTINGS_PATH: a.yml}}",
        ":6: deployments[0].work_pool.job_variables.env.PREFECT_LOGGING_SETTINGS_PATH: ",
        "the platform sets it",
    ),
    "configuration of the logs": (
        "work_pool:\n      job_variables: {env: {PREFECT_LOGGING_CONFIG_PATH: a.yml}}",
        ":6: deployments[0].work_pool.job_variables.env.PREFECT_LOGGING_CONFIG_PATH: ",
        "the platform sets it",
    ),
    "schedules as text": ("schedules: daily", ":5: deployments[0].schedules: ", "must be a list"),
    "schedule as text": ("schedules: [daily]", ":5: deployments[0].schedules[0]: ", "must be a mapping"),
    "no kind": ("schedules: [{timezone: UTC}]", ":5: deployments[0].schedules[0]: ", "exactly one of"),
    "two kinds": ("schedules: [{cron: '* * * * *', interval: 9}]", "schedules[0]: ", "exactly one of"),
    "schedule's key": ("schedules: [{cron: '* * * * *', when: 9}]", "schedules[0].when: ", "not a field"),
    "cron": (
        "schedules:\n      - cron: 0 2 * * *\n      - cron: x",
        ":7: deployments[0].schedules[1].cron: 'x' is not a cron expression: ",
        "columns",
    ),
    "cron's range": ("schedules: [{cron: 0 25 * * *}]", ":5: deployments[0].schedules[0].cron: ", "25"),
    "interval": ("schedules: [{interval: often}]", ":5: deployments[0].schedules[0].interval: 'often'", "PT15M"),
    "interval of none": ("schedules: [{interval: 0}]", ":5: deployments[0].schedules[0].interval: 0", "greater than"),
    "rrule": ("schedules: [{rrule: FREQ=RARELY}]", ":5: deployments[0].schedules[0].rrule: 'FREQ=RARELY'", "RARELY"),
    "rrule that stands still": (
        "schedules: [{rrule: FREQ=DAILY;INTERVAL=0}]",
        ":5: deployments[0].schedules[0].rrule: 'FREQ=DAILY;INTERVAL=0' never gets further",
        "1 or more",
    ),
    "rrule that goes back": ("schedules: [{rrule: FREQ=DAILY;INTERVAL=-1}]", "schedules[0].rrule: ", "1 or more"),
    "rrule's anchor": (
        "schedules: [{rrule: FREQ=DAILY, anchor_date: 2026-01-01}]",
        ":5: deployments[0].schedules[0].anchor_date: ",
        "another kind of schedule than rrule",
    ),
    "rrule's day_or": ("schedules: [{rrule: FREQ=DAILY, day_or: false}]", "schedules[0].day_or: ", "than rrule"),
    "cron's zone": (
        "schedules: [{cron: '* * * * *', timezone: Mars/Base}]",
        "schedules[0].timezone: 'Mars/Base'",
        "IANA",
    ),
    "interval's zone": (
        "schedules: [{interval: 9, timezone: Mars/Base}]",
        "schedules[0].timezone: 'Mars/Base'",
        "IANA",
    ),
    "zone in lower case": (
        "schedules: [{cron: '* * * * *', timezone: utc}]",
        ".timezone: 'utc'",
        "did you mean 'UTC'?",
    ),
    "zone in another case": (
        "schedules: [{cron: '* * * * *', timezone: America/sao_paulo}]",
        ".timezone: 'America/sao_paulo'",
        "did you mean 'America/Sao_Paulo'?",
    ),
    "zone with a blank": (
        "schedules: [{cron: '* * * * *', timezone: America/New York}]",
        ".timezone: ",
        "'America/New_York'?",
    ),
    "rrule's own zone": (
        'schedules: [{rrule: "DTSTART;TZID=Europe/Paris:20260101T020000\\nFREQ=DAILY"}]',
        "].rrule: ",
        "TZID is ignored: write timezone: Europe/Paris",
    ),
    "rrule's unknown zone": (
        'schedules: [{rrule: "DTSTART;TZID=Mars/Base:20260101T020000\\nFREQ=DAILY"}]',
        "].rrule: ",
        "TZID is ignored",
    ),
    "rrule's Z beside a zone": (
        'schedules: [{rrule: "DTSTART:20260101T020000Z\\nFREQ=DAILY", timezone: Europe/Paris}]',
        "].rrule: ",
        "leave every Z out",
    ),
    "rrule's end without its start": (
        "schedules: [{rrule: FREQ=DAILY;UNTIL=20991231T000000Z}]",
        "].rrule: ",
        "write UNTIL=20991231T000000",
    ),
    "rrule's start of another kind than its end": (
        'schedules: [{rrule: "DTSTART:20260101T020000Z\\nRRULE:FREQ=DAILY;UNTIL=20991231T000000"}]',
        "].rrule: ",
        "write UNTIL=20991231T000000 and DTSTART:20260101T020000",
    ),
    "rrule's zone": ("schedules: [{rrule: FREQ=DAILY, timezone: Mars}]", "schedules[0].timezone: 'Mars'", "IANA"),
    "anchor": ("schedules: [{interval: 9, anchor_date: then}]", "schedules[0].anchor_date: 'then'", "have a date"),
    "anchor of the moment": ("schedules: [{interval: 9, anchor_date: now}]", "anchor_date: 'now'", "must have a date"),
    "anchor without a date": (
        'schedules: [{interval: 9, anchor_date: "02:00"}]',
        "anchor_date: '02:00'",
        "have a date",
    ),
    "anchor in short": ('schedules: [{interval: 9, anchor_date: "0200"}]', "anchor_date: '0200'", "have a date"),
    "anchor of no day": (
        "schedules: [{interval: 9, anchor_date: 2026-02-30}]",
        "anchor_date: '2026-02-30'",
        "ISO 8601",
    ),
    "anchor of a span": (
        "schedules: [{interval: 9, anchor_date: 2026-01-01/2027-01-01}]",
        "].anchor_date: ",
        "names a span of time",
    ),
    "anchor of cron": ("schedules: [{cron: '* * * * *', anchor_date: x}]", "anchor_date: ", "another kind"),
    "active": ("schedules: [{cron: '* * * * *', active: maybe}]", "schedules[0].active: ", "boolean"),
    "same slug": (
        "schedules:\n      - {cron: 0 2 * * *, slug: a}\n      - {cron: 0 3 * * *, slug: a}",
        ":7: deployments[0].schedules[1].slug: 'a'",
        "another schedule",
    ),
    "schedule twice": ("schedule: {cron: 0 2 * * *}\n    schedules: [{cron: 0 3 * * *}]", "[0].schedule: ", "move it"),
}


@pytest.mark.parametrize(("extra", "start", "reason"), IN_DEPLOYMENT.values(), ids=IN_DEPLOYMENT)
def test_a_bad_deployment_is_refused_where_it_is_bad(write_project, extra: str, start: str, reason: str) -> None:
    text = f"name: shop\ndeployments:\n  - name: daily\n    entrypoint: flow.py:hello\n    {extra}\n"
    _, problems = read(write_project(prefect_yaml=text))
    assert len(problems) == 1
    assert start in problems[0]
    assert reason in problems[0]
    assert "\n" not in problems[0]


# Ten lists, each of which holds the one before nine times
GROWING = [f"  a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]" for number in range(1, 11)]


WHOLE = {
    "not YAML": ("deployments: [\n  {", ":2: not valid YAML: ", ""),
    "not a mapping": ("- a", ":1: ", "must hold `name` and `deployments`"),
    "empty": ("", ":1: ", "must hold `name` and `deployments`"),
    "no deployment": ("name: shop", ":1: deployments: ", "at least one"),
    "no list": ("name: shop\ndeployments: {a: 1}", ":2: deployments: ", "at least one"),
    "deployment as text": ("deployments:\n  - daily", ":2: deployments[0]: ", "must be a mapping"),
    "unquoted template": (
        "deployments:\n  - name: a\n    entrypoint: flow.py:hello\n    description: {{ region }}",
        ":4: not valid YAML: a key must be a text, not a mapping or a list: quote a template",
        "",
    ),
    "unquoted template in a text": (
        "deployments:\n  - name: a\n    description: {{ region }} and more",
        ":3: not valid YAML: ",
        ": quote a template, '{{ … }}'",
    ),
    "key that is no text": ("definitions: {2024: a}", ":1: not valid YAML: the key 2024 is not a text: quote it", ""),
    "anchor in itself": (
        "definitions: &a\n  b: *a",
        ":2: not valid YAML: this anchor contains itself",
        "",
    ),
    "too deep": ("[" * 5000, ":1: not valid YAML: its values stand more than 100 levels deep", ""),
    "too deep by aliases": (
        "definitions:\n  - &a0 [x]\n" + "".join(f"  - &a{number} [*a{number - 1}]\n" for number in range(1, 3000)),
        ":101: not valid YAML: its values stand more than 100 levels deep",
        "",
    ),
    "too much by aliases": (
        "\n".join(["definitions:", "  a0: &a0 [x]", *GROWING]),
        ":8: not valid YAML: with its aliases written out it holds more than 10,000,000 characters",
        "",
    ),
    "a NUL": ('definitions:\n  a: "x\\0"', ":2: not valid YAML: a text holds a NUL", ""),
    "a NUL in a key": ('definitions:\n  "x\\0": a', ":2: not valid YAML: a text holds a NUL", ""),
    "half a character": ('definitions:\n  a: "\\ud800"', ":2: not valid YAML: a text holds a NUL or half", ""),
    "two merges": (
        "definitions:\n  a: &a {x: 1}\n  b:\n    <<: *a\n    <<: *a",
        ":5: not valid YAML: `<<` is given twice",
        "<<: [*a, *b]",
    ),
    "version of the file": (
        "version: 2.0\ndeployments: [{name: a, entrypoint: 'flow.py:hello'}]",
        ":1: version: ",
        "the release that registered it: remove it",
    ),
    "field of a deployment": (
        "tags: [a]\ndeployments: [{name: a, entrypoint: 'flow.py:hello'}]",
        ":1: tags: ",
        "it belongs into an entry of `deployments`",
    ),
    "not a number": ("definitions:\n  a: .nan", ":2: not valid YAML: .nan is not valid JSON", ""),
    "not of JSON": ("definitions:\n  a: !!set {b}", ":2: not valid YAML: could not determine a constructor", "set"),
    "key twice": ("name: a\nname: b", ":2: ", "'name' is given twice"),
    "unknown key": ("nam: x\ndeployments: [{name: a, entrypoint: 'flow.py:hello'}]", ":1: nam: ", "'name'?"),
    "pull": (
        "pull:\n  - prefect.deployments.steps.git_clone: {}\ndeployments: [{name: a, entrypoint: 'flow.py:hello'}]",
        ":1: pull: ",
        "the platform ships the code",
    ),
    "no name": ("deployments:\n  - entrypoint: flow.py:hello", ":2: deployments[0].name: ", "is missing"),
    "name of a path": ("deployments: [{name: a/b, entrypoint: 'flow.py:hello'}]", "deployments[0].name: ", "'a/b'"),
    "name a number": (
        "deployments: [{name: 5, entrypoint: 'flow.py:hello'}]",
        "deployments[0].name: ",
        "text: quote it",
    ),
    "no entrypoint": ("deployments:\n  - name: a", ":2: deployments[0].entrypoint: ", "is missing"),
    "entrypoint's form": ("deployments: [{name: a, entrypoint: flow}]", "entrypoint: 'flow'", "file.py:flow"),
    "entrypoint's file": ("deployments: [{name: a, entrypoint: 'no.py:x'}]", "entrypoint: ", "no file 'no.py'"),
    "entrypoint outside": ("deployments: [{name: a, entrypoint: '../x.py:x'}]", "entrypoint: ", "outside"),
}


@pytest.mark.parametrize(("text", "start", "reason"), WHOLE.values(), ids=WHOLE)
def test_a_bad_file_is_refused_where_it_is_bad(write_project, text: str, start: str, reason: str) -> None:
    _, problems = read(write_project(prefect_yaml=text))
    assert len(problems) == 1
    assert start in problems[0]
    assert reason in problems[0]


def test_a_file_that_is_not_utf_8_is_refused(write_project) -> None:
    folder = write_project()
    (folder / "prefect.yaml").write_bytes("name: café".encode("latin-1"))
    [problem] = read(folder)[1]
    assert problem.startswith("flows/shop/prefect.yaml:1: cannot be read: 'utf-8' codec")


def test_all_problems_are_told_at_once(write_project) -> None:
    text = """
deployments:
  - name: a/b
    entrypoint: no.py:x
    tags: x
    paused: perhaps
    schedules:
      - {cron: x, timezone: Mars}
      - {interval: 0}
"""
    _, problems = read(write_project(prefect_yaml=text))
    fields = [
        "name",
        "entrypoint",
        "tags",
        "paused",
        "schedules[0].cron",
        "schedules[0].timezone",
        "schedules[1].interval",
    ]
    assert [problem.split(": ")[1] for problem in problems] == [f"deployments[0].{field}" for field in fields]


def test_a_merged_value_is_told_where_it_is_written(write_project) -> None:
    text = """
definitions:
  common: &common
    entrypoint: no.py:x
    paused: true
deployments:
  - name: a
    <<: *common
    paused: perhaps
"""
    _, problems = read(write_project(prefect_yaml=text))
    assert ":4: deployments[0].entrypoint: " in problems[0]
    assert ":9: deployments[0].paused: " in problems[1]


def test_prefects_own_format_is_understood(write_project) -> None:
    text = """
prefect-version: 3.9.1
name: shop
build: null
pull: []
definitions:
  pool: &pool {name: heavy, work_queue_name: night, job_variables: {env: {KEY: "{{ prefect.blocks.secret.key }}"}}}
  common: &common
    tags: [a, 1]
    parameters: &parameters {who: you, day: 2026-01-31}
    work_pool: *pool
deployments:
  - <<: *common
    name: daily
    version: null
    entrypoint: flow.py:hello
    tags: [b]
    concurrency_limit: {limit: 2, collision_strategy: CANCEL_NEW}
    schedules:
      - {cron: 0 2 * * *, timezone: Europe/Paris, slug: night, active: false, day_or: false}
      - {interval: 900, anchor_date: 2026-01-01T00:00:00+00:00, parameters: {<<: *parameters, times: 2}}
      - {interval: PT1H}
      - {rrule: "FREQ=WEEKLY;BYDAY=MO", timezone: Europe/Paris}
  - name: by-hand
    entrypoint: flow.py:hello
    schedule: {cron: "@hourly"}
"""
    (daily, by_hand), problems = read(write_project(prefect_yaml=text))
    assert problems == []
    assert (daily.pool, daily.queue) == ("heavy", "night")
    assert daily.tags == ["b"]
    assert daily.parameters == {"who": "you", "day": "2026-01-31"}
    assert (daily.concurrency.limit, daily.concurrency.collision_strategy) == (2, "CANCEL_NEW")
    cron, anchored, hourly, weekly = (schedule for schedule in daily.schedules.values())
    assert (cron.schedule.timezone, cron.slug, cron.active, cron.schedule.day_or) == (
        "Europe/Paris",
        "night",
        False,
        False,
    )
    assert anchored.schedule.interval.total_seconds() == 900
    assert anchored.schedule.anchor_date.isoformat() == "2026-01-01T00:00:00+00:00"
    assert anchored.parameters == {"who": "you", "day": "2026-01-31", "times": 2}
    assert hourly.schedule.interval.total_seconds() == 3600
    assert weekly.schedule.timezone == "Europe/Paris"
    assert (by_hand.pool, by_hand.tags, len(by_hand.schedules)) == ("default", [], 1)
