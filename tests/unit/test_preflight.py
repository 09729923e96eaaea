"""What the preflight refuses before anything changes, played on this machine."""

import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SERVER, WORKER = "server-1", "worker-1"
GROUPS = {"database": [SERVER], "server": [SERVER], "proxy": [SERVER], "worker": [WORKER]}
FACTS = {
    "distribution": "Debian",
    "distribution_version": "13",
    "env": {},
    "all_ipv4_addresses": [],
    "all_ipv6_addresses": [],
}

Play = Callable[..., list[str]]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Play the checks of a role for the hosts of a group, and give the lines of what is refused."""

    def play(
        role: str,
        file: str = "preflight",
        hosts: str = "all",
        limit: str = "all",
        groups: dict = GROUPS,
        **variables: object,
    ) -> list[str]:
        folder = tmp_path / "inventory"
        (folder / "group_vars/all").mkdir(parents=True)
        (folder / "group_vars/all/main.yml").write_text(yaml.safe_dump({"proxy_domain": "localhost"} | variables))
        children = {group: {"hosts": dict.fromkeys(names)} for group, names in groups.items()}
        (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {SERVER: None}, "children": children}}))
        (tmp_path / "group_vars").symlink_to(ROOT / "ansible/group_vars")
        facts = {"ansible.builtin.set_fact": FACTS | {"cacheable": True}}
        checks = {"ansible.builtin.include_role": {"name": role, "tasks_from": file}}
        # Other hosts belong to the play too
        tasks = [facts, checks | {"when": f"inventory_hostname in groups['{hosts}']"}]
        plays = [{"hosts": "all", "connection": "local", "gather_facts": False, "tasks": tasks}]
        (tmp_path / "play.yml").write_text(yaml.safe_dump(plays))
        program = Path(sys.executable).with_name("ansible-playbook")
        command = [program, "-i", folder, "--limit", limit, "-e", f"platform_root={ROOT}", tmp_path / "play.yml"]
        command += ["-e", f"ansible_python_interpreter={sys.executable}"]
        settings = {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_STRATEGY": "linear",
            "STATE_DIR": str(tmp_path),
        }
        environment = os.environ | settings
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        refused = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
        assert bool(refused) == bool(done.returncode), done.stdout + done.stderr
        return refused

    return play


@pytest.mark.parametrize(
    "variables",
    [
        {"prefect_notifications": "{{ vault_missing }}"},
        {"prefect_flow_secrets": "{{ vault_missing }}"},
        {"prefect_flow_secrets": {"key": {"inner": "{{ vault_missing }}"}}},
    ],
)
def test_what_is_missing_in_the_vault(play: Play, variables: dict) -> None:
    [line] = play("preflight", "main", groups={}, **variables)
    assert "'vault_missing' is undefined" in line
    assert "set it in" in line


def test_a_variable_of_no_role_has_a_type_too(play: Play) -> None:
    [line] = play("preflight", "main", groups={}, prefect_notifications=["mailto://ops"])
    assert "prefect_notifications" in line


def test_a_server_apart_from_its_database(play: Play) -> None:
    lines = play("preflight", "main", groups={"database": [SERVER], "server": [WORKER]})
    assert lines
    assert (
        f"has {WORKER} in the group server, and {SERVER} in the group database: put the same host into both" in lines[0]
    )


class Answers(http.server.BaseHTTPRequestHandler):
    """The API's health, and the directory of an ACME server."""

    def do_GET(self) -> None:
        body = json.dumps({"newAccount": "here"} if self.path == "/dir" else True).encode()
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def answering(certificate: Path | None = None) -> Iterator[int]:
    """A server that answers on a port, by TLS if it has a certificate."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def certificate(folder: Path, name: str) -> Path:
    """One of its own for localhost, with its key."""
    file = folder / f"{name}.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-noenc",
        "-days",
        "1",
        "-keyout",
        file,
        "-out",
        f"{file}.crt",
    ]
    names = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command + names, check=True, capture_output=True)
    file.write_text(Path(f"{file}.crt").read_text() + file.read_text())
    return file


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """That of the API, and another."""
    folder = tmp_path_factory.mktemp("certificates")
    return {name: certificate(folder, name) for name in ("right", "other")}


@pytest.fixture
def api(certificates: dict[str, Path]) -> Iterator[dict]:
    """The variables of a worker whose API is up."""
    with answering() as local, answering(certificates["right"]) as public:
        yield {
            "proxy_local_port": local,
            "prefect_worker_api_url": f"https://localhost:{public}/api",
            "prefect_api_ca": f"{certificates['right']}.crt",
        }


CHECK = {"role": "prefect_worker", "file": "preflight_api", "hosts": "worker"}


def test_an_api_that_answers_by_its_name_and_certificate(play: Play, api: dict) -> None:
    assert play(**CHECK, limit=WORKER, **api) == []


def test_an_api_that_is_up_and_cannot_be_reached(play: Play, api: dict) -> None:
    [line] = play(**CHECK, **api | {"prefect_worker_api_url": "https://localhost:9/api"})
    assert f"{WORKER} cannot reach https://localhost:9/api, which its workers poll (" in line
    assert "Connection refused): let its address through to the proxy" in line


def test_an_api_that_is_not_up_yet(play: Play, api: dict) -> None:
    assert play(**CHECK, **api | {"proxy_local_port": 9, "prefect_worker_api_url": "https://localhost:9/api"}) == []


@pytest.mark.parametrize("alone", [True, False])
def test_a_certificate_that_is_not_trusted_unless_this_run_may_mend_it(
    play: Play, api: dict, certificates: dict[str, Path], alone: bool
) -> None:
    other = f"{certificates['other']}.crt"
    lines = play(**CHECK, limit=WORKER if alone else "all", **api | {"prefect_api_ca": other})
    assert len(lines) == alone
    assert all("CERTIFICATE_VERIFY_FAILED" in line and f"or correct {other}" in line for line in lines)


ACME = {"role": "proxy", "hosts": "proxy"}


def test_an_acme_server_that_answers(play: Play) -> None:
    with answering() as port:
        assert play(**ACME, proxy_acme_directory=f"http://127.0.0.1:{port}/dir") == []


@pytest.mark.parametrize(("path", "why"), [("none", "404"), ("other", "newAccount is not in its answer")])
def test_an_address_of_no_acme_server(play: Play, path: str, why: str) -> None:
    with answering() as port:
        [line] = play(**ACME, proxy_acme_directory=f"http://127.0.0.1:{port}/{path}")
    assert f"{SERVER} cannot reach http://127.0.0.1:{port}/{path}, which its certificate comes from" in line
    assert why in line


def test_an_acme_server_that_cannot_be_reached(play: Play) -> None:
    [line] = play(**ACME, proxy_acme_directory="https://127.0.0.1:9/dir")
    assert "Connection refused): let it out to that address, or correct proxy_acme_directory" in line


def test_without_an_acme_server_none_is_asked(play: Play) -> None:
    assert play(**ACME, proxy_tls_mode="self_signed", proxy_acme_directory="https://127.0.0.1:9/dir") == []
