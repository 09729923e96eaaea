"""Deployments on a real server: what is there afterwards, also the second time."""

import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import ask, registered
from prefect.client.schemas.actions import WorkPoolCreate

import deploy


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
    assert command.startswith("/opt/prefect/flows/envs/shop-")
    assert command.endswith("/bin/python -X release=/opt/prefect/flows/releases/r1/shop -m prefect.engine")
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
    assert [schedule.active for schedule in after.schedules] == [False] * 4

    def phases(deployment) -> list[str]:
        return sorted(schedule.schedule.model_dump_json() for schedule in deployment.schedules)

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
    assert [schedule.schedule.cron for schedule in schedules if schedule.slug] == ["0 3 * * *"]
    assert all(schedule.active for schedule in schedules)
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


@pytest.fixture
def packed(run, tmp_path: Path, monkeypatch) -> Callable[[str], Path]:
    """Packs a release, with an archive of nothing; gives the folder."""

    def pack(release: str) -> Path:
        folder = tmp_path / release
        folder.mkdir()
        with tarfile.open(folder / "flows.tar", "w"):
            pass
        hash_ = hashlib.sha256((folder / "flows.tar").read_bytes()).hexdigest()
        monkeypatch.setattr("deploy.pack", lambda flows, folder: hash_)
        code, [line], errors = run("pack", "--release", release, str(folder))
        assert (code, line, errors) == (0, f"The release {release} for lab is packed into {folder}", [])
        return folder

    return pack


def test_the_releases_that_deployments_run_from_are_told_whoever_registered_them(
    apply, packed, shop: str, capsys
) -> None:
    apply("r7")
    flow = ask("create_flow_from_name", f"{shop}-other")
    ask("create_deployment", flow_id=flow, name="by-others", path="/opt/prefect/flows/releases/r5/shop")
    folder = packed("r8")
    assert deploy.main(["take", "--target", "lab", str(folder)]) == 0
    taken = json.loads(capsys.readouterr().out)
    assert {"r5", "r7"} <= set(taken["in_use"])
    assert (taken["release"], taken["manifest"]) == ("r8", str(folder / "manifest.json"))


def test_a_manifest_brings_back_what_was(apply, plan, packed, shop: str, flows: Path) -> None:
    manifest = str(packed("r1") / "manifest.json")
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
    definitions = [[schedule.schedule for schedule in deployment.schedules] for deployment in (before, after)]
    assert definitions[0] == definitions[1]
