"""What is wrong in an environment is told before the host changes."""

import pytest
from refusal import Environment, run

HOST = "prefect-lab"


def test_a_placeholder_in_the_vault(environment: Environment) -> None:
    environment.secrets["vault_function_key"] = "CHANGE_ME"
    answer = environment.make("provision")
    answer.tells(HOST, "vault_function_key", "placeholder", "ansible-vault edit", "vault.yml")
    answer.changed_nothing_on(HOST)


def test_a_placeholder_in_the_inventory(environment: Environment) -> None:
    environment.variables["proxy_domain"] = "prefect.example.com"
    answer = environment.make("provision")
    answer.tells(HOST, "proxy_domain", "placeholder", "group_vars/all/main.yml")
    answer.changed_nothing_on(HOST)


@pytest.mark.parametrize("missing", ["proxy_domain", "prefect_server_password"])
def test_a_missing_value(environment: Environment, missing: str) -> None:
    del environment.variables[missing]
    answer = environment.make("provision")
    answer.tells(HOST, "missing", missing, f"set it in {environment.folder}/group_vars/all")
    answer.changed_nothing_on(HOST)


def test_a_value_that_is_missing_in_the_vault(environment: Environment) -> None:
    del environment.secrets["vault_prefect_server_password"]
    answer = environment.make("provision")
    answer.tells(HOST, "'vault_prefect_server_password' is undefined", "set it in", "vault")
    answer.changed_nothing_on(HOST)


@pytest.mark.parametrize("goal", ["provision", "plan"])
def test_a_value_of_a_flow_that_is_missing_in_the_vault(environment: Environment, goal: str) -> None:
    del environment.secrets["vault_snowflake_private_key"]
    environment.make(goal).tells("'vault_snowflake_private_key' is undefined", "in the vault")


def test_a_map_that_is_missing_in_the_vault(environment: Environment) -> None:
    environment.variables["prefect_notifications"] = "{{ vault_notifications }}"
    answer = environment.make("provision")
    answer.tells(HOST, "'vault_notifications' is undefined", "in the vault")
    answer.changed_nothing_on(HOST)


def test_a_server_apart_from_its_database(environment: Environment) -> None:
    del environment.hosts["all"]["children"]["database"]
    answer = environment.make("provision")
    answer.tells(f"{HOST} in the group server, and no host in the group database", "put the same host into both")
    answer.changed_nothing_on(HOST)


def test_an_acme_server_that_cannot_be_reached(environment: Environment) -> None:
    environment.variables["proxy_acme_directory"] = "https://acme:9/dir"
    answer = environment.make("provision")
    answer.tells(f"{HOST} cannot reach https://acme:9/dir", "correct proxy_acme_directory")
    answer.changed_nothing_on(HOST)


def test_a_variable_that_no_role_knows(environment: Environment) -> None:
    environment.variables["prefect_server_retention_day"] = 7
    answer = environment.make("provision")
    answer.tells(HOST, "prefect_server_retention_day", "did you mean prefect_server_retention_days?")
    answer.changed_nothing_on(HOST)


def test_a_tag_that_no_role_has(environment: Environment) -> None:
    answer = environment.make("provision", "TAGS=proxi")
    answer.tells(HOST, "no role is named proxi", "proxy")
    answer.changed_nothing_on(HOST)


@pytest.mark.parametrize(
    "password", ["short", "pässwörter-der-welt", "sixteen letters and blanks", "from-a-block-of-yaml\n"]
)
def test_a_password_that_http_cannot_carry_or_that_is_short(environment: Environment, password: str) -> None:
    environment.secrets["vault_prefect_server_password"] = password
    answer = environment.make("provision")
    answer.tells(HOST, "prefect_server_password must have at least 16 characters", "vault")
    answer.changed_nothing_on(HOST)


def test_an_address_to_tell_that_is_two(environment: Environment) -> None:
    environment.variables["notify_addresses"] = ["json://function:7071/one", "json://function:7071/two, json://three"]
    answer = environment.make("provision")
    answer.tells(HOST, "notify_addresses: entry 2 is not one address")
    answer.changed_nothing_on(HOST)


def test_a_passphrase_of_several_lines(environment: Environment) -> None:
    environment.secrets["vault_backup_passphrase"] = "one line\nand another\n"
    answer = environment.make("provision")
    answer.tells(HOST, "backup_passphrase: empty, with a blank at an end, or of several lines")
    answer.changed_nothing_on(HOST)


def test_a_domain_that_resolves_to_nothing(environment: Environment) -> None:
    environment.variables["proxy_domain"] = "nowhere.invalid"
    answer = environment.make("provision")
    answer.tells(HOST, "nowhere.invalid does not resolve", "DNS record", "proxy_public_addresses")
    answer.changed_nothing_on(HOST)


def test_a_domain_that_leads_to_another_machine(environment: Environment) -> None:
    environment.variables["proxy_domain"] = "azurite"
    answer = environment.make("provision")
    answer.tells(HOST, "azurite resolves to", "DNS record", "proxy_public_addresses")
    answer.changed_nothing_on(HOST)


def test_a_firewall_that_would_lock_everybody_out(environment: Environment) -> None:
    environment.variables["firewall_ssh_ports"] = [2200]
    answer = environment.make("provision")
    answer.tells(HOST, "port 22", "firewall_ssh_ports", "nobody gets in again")
    answer.changed_nothing_on(HOST)


def test_a_private_key_in_the_place_of_a_public_one(environment: Environment) -> None:
    environment.variables["prefect_worker_deploy_keys"] = ["ssh-ed25519 AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----"]
    answer = environment.make("provision")
    answer.tells("prefect_worker_deploy_keys: entry 2 is not a public key", ".pub file")
    assert "PRIVATE" not in answer.output
    answer.changed_nothing_on(HOST)


def test_an_environment_that_does_not_exist() -> None:
    run("make", "provision", "ENV=nowhere").tells("ansible/inventories/nowhere", "make secrets ENV=nowhere")


def test_a_wrong_password_of_the_vault(environment: Environment) -> None:
    environment.opened_with = "another password"
    answer = environment.make("provision")
    answer.tells("group_vars/all/vault.yml does not open", ".vault-password", "put the right password there")
