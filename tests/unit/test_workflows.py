"""The workflows are valid and hardened, run nothing but `make`, and what they hand to `make` is what it takes."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import playwright
import pytest
import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
GITHUB = ROOT / ".github"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(GITHUB.glob("workflows/*.yml"))}
STEPS = [
    pytest.param(step, id=f"{workflow}-{job}-{number}")
    for workflow, content in WORKFLOWS.items()
    for job, body in content["jobs"].items()
    for number, step in enumerate(body["steps"])
]
RUN_STEPS = [step for step in STEPS if "run" in step.values[0]]
CREDENTIAL_STEPS = [step for step in RUN_STEPS if "make ci-" in step.values[0]["run"]]

SECRETS = {
    "VAULT_PASSWORD": "it's $HOME $(x) `y`",
    "SSH_PRIVATE_KEY": "-----BEGIN\nkey\n-----END",
    "SSH_KNOWN_HOSTS": "h k",
}
SSH_FILES = {".cache/production/ci/key": "SSH_PRIVATE_KEY", ".cache/production/ci/known_hosts": "SSH_KNOWN_HOSTS"}
VAULT_FILE = {"ansible/inventories/production/.vault-password": "VAULT_PASSWORD"}


def tools(clone, deploy, playbook):
    """A control machine that is ready, with stand-ins for deploy.py and Ansible."""
    (clone / "deploy.py").write_text(deploy)
    for program, text in (("ansible-playbook", playbook), ("ansible", "#!/bin/sh\n")):
        (clone / ".venv/bin").mkdir(parents=True, exist_ok=True)
        (clone / ".venv/bin" / program).write_text(text)
        (clone / ".venv/bin" / program).chmod(0o755)
    for environment in ("production", "staging"):
        (clone / "ansible/inventories" / environment / ".vault-password").touch()
    needed = ["requirements/uv.txt", "requirements/control.txt", "ansible/env.yml", "ansible/group_vars/all.yml"]
    made = [f".cache/{name}/{file}" for name in ("production", "staging") for file in (".vault-opens", "prefect.env")]
    for file in [*needed, ".venv/.complete", *made]:  # in this order: make goes by time
        (clone / file).parent.mkdir(parents=True, exist_ok=True)
        (clone / file).touch()


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", "workflows/*.yml"),
        ("dependabot", "dependabot.yml"),
        ("github-issue-forms", "ISSUE_TEMPLATE/bug.yml"),
        ("github-issue-forms", "ISSUE_TEMPLATE/feature.yml"),
        ("github-issue-config", "ISSUE_TEMPLATE/config.yml"),
    ],
)
def test_github_takes_them(schema, files):
    checked = run(BIN / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *GITHUB.glob(files))
    assert checked.returncode == 0, checked.stdout


def test_zizmor_finds_nothing():
    options = ["--offline", "--no-config", "--no-ignores", "--strict-collection", "--persona=auditor", "--format=plain"]
    found = run(BIN / "zizmor", *options, "--collect=all", GITHUB)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("step", RUN_STEPS)
def test_every_shell_line_is_a_target_of_the_makefile(step):
    line = re.fullmatch(r"make ([a-z-]+)( ENV=[a-z]+)?( PACKED=1)?", step["run"])
    assert line, step["run"]
    rules = re.findall(r"^([a-z][a-z -]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert line[1] in {target for rule in rules for target in rule.split()}


def test_staging_is_deployed_as_production_is():
    staging, production = ((GITHUB / f"workflows/deploy-{name}.yml").read_text() for name in ("staging", "production"))
    assert yaml.safe_load(staging.replace("staging", "production"))["jobs"] == yaml.safe_load(production)["jobs"]


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_the_code_of_the_flows_and_the_secrets_never_meet(environment):
    pack, deploy = (WORKFLOWS[f"deploy-{environment}"]["jobs"][job] for job in ("pack", "deploy"))
    assert "secrets." not in json.dumps(pack)
    assert "environment" not in pack, "GitHub gives the secrets of an environment to its jobs only"
    assert [step["run"] for step in pack["steps"] if "run" in step] == [f"make pack ENV={environment}"]
    assert deploy["needs"] == "pack"
    runs = [step["run"] for step in deploy["steps"] if "run" in step]
    assert runs == [f"make ci-credentials ENV={environment}", f"make deploy-flows ENV={environment} PACKED=1"]


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_what_the_first_job_packs_is_where_the_second_looks_for_it(environment, clone):
    jobs = WORKFLOWS[f"deploy-{environment}"]["jobs"]
    [left] = [step["with"] for step in jobs["pack"]["steps"] if "upload-artifact" in step.get("uses", "")]
    [taken] = [step["with"] for step in jobs["deploy"]["steps"] if "download-artifact" in step.get("uses", "")]
    assert (left["name"], left["path"]) == (taken["name"], taken["path"])
    assert left["include-hidden-files"], "what lies in .cache is left out otherwise"
    tools(clone, deploy="import sys; print(*sys.argv[1:])", playbook='#!/bin/sh\necho "$PACKED:$@"\n')
    packed = make(clone, "pack", f"ENV={environment}")
    assert packed.stdout == f"pack --target {environment} {clone}/{left['path']}\n"
    deployed = make(clone, "deploy-flows", f"ENV={environment}", "PACKED=1")
    playbook, applied = deployed.stdout.splitlines()
    assert playbook.startswith("1:")
    assert playbook.endswith(f"ansible/deploy.yml -e flows_packed={clone}/{left['path']}"), deployed.stdout
    assert applied.startswith(f"apply {clone}/{left['path']}/manifest.json --inventory /dev/fd/")


def test_a_deployment_by_hand_packs_into_a_folder_of_its_own_and_leaves_nothing(clone):
    tools(clone, deploy="import sys; print(*sys.argv[1:])", playbook='#!/bin/sh\necho "$PACKED:$@"\n')
    deployed = make(clone, "deploy-flows", "ENV=production")
    playbook, applied = deployed.stdout.splitlines()
    [folder] = re.findall(r"flows_packed=(.*/\.cache/production/packed\.\w+)$", playbook)
    assert playbook.startswith(":"), "so that the playbook checks and packs"
    assert applied.startswith(f"apply {folder}/manifest.json ")
    assert not list((clone / ".cache/production").glob("packed*"))


@pytest.mark.parametrize("goal", ["deploy-flows", "rollback"])
@pytest.mark.parametrize("fails", [False, True])
def test_a_release_is_noted_as_deployed_only_after_it_was_registered(clone, goal, fails):
    refuses = f"import sys; sys.exit('apply' in sys.argv and {fails})"
    tools(clone, deploy=refuses, playbook='#!/bin/sh\necho "$@" >>played\n')
    assert (make(clone, goal, "ENV=production").returncode != 0) is fails
    played = (clone / "played").read_text()
    assert ("ansible/registered.yml -e flows_manifest=" in played) is not fails


def test_the_plan_is_for_branches_of_the_repository_itself():
    condition = WORKFLOWS["pull-request"]["jobs"]["plan"]["if"]
    assert "github.event.pull_request.head.repo.full_name == github.repository &&" in condition


@pytest.fixture
def clone(tmp_path):
    """As much of a clone as the credentials need, with the vaults that its owner committed."""
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    for environment in ("production", "staging"):
        vault = tmp_path / "ansible/inventories" / environment / "group_vars/all/vault.yml"
        vault.parent.mkdir(parents=True)
        vault.write_text("$ANSIBLE_VAULT;1.1;AES256\n")
    return tmp_path


def make(clone, *arguments, **secrets):
    outer = {*SECRETS, *(name for name in os.environ if name.startswith(("MAKE", "MFLAGS", "LAB_")))}
    clean = {name: value for name, value in os.environ.items() if name not in outer | {"ENV", "STATE_DIR"}}
    return run("make", *arguments, cwd=clone, env=clean | secrets)


def written(clone):
    """The files that are not of the clone, and what is in them."""
    kept = {"Makefile", "vault.yml"}
    return {str(f.relative_to(clone)): f.read_text() for f in clone.rglob("*") if f.is_file() and f.name not in kept}


@pytest.mark.parametrize("step", CREDENTIAL_STEPS)
def test_a_job_hands_over_what_its_target_asks_for(step, clone):
    assert step["env"] == {name: f"${{{{ secrets.{name} }}}}" for name in step["env"]}
    made = make(clone, *step["run"].split()[1:], **{name: SECRETS[name] for name in step["env"]})
    assert made.returncode == 0, made.stdout
    assert len(written(clone)) == len(step["env"])


@pytest.mark.parametrize(("target", "files"), [("ci-vault", VAULT_FILE), ("ci-credentials", VAULT_FILE | SSH_FILES)])
def test_credentials_are_written_for_their_owner_alone(target, files, clone):
    made = make(clone, target, "ENV=production", **SECRETS)
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    assert written(clone) == {file: f"{SECRETS[secret]}\n" for file, secret in files.items()}
    assert {stat.S_IMODE((clone / file).stat().st_mode) for file in files} == {0o600}
    assert make(clone, target, "ENV=production", **SECRETS).returncode == 0, "a second time changes nothing"


def test_ssh_takes_the_key_and_the_listed_hosts_only(clone):
    with (clone / "Makefile").open("a") as makefile:
        makefile.write("\n.show:\n\t@env | sed -n /^ANSIBLE_/p\n")
    assert "ANSIBLE_SSH_ARGS" not in make(clone, ".show", "ENV=production").stdout
    make(clone, "ci-credentials", "ENV=production", **SECRETS)
    shown = make(clone, ".show", "ENV=production").stdout
    assert f"ANSIBLE_PRIVATE_KEY_FILE={clone}/.cache/production/ci/key" in shown
    assert f"StrictHostKeyChecking=yes -o UserKnownHostsFile={clone}/.cache/production/ci/known_hosts" in shown
    assert "ANSIBLE_SSH_ARGS" not in make(clone, ".show", "ENV=staging").stdout, "they are of one environment"


def test_a_job_signs_in_as_the_user_who_deploys(clone):
    with (clone / "Makefile").open("a") as makefile:
        makefile.write("\n.show:\n\t@echo $(playbook)\n")
    assert "ansible_user" not in make(clone, ".show", "ENV=production").stdout, "you sign in as your inventory says"
    make(clone, "ci-credentials", "ENV=production", **SECRETS)
    assert "-e ansible_user=prefect-deploy" in make(clone, ".show", "ENV=production").stdout
    user = yaml.safe_load((ROOT / "ansible/group_vars/all.yml").read_text())["platform_deploy_user"]
    assert user == "prefect-deploy"


@pytest.mark.parametrize("target", ["ci-vault", "ci-credentials"])
@pytest.mark.parametrize(
    ("arguments", "secrets", "words"),
    [
        (["ENV=production"], SECRETS | {"VAULT_PASSWORD": ""}, ["VAULT_PASSWORD", "docs/ci-cd.md"]),
        (["ENV=nowhere"], SECRETS, ["inventories/nowhere/group_vars/all/vault.yml", "make secrets ENV=nowhere"]),
        ([], SECRETS, ["lab", "ENV=production"]),
    ],
)
def test_what_is_missing_is_told_in_one_line(target, arguments, secrets, words, clone):
    made = make(clone, target, *arguments, **secrets)
    assert made.returncode != 0
    assert made.stdout.count("\n") == 1
    assert all(word in made.stdout for word in words)
    assert not any(value in made.stdout + made.stderr for value in SECRETS.values())
    assert written(clone) == {}


def test_all_that_is_missing_is_told_at_once(clone):
    made = make(clone, "ci-credentials", "ENV=production", VAULT_PASSWORD="right")
    assert made.returncode != 0
    assert "SSH_PRIVATE_KEY SSH_KNOWN_HOSTS" in made.stdout
    assert "VAULT_PASSWORD" not in made.stdout
    assert written(clone) == {}


def test_a_password_that_is_there_is_not_lost(clone):
    (file,) = VAULT_FILE
    (clone / file).write_text("the only copy\n")
    made = make(clone, "ci-vault", "ENV=production", **SECRETS)
    assert made.returncode != 0
    assert file in made.stdout
    assert (clone / file).read_text() == "the only copy\n"


COMMENTS = """
const [script, comments] = JSON.parse(require('fs').readFileSync(0, 'utf8'))
const did = []
const issues = {
  listComments: 'comments',
  createComment: async (asked) => did.push(['create', asked]),
  updateComment: async (asked) => did.push(['update', asked]),
}
const github = { rest: { issues }, paginate: async () => comments }
const context = { repo: { owner: 'o', repo: 'r' }, issue: { number: 7 } }
const AsyncFunction = (async () => {}).constructor
new AsyncFunction('github', 'context', 'require', script)(github, context, require)
  .then(() => console.log(JSON.stringify(did)))
"""
OURS = {"id": 3, "user": {"login": "github-actions[bot]"}, "body": "<!-- plan of production -->\nold"}
SOMEBODY = {"id": 1, "user": {"login": "somebody"}, "body": "<!-- plan of production -->\nquoted"}
ANOTHER_BOT = {"id": 2, "user": {"login": "github-actions[bot]"}, "body": "another job's comment"}


def comment(tmp_path, plan, comments, check="fine\n"):
    """What the step that comments asks of GitHub, for what was said and the comments there are; Playwright brings the
    Node.
    """
    (step,) = [step for step in WORKFLOWS["pull-request"]["jobs"]["plan"]["steps"] if step.get("name") == "Comment"]
    (tmp_path / ".cache/production").mkdir(parents=True)
    for file, said in (("plan.md", plan), ("check.txt", check)):
        if said:
            (tmp_path / ".cache/production" / file).write_text(said)
    node = Path(playwright.__file__).parent / "driver/node"
    given = json.dumps([step["with"]["script"], comments])
    return json.loads(run(node, "-e", COMMENTS, input=given, cwd=tmp_path, check=True).stdout)


def test_the_first_plan_is_a_new_comment(tmp_path):
    ((verb, asked),) = comment(tmp_path, "2 to change", [SOMEBODY, ANOTHER_BOT])
    assert (verb, asked["issue_number"], asked["owner"], asked["repo"]) == ("create", 7, "o", "r")
    assert asked["body"].endswith("### Check\n\n```\nfine\n```\n\n2 to change")


def test_the_next_plan_takes_the_place_of_the_one_before(tmp_path):
    ((verb, asked),) = comment(tmp_path, "1 to change", [SOMEBODY, ANOTHER_BOT, OURS])
    assert (verb, asked["comment_id"]) == ("update", OURS["id"])
    assert asked["body"].startswith("<!-- plan of production -->\n")
    assert "old" not in asked["body"]
    assert "1 to change" in asked["body"]


def test_a_check_that_fails_takes_the_place_of_the_last_plan(tmp_path):
    steps = WORKFLOWS["pull-request"]["jobs"]["plan"]["steps"]
    at = [step.get("run") for step in steps].index("make check ENV=production")
    assert [step.get("run") for step in steps[at:]] == ["make check ENV=production", "make plan ENV=production", None]
    assert steps[-1]["if"] == "${{ !cancelled() }}", "also when one of them fails"
    ((verb, asked),) = comment(tmp_path, "", [OURS], check="flows/a/prefect.yaml:1: name: is missing\n")
    assert (verb, asked["comment_id"]) == ("update", OURS["id"])
    assert "name: is missing" in asked["body"]
    assert asked["body"].endswith("There is no plan: the log of the job tells why.")


def test_a_check_leaves_its_words_and_fails_as_it_did(clone):
    (clone / "deploy.py").write_text("import sys; sys.exit('flows/a/prefect.yaml:1: name: is missing')")
    (clone / ".venv").mkdir()
    for needed in ("requirements/uv.txt", "requirements/control.txt", ".venv/.complete"):
        (clone / needed).parent.mkdir(exist_ok=True)
        (clone / needed).touch()
    made = make(clone, "check", "ENV=production")
    assert made.returncode != 0
    assert made.stdout == "flows/a/prefect.yaml:1: name: is missing\n"
    assert (clone / ".cache/production/check.txt").read_text() == made.stdout


def test_a_plan_too_long_for_a_comment_is_cut_and_says_so(tmp_path):
    ((_, asked),) = comment(tmp_path, "x" * 70_000, [])
    assert len(asked["body"]) < 65_536
    assert "Cut here" in asked["body"][-100:]
