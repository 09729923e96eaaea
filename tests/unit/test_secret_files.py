"""A secret arrives letter by letter: each file that has one, written by its role, read by its reader."""

import base64
import ctypes
import subprocess
from configparser import RawConfigParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from apprise.utils.parse import parse_urls
from hypothesis import assume, example, given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
ROLES = ROOT / "ansible/roles"
SIGNS = "".join(map(chr, range(0x21, 0x7F)))
HOSTILE = [
    'quo"te-quo"te-quo"te',
    "it's-it's-it's-it's",
    "end-end-end-end-end\\",
    "\\\\two\\\\two\\\\two\\\\",
    SIGNS,
    SIGNS[::-1],
]
# What people type, and now and then what they paste
TEXTS = st.text(st.sampled_from(SIGNS + " \n\té"), max_size=40) | st.text(st.sampled_from("\"'\\$`#% {}"), max_size=40)
LONG = st.text(st.sampled_from(SIGNS), min_size=16, max_size=40)


def templated(text: str, **variables: Any) -> Any:
    """What Ansible makes of a text."""
    return Templar(DataLoader(), variables=variables).template(trust_as_template(text))


def task(file: str, name: str) -> dict[str, Any]:
    """A task of a role, or of a playbook, by its name."""
    content = yaml.safe_load((ROOT / "ansible" / file).read_text())
    tasks = [task for play in content for task in play.get("tasks", [play])]
    return next(task for task in tasks if task["name"] == name)


def accepted(file: str, name: str, **variables: Any) -> bool:
    """Whether a preflight lets values pass."""
    check = task(file, name)
    facts = {variable: trust_as_template(text) for variable, text in check.get("vars", {}).items()}
    conditions = check["ansible.builtin.assert"]["that"]
    templar = Templar(DataLoader(), variables=facts | variables)
    return all(
        templar.evaluate_conditional(trust_as_template(condition))
        for condition in ([conditions] if isinstance(conditions, str) else conditions)
    )


@pytest.fixture(scope="session")
def environment_of(tmp_path_factory: pytest.TempPathFactory):
    """What systemd has of an EnvironmentFile, by the function of its own that reads them for every unit."""
    library = next(Path("/usr/lib").glob("**/systemd/libsystemd-shared-*.so"))
    load_env_file = ctypes.CDLL(str(library)).load_env_file
    file = tmp_path_factory.mktemp("environment") / "file.env"

    def read(text: str) -> dict[str, str]:
        file.write_text(text)
        lines = ctypes.POINTER(ctypes.c_char_p)()
        assert load_env_file(None, str(file).encode(), ctypes.byref(lines)) >= 0
        pairs = []
        while lines[len(pairs)] is not None:
            pairs.append(lines[len(pairs)].decode().split("=", 1))
        return dict(pairs)

    return read


SERVER = {
    "prefect_server_admin": "admin",
    "prefect_server_previous_password": None,
    "prefect_server_encryption_key": "",
}


def server_accepts(password: str) -> bool:
    """Whether the preflight lets a password pass."""
    file = "roles/prefect_server/tasks/preflight.yml"
    return accepted(file, "Check the form of login and key", **SERVER, prefect_server_password=password)


def server_file(password: str, previous: str) -> str:
    """The file of secrets that the server's unit reads."""
    copy = task("roles/prefect_server/tasks/configure.yml", "Write the secrets of the server")["ansible.builtin.copy"]
    return templated(
        copy["content"],
        **SERVER | {"prefect_server_encryption_key": base64.b64encode(b"0" * 32).decode()},
        prefect_server_password=password,
        platform_previous_login=f"admin:{previous}",
    )


@pytest.mark.parametrize("password", HOSTILE)
def test_every_sign_may_be_in_a_password(environment_of, password: str) -> None:
    assert server_accepts(password)
    environment = environment_of(server_file(password, password))
    assert environment["PREFECT_SERVER_API_AUTH_STRING"] == f"admin:{password}"
    assert environment["PREVIOUS_API_AUTH_STRING"] == f"admin:{password}"


@given(LONG | TEXTS, LONG)
def test_a_password_that_is_accepted_is_what_the_server_has(environment_of, password: str, previous: str) -> None:
    assume(server_accepts(password))
    environment = environment_of(server_file(password, previous))
    assert environment == {
        "PREFECT_SERVER_API_AUTH_STRING": f"admin:{password}",
        "PREVIOUS_API_AUTH_STRING": f"admin:{previous}",
        "PREFECT_SERVER_ENCRYPTION_KEY": base64.b64encode(b"0" * 32).decode(),
    }


@pytest.mark.parametrize("password", ["pässwörter-der-welt", "sixteen letters and blanks", "from-a-block-of-yaml\n"])
def test_what_http_cannot_carry_is_refused(password: str) -> None:
    login = {"prefect_worker_api_auth_string": f"admin:{password}"}
    assert not server_accepts(password)
    assert not accepted("roles/prefect_worker/tasks/preflight.yml", "Check the form of the login", **login)


def present(text: str) -> dict[str, str]:
    """What the preflight has of the server's file of secrets."""
    variables = yaml.safe_load((ROLES / "prefect_server/vars/main.yml").read_text())
    facts = {name: trust_as_template(value) for name, value in variables.items() if isinstance(value, str)}
    slurped = {"content": base64.b64encode(text.encode()).decode()}
    return templated("{{ __prefect_server_present }}", **facts, __prefect_server_secrets=slurped)


@given(LONG)
def test_the_preflight_reads_the_file_as_systemd_does(environment_of, password: str) -> None:
    text = server_file(password, password)
    assert present(text) == environment_of(text)


def test_the_preflight_reads_what_an_earlier_release_wrote_as_systemd_does(environment_of) -> None:
    text = 'PREFECT_SERVER_API_AUTH_STRING="admin:back\\slash-and-do$$ar"\n'
    assert present(text) == environment_of(text) == {"PREFECT_SERVER_API_AUTH_STRING": "admin:back\\slash-and-do$$ar"}


@given(LONG | TEXTS)
def test_the_login_of_a_worker_arrives(environment_of, password: str) -> None:
    login = {"prefect_worker_api_auth_string": f"admin:{password}"}
    assume(accepted("roles/prefect_worker/tasks/preflight.yml", "Check the form of the login", **login))
    copy = task("roles/prefect_worker/tasks/configure.yml", "Write the secrets of the workers")["ansible.builtin.copy"]
    written = templated(copy["content"], **login)
    assert environment_of(written) == {"PREFECT_API_AUTH_STRING": f"admin:{password}"}


ADDRESSES = st.builds("{}://{}".format, st.sampled_from(["json", "mailtos", "https"]), TEXTS | LONG)


@given(st.lists(ADDRESSES, min_size=1, max_size=3))
@example([f"json://user:{SIGNS.replace(',', '')}@host/ä", "mailto://two"])
@example(["json://one,", "json://two"])
@example(["json://one,json://two"])
def test_addresses_arrive_as_they_are_and_apart(environment_of, addresses: list[str]) -> None:
    for item in range(len(addresses)):
        form = "Check the form of the addresses"
        assume(accepted("roles/notify/tasks/preflight.yml", form, notify_addresses=addresses, item=item))
    copy = task("roles/notify/tasks/main.yml", "Write the addresses")["ansible.builtin.copy"]
    environment = environment_of(templated(copy["content"], notify_addresses=addresses))
    assert parse_urls(environment["APPRISE_URLS"]) == addresses


def test_an_address_may_have_any_sign() -> None:
    address = {"notify_addresses": [f"json://user:{SIGNS}@host"], "item": 0}
    assert accepted("roles/notify/tasks/preflight.yml", "Check the form of the addresses", **address)


@given(TEXTS | LONG, TEXTS | LONG)
@example(SIGNS, SIGNS[::-1])
def test_the_passphrase_and_the_keys_of_backups_arrive(passphrase: str, key: str) -> None:
    """pgBackRest itself reads one in tests/host."""
    repository = {"type": "azure", "path": "/prefect", "azure-key": key}
    settings = {"backup_passphrase": passphrase, "backup_repositories": [repository]}
    fit = "Refuse settings that do not fit into pgBackRest's file"
    fits = accepted("roles/backup/tasks/preflight.yml", fit, **settings)
    assert fits or set(passphrase + key) & set(" \n\t") or not passphrase or not key
    assume(fits)
    text = (ROLES / "backup/templates/pgbackrest.conf.j2").read_text()
    ours = yaml.safe_load((ROLES / "backup/defaults/main.yml").read_text())
    names = {"__backup_stanza": "prefect", "__backup_spool": "/spool", "__backup_data": "/data", "ansible_managed": ""}
    parser = RawConfigParser(delimiters="=", comment_prefixes="#", strict=True, empty_lines_in_values=False)
    parser.read_string(templated(text, **ours | names | settings))
    assert parser["global"]["repo1-cipher-pass"] == passphrase
    assert parser["global"]["repo1-azure-key"] == key


def by_a_shell(file: Path, name: str) -> str:
    """The value of a variable, once a shell has read a file of settings."""
    command = ["env", "-i", "sh", "-ec", '. "$1"; printf %s "$(eval "printf %s. \\"\\$$2\\"")"', "sh", file, name]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.removesuffix(".")


@pytest.mark.parametrize("password", [*HOSTILE, "a blank, ä, and\na line break"])
def test_the_settings_of_the_client_arrive(tmp_path: Path, password: str) -> None:
    copy = task("env.yml", "Write the settings")["ansible.builtin.copy"]
    file = tmp_path / "prefect.env"
    file.write_text(templated(copy["content"], platform_api_environment={"LOGIN": password}))
    assert by_a_shell(file, "LOGIN") == password


@pytest.mark.parametrize("password", HOSTILE)
def test_the_logins_of_the_stand_ins_arrive(tmp_path: Path, password: str) -> None:
    names = yaml.safe_load((ROOT / "compose/vars.yml").read_text())
    variables = {
        "prefect_flow_secrets": {"plain": password, "object": {"password": password}},
        "vault_source_password": password,
        "vault_target_password": password,
        "lab_outside": names["lab_outside"],
        "lab_port_offset": 0,
        "lab_dir": "/lab",
        "__lab_blobs": names["__lab_blobs"],
    }
    file = tmp_path / "flows.env"
    file.write_text(templated((ROOT / "compose/flows.env.j2").read_text(), **variables))
    assert by_a_shell(file, "SECRET_PLAIN") == password
    assert yaml.safe_load(by_a_shell(file, "SECRET_OBJECT")) == {"password": password}
    for name in ("SOURCE_POSTGRES_DSN", "SOURCE_MARIADB_DSN", "TARGET_POSTGRES_DSN"):
        address = urlsplit(by_a_shell(file, name))
        assert (unquote(address.password), address.hostname) == (password, "127.0.0.1")
