"""Values from the vault: written when they differ, and never shown."""

import json
import logging
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from asking import ask, registered
from prefect.exceptions import PrefectHTTPStatusError


@pytest.fixture
def secrets(settings, shop: str, flows: Path, run, tmp_path: Path):
    """Applies with these secrets in the inventory; gives the exit code and all that was said."""

    def call(values: object) -> tuple[int, list[str], list[str]]:
        text = (
            values
            if isinstance(values, str)
            else json.dumps({"msg": {"platform_inventory": {"work_pools": [shop], "secrets": values}}})
        )
        (tmp_path / "secrets.json").write_text(text)
        return run("apply", "--release", "r1", "--inventory", str(tmp_path / "secrets.json"))

    return call


def test_secrets_are_written_when_they_differ_and_never_shown(secrets, capsys) -> None:
    values = {"key": "12345", "database": {"user": "me", "password": "swordfish"}, "text": "xyzzy"}
    code, lines, errors = secrets(values)
    assert (code, errors) == (0, [])
    assert {"created   secret key", "created   secret database", "created   secret text"} < set(lines)

    def stored(name: str):
        return ask("read_block_document_by_name", name, "secret", include_secrets=True).data["value"]

    assert {name: stored(name) for name in values} == values
    values["database"]["password"] = "trout"
    code, lines, errors = secrets(values)
    assert "changed   secret database" in lines
    assert "created   secret key" not in lines
    assert stored("database") == {"user": "me", "password": "trout"}
    assert "trout" not in str(lines)


def test_a_target_that_shares_a_server_leaves_its_blocks_alone(secrets, flows: Path, shop: str) -> None:
    assert secrets({"shared": "swordfish"})[0] == 0
    (flows / "targets.yml").write_text(f"name: {shop}\ntargets: {{lab: {{mode: development, name_prefix: dev-}}}}\n")
    code, lines, errors = secrets({"shared": "trout", "another": "trout"})
    assert (code, errors) == (0, [])
    assert f"created   deployment {shop}/dev-daily" in lines
    assert "secret" not in str(lines)
    assert ask("read_block_document_by_name", "shared", "secret", include_secrets=True).data["value"] == "swordfish"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ('{"a": "swordfish"', "it is not JSON"),
        ('["swordfish"]', "it is not JSON with a platform_inventory"),
        (
            '{"msg": "Task failed: \'vault_x\' is undefined"}',
            "'vault_x' is undefined: correct",
        ),
        ('{"msg": "Task failed: could not convert string to float: swordfish"}', "a template of it fails: correct"),
        (["swordfish"], "must be an object of names and values"),
        ({"good": "swordfish", "Bad_Name": "swordfish"}, "'Bad_Name' cannot name a secret"),
        ({"good": "swordfish", "list": ["swordfish"]}, "the value of the secret 'list' must be a text or an object"),
        ({"good": "swordfish", "empty": ""}, "the value of the secret 'empty'"),
    ],
    ids=str,
)
def test_secrets_that_are_none_are_refused_unseen(secrets, values: object, reason: str) -> None:
    code, lines, errors = secrets(values)
    assert (code, lines, len(errors)) == (1, [], 1)
    assert reason in errors[0]
    assert "swordfish" not in errors[0]


@pytest.mark.parametrize(
    "address",
    [
        "slack://swordfish",
        "mailtos://user:swordfish@",
        "mailtos://swordfish:swordfish@?to=swordfish",
        "https://hooks.slack.com/services/swordfish",
        "json://user:swordfish@:99999/",
        "json://localhost/fine, slack://swordfish",
        "swordfish",
        "mailtos://swordfish:CHANGE_ME@smtp.example.org",
        "CHANGE_ME",
        "  ",
    ],
)
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_an_address_that_is_none_is_refused_unseen(run, shop: str, flows: Path, address: str, command: str) -> None:
    file = flows.parent / "inventory.json"
    facts = {"work_pools": [shop], "notifications": {"fine": "json://localhost/", "broken": address}}
    file.write_text(json.dumps({"msg": {"platform_inventory": facts}}))
    with log_of("apprise") as logged:
        code, lines, errors = run(command, "--release", "r1", "--inventory", str(file))
    assert (code, lines) == (1, [])
    assert errors == [
        "Apprise cannot send to the address of the notification 'broken', see https://appriseit.com/services/: "
        "correct it in prefect_notifications of the inventory"
    ]
    assert logged == []
    assert f"{shop}/daily" not in registered()


def test_what_apprise_says_of_a_good_address_is_not_heard(run, shop: str, flows: Path) -> None:
    file = flows.parent / "inventory.json"
    address = "json://localhost/?overflow=swordfish"
    facts = {"work_pools": [shop], "notifications": {f"{shop}-ops": address}}
    file.write_text(json.dumps({"msg": {"platform_inventory": facts}}))
    with log_of("apprise") as logged:
        code, lines, errors = run("apply", "--release", "r1", "--inventory", str(file))
    assert (code, errors, logged) == (0, [], [])
    assert "swordfish" not in str(lines)
    assert f"created   notification {shop}-ops" in lines


@contextmanager
def log_of(name: str):
    """What a logger writes, whoever listens."""
    written: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: written.append(record.getMessage())
    logging.getLogger(name).addHandler(handler)
    try:
        yield written
    finally:
        logging.getLogger(name).removeHandler(handler)


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
