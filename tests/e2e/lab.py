"""Where the lab is, and what it takes to get in, as the Makefile's settings say."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
from pydantic import SecretStr

ROOT = Path(__file__).parents[2]


def make(*arguments: str, clone: Path = ROOT) -> str:
    """What a command of the Makefile prints; raises a CalledProcessError if it fails."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    # The lab's settings name its folder by the path in the original, which outlives a copy.
    command = ["make", *arguments, f"LAB_DIR={os.environ['LAB_DIR']}"]
    return subprocess.run(command, cwd=clone, env=clean, capture_output=True, text=True, check=True).stdout


def notifications() -> list[dict]:
    """What the stand-in for Slack and mail was sent."""
    settings = Path(os.environ["LAB_DIR"], "flows.env").read_text()
    [function] = re.findall(r"^SECRET_AZURE_FUNCTION_URL='?(http://[^/']+)", settings, re.MULTILINE)
    return requests.get(f"{function}/notifications", timeout=10).json()


def sent(title: str) -> int:
    """How many notifications have this title."""
    return [notification["title"] for notification in notifications()].count(title)


@dataclass(frozen=True)
class Site:
    """Prefect, as the proxy serves it."""

    url: str
    plain_url: str
    ca: str

    @classmethod
    def of_environment(cls) -> "Site":
        """The site that `make env` tells of."""
        url = os.environ["PREFECT_API_URL"].removesuffix("/api")
        plain_url = f"http://{urlsplit(url).hostname}:{8080 + int(os.environ['LAB_PORT_OFFSET'])}"
        return cls(url, plain_url, os.environ["PREFECT_API_SSL_CERT_FILE"])

    @property
    def domain(self) -> str:
        """Its name."""
        return urlsplit(self.url).hostname

    @property
    def port(self) -> int:
        """The port that is published for HTTPS."""
        return urlsplit(self.url).port or 443

    def get(self, path: str, login: SecretStr | None = None) -> requests.Response:
        """Ask for a page as it is, without following redirects."""
        auth = tuple(login.get_secret_value().split(":", 1)) if login else None
        return requests.get(self.url + path, auth=auth, verify=self.ca, timeout=30, allow_redirects=False)
