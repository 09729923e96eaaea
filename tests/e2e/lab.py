"""Where the lab is, and what it takes to get in, as the Makefile's settings say."""

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from pydantic import SecretStr


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
