"""What the templates are rendered with."""

import base64
import socket
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
ROLES = sorted(path for path in (ROOT / "ansible/roles").iterdir() if (path / "tasks").is_dir())
DOMAIN = "prefect.test"
# A password may have every sign that HTTP carries
SIGNS = "".join(map(chr, range(0x21, 0x7F)))
LOGIN, PREVIOUS_LOGIN = f"admin:{SIGNS}", f"admin:{SIGNS[::-1]}"


def read_yaml(path: Path) -> dict:
    """The content of a YAML file; nothing where there is none."""
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# In the texts, which all processes of a run share; each process listens on ports of its own instead.
UPSTREAM_PORTS = [4201, 4202]
LOCAL_PORT = 4210
ISSUED = {"__proxy_renewal": {"content": base64.b64encode(b"version = 4.0.0\n").decode()}}
# What the roles take from the inventory, from loops and from what earlier tasks have found.
GIVEN = {
    "platform_root": str(ROOT),
    "platform_home": "/opt/prefect",
    "platform_programs": "/opt/prefect/platform/current/host",
    "platform_postgresql_version": 17,
    "platform_server_address": "127.0.0.1:4200",
    "platform_url": f"https://{DOMAIN}",
    "platform_env": "production",
    "platform_notifications": {},
    "ipv6_addresses": [],
    "proxy_domain": DOMAIN,
    "proxy_upstream": [f"127.0.0.1:{UPSTREAM_PORTS[0]}"],
    "prefect_server_password": "of no use",
    "proxy_login": LOGIN,
    "proxy_previous_login": PREVIOUS_LOGIN,
    "prefect_server_encryption_key": "of no use",
    "backup_passphrase": "of no use",
    "prefect_environments": {"server": {"installed": "/opt/prefect/envs/example-0123456789ab"}},
    "prefect_server_schema": "0123456789ab",
    "item": {"name": "default", "memory_max": "1G", "limit": 2},
}
VARIANTS = {
    "letsencrypt": ISSUED,
    "before-the-first-certificate": {},
    "provided": {"proxy_tls_mode": "provided"},
    "self-signed": {"proxy_tls_mode": "self_signed", "proxy_hsts_max_age": 0},
    "off": {"proxy_tls_mode": "off"},
    "off-without-quotes": {"proxy_tls_mode": False},
    "two-upstreams": ISSUED | {"proxy_upstream": [f"127.0.0.1:{port}" for port in UPSTREAM_PORTS]},
    "away": ISSUED | {"proxy_upstream": ["127.0.0.1:9"]},  # which nothing listens on
    "few-sockets": ISSUED | {"proxy_sockets_per_address": 3},
    "ipv6": ISSUED | {"ipv6_addresses": ["2001:db8::1"]},
}
